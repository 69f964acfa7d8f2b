"""How heavy the first page is, and how long the chapters take to execute."""

import gzip
import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response
from test_pages import PAGES, open_page

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = [name for name in PAGES if (ROOT / "book" / f"{name}.ipynb").exists()]
PROMISED = 150  # seconds, two and a half minutes in the README
WIDGETS = ("html-manager", "require.js", "anywidget")


def executed(name: str) -> dict:
    """The record of a chapter's execution, which `make book` leaves."""
    return json.loads((ROOT / "_build" / "executed" / f"{name}.json").read_text())


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_takes_no_longer_than_promised(html_folder: Path, name: str) -> None:
    """By the record of its execution, in processor time with one thread, so that a busy machine changes little."""
    taken = executed(name)
    assert taken["scale"] == "live"
    assert 0 < taken["cpu_seconds"] <= PROMISED, f"{name} took {taken['cpu_seconds']:.0f} s of processor time"


def test_the_evidence_takes_no_longer_than_promised(html_folder: Path) -> None:
    """Chapters 07 to 11 in five minutes on two cores."""
    taken = [executed(name)["cpu_seconds"] for name in CHAPTERS if "07" <= name < "12"]
    assert len(taken) == 5 and sum(taken) / 2 < 300


def test_the_first_page_is_light(page: Page, built_book: str) -> None:
    """Below 1 MB with all it loads, text compressed as servers send it; it needs none of the widgets' scripts."""
    sizes: dict[str, int] = {}

    def weigh(answer: Response) -> None:
        body = answer.body()
        packed = answer.url.endswith((".woff", ".woff2", ".png"))
        sizes[answer.url] = len(body) if packed else len(gzip.compress(body))

    page.on("response", weigh)
    open_page(page, f"{built_book}/{PAGES[0]}.html")
    page.wait_for_load_state("networkidle")
    heaviest = sorted(sizes.items(), key=lambda item: -item[1])[:12]
    told = "\n".join(f"{size:>9} {address}" for address, size in heaviest)
    assert not [address for address in sizes if any(word in address for word in WIDGETS)], told
    assert sum(sizes.values()) < 1_000_000, told


def test_the_first_page_is_soon_alive(browser: Browser, html_folder: Path) -> None:
    """From disk, mathematics typeset, within 2 s: of the page's own processor time, whatever else the machine does."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(120_000)
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    open_page(page, (html_folder / f"{PAGES[0]}.html").as_uri())
    measured = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    context.close()
    assert 0.02 < measured["TaskDuration"] < 2, measured
