"""Every page of the built book in Chromium, with all requests to other sites refused (see the `page` fixture)."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))

from build import toc_files  # noqa: E402

PAGES = toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text()))
BESIDE = ["genindex", "prf-prf", "search", "404"]

WIDER_THAN_THE_SCREEN = """() => [...document.querySelectorAll("main article *")]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && e.getClientRects().length)
    .filter(e => { for (let p = e.parentElement; p; p = p.parentElement)
        if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(p).overflowX) && p.tagName != "BODY")
            return false;
        return true; })
    .map(e => `${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 60)}`).slice(0, 5)"""

MATH_FONT_IS_LOADED = """() => document.fonts.ready.then(
    () => [...document.fonts].some(font => font.family.startsWith("MJXTEX") && font.status == "loaded"))"""

NATURAL_WIDTH = """image => { image.loading = "eager"; return image.decode().then(() => image.naturalWidth); }"""


def open_page(page: Page, address: str) -> None:
    """Open a page and wait until its mathematics, if it has any, is typeset."""
    page.goto(address, wait_until="load")
    page.evaluate("() => window.MathJax?.startup?.promise")


@pytest.mark.parametrize("name", PAGES + BESIDE)
def test_page_is_whole(page: Page, built_book: str, name: str) -> None:
    """In the dark on a phone: title, mathematics and images are there, nothing is wider than the screen, and figures
    keep their colours. The fixture sees to other sites and the console.
    """
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    open_page(page, f"{built_book}/{name}.html")
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    article = page.locator("main article")
    assert name in BESIDE or article.locator("h1").count() == 1

    formulas = article.locator(".math").count()
    assert article.locator(".math mjx-container").count() >= formulas
    assert article.locator("mjx-merror, [data-mjx-error]").all_inner_texts() == []
    assert not formulas or page.evaluate(MATH_FONT_IS_LOADED)

    for image in article.locator("img").all():
        text = image.get_attribute("alt") or ""
        assert len(text) > 20 and "_build" not in text, f"alt text of {image.get_attribute('src')}: {text!r}"
        assert image.evaluate(NATURAL_WIDTH) > 0
    turned = ["rgba(0, 0, 0, 0)", "invert(0.92) hue-rotate(180deg) brightness(1.3)"]  # no white box, no other filter
    as_drawn = ["rgb(255, 255, 255)", "none"]
    for image in article.locator("div.cell_output img").all():
        style = image.evaluate("image => [getComputedStyle(image).backgroundColor, getComputedStyle(image).filter]")
        assert style == (as_drawn if "as-drawn" in (image.get_attribute("class") or "").split() else turned)

    assert page.evaluate(WIDER_THAN_THE_SCREEN) == []
    assert page.evaluate("() => document.scrollingElement.scrollWidth") <= 390


def test_no_line_begins_with_a_formulas_comma(page: Page, built_book: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, f"{built_book}/02-two-circuits.html")
    lines = page.evaluate("""() => [...document.querySelectorAll("main span.kept")].map(kept => {
        const formula = kept.querySelector("mjx-container").getBoundingClientRect();
        const marks = [...kept.childNodes].filter(node => node.nodeType === Node.TEXT_NODE).map(node => {
            const range = document.createRange();
            range.selectNode(node);
            return range.getBoundingClientRect();
        });
        const beside = marks.every(mark => mark.top < formula.bottom && mark.bottom > formula.top);
        return kept.offsetParent === null || marks.length > 0 && beside;
    })""")
    assert len(lines) > 50 and all(lines)


def test_first_page_leads_into_the_book(page: Page, built_book: str) -> None:
    page.goto(f"{built_book}/index.html", wait_until="load")
    page.wait_for_url(f"{built_book}/{PAGES[0]}.html")
    for name in PAGES[1:]:
        assert page.locator(f'nav a[href="{name}.html"]').count() >= 1, name


def test_opens_from_a_folder(page: Page, built_book: str, html_folder: Path) -> None:
    """Without any server, straight from disk: mathematics, figures and navigation work."""
    page.unroute("**/*")
    page.goto((html_folder / f"{PAGES[0]}.html").as_uri(), wait_until="load")
    page.evaluate("() => MathJax.startup.promise")
    assert page.locator("mjx-container").count() > 0


def test_a_widget_is_not_given_up_on_a_slow_machine(page: Page, built_book: str) -> None:
    """Whatever limit the loader sets is a minute or more."""
    page.add_init_script("""window.limits = [];
        const real = AbortSignal.timeout;
        AbortSignal.timeout = limit => { window.limits.push(limit); return real.call(AbortSignal, limit); };""")
    open_page(page, f"{built_book}/04-theorem-d4.html")
    page.wait_for_function("() => window.limits.length > 0")
    assert page.evaluate("() => Math.min(...window.limits)") >= 60_000


def test_third_party_scripts_are_not_committed() -> None:
    tracked = subprocess.run(["git", "ls-files", "*.js"], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = ("grokbook/widgets/", "book/_static/")
    assert [name for name in tracked.stdout.split() if not name.startswith(ours)] == []


def test_the_scorecard_names_its_entries_on_a_phone_only(page: Page, built_book: str) -> None:
    """There a row is a card, without the heads of the columns."""
    open_page(page, f"{built_book}/15-scorecard.html")
    label = page.locator("table.scorecard span", has_text="what we found").first
    for width, shown in ((1280, False), (390, True)):
        page.set_viewport_size({"width": width, "height": 844})
        assert label.is_visible() == shown
