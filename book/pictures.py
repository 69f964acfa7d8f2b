"""Photograph the built book for the README: python book/pictures.py PAGE SELECTOR FILE.png

Opens _build/html/PAGE.html in Chromium, straight from disk, and photographs the element that SELECTOR finds, or one
screen when SELECTOR is "page": the first, or the one at a heading when PAGE ends in its #name.
"""

import sys
from pathlib import Path

from browser import CHROMIUM, MISSING
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    place, selector, target = sys.argv[1:]
    name, _, heading = place.partition("#")
    if CHROMIUM is None:
        sys.exit(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, device_scale_factor=1)
        page.goto((ROOT / "_build" / "html" / f"{name}.html").as_uri(), wait_until="load")
        page.evaluate("() => window.MathJax?.startup?.promise")
        if heading:
            page.evaluate("name => document.getElementById(name).scrollIntoView()", heading)
            page.wait_for_load_state("networkidle")
        (ROOT / target).parent.mkdir(exist_ok=True)
        if selector == "page":
            page.screenshot(path=ROOT / target)
        else:
            page.wait_for_selector(selector)
            page.locator(selector).first.screenshot(path=ROOT / target)
        browser.close()


if __name__ == "__main__":
    main()
