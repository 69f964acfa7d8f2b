"""axe-core on every page: WCAG 2.1, levels A and AA, in light on a wide screen and in dark on a phone.

Everything folded is opened first, for axe passes over what cannot be seen.
"""

import sys
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Page
from test_pages import BESIDE, PAGES, open_page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))

from runtime import fetch_axe  # noqa: E402

LOOKS = {"light": (1280, 900), "dark": (390, 844)}
UNFOLD = """async () => {
    document.querySelectorAll("main details").forEach(details => { details.open = true; });
    await new Promise(then => requestAnimationFrame(() => requestAnimationFrame(then)));
    await Promise.all(document.querySelector("main").getAnimations({subtree: true}).map(fade => fade.finished));
}"""  # what is opened fades in, and has little contrast until it has
RUN = """async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"];
    const found = await axe.run(document, {runOnly: {type: "tag", values: tags}, resultTypes: ["violations"]});
    return found.violations.map(rule => `${rule.id}: ${rule.help}\\n` + rule.nodes.slice(0, 8).map(
        node => `    ${node.target.join(" ")}  ${node.html.slice(0, 160)}\\n` +
            node.failureSummary.replace(/^/gm, "        ")).join("\\n") + `\\n    ${rule.nodes.length} in all`);
}"""


@pytest.fixture(scope="session")
def axe(built_book: str) -> str:
    """axe-core's script, fetched once."""
    folder = ROOT / "_build" / "axe"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        # As in a page without require.js, of which axe would make itself a module.
        return f"(() => {{ const define = undefined;\n{fetch_axe(folder).read_text()}\n}})()"


@pytest.mark.parametrize("scheme", LOOKS)
@pytest.mark.parametrize("name", [*PAGES, *BESIDE])
def test_breaks_no_rule(page: Page, built_book: str, axe: str, name: str, scheme: str) -> None:
    width, height = LOOKS[scheme]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    open_page(page, f"{built_book}/{name}.html")
    page.evaluate(UNFOLD)
    page.evaluate(axe)
    assert page.evaluate("() => document.documentElement.dataset.theme") == scheme
    violations = page.evaluate(RUN)
    assert not violations, "\n".join(violations)


def test_axe_finds_what_is_wrong(page: Page, built_book: str, axe: str) -> None:
    """The ground of the test above: faults put into a page are found."""
    open_page(page, f"{built_book}/bibliography.html")
    page.evaluate("""() => { document.querySelector("main article").insertAdjacentHTML("beforeend",
        '<img src="_static/minus.png"><p style="color: #999; background: #aaa">hard to read</p>'); }""")
    page.evaluate(axe)
    assert {rule.split(":")[0] for rule in page.evaluate(RUN)} == {"image-alt", "color-contrast"}
