"""The whole book as one PDF: python book/pdf.py [FILE]

Prints the pages of _build/html in the order of _toc.yml with Chromium, each from disk and with everything unfolded,
and puts them behind a title page and a table of contents. Widgets give way to their still pictures. Links between pages
lead to places in the file, links to files of the book to the published ones. Every page is numbered.
"""

import re
import sys
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from browser import CHROMIUM, MISSING
from build import toc_files
from execute import BUILD, ROOT
from playwright.sync_api import Browser, Page, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import Fit, NameObject, RectangleObject, TextStringObject
from readers import pages_address

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
MARGIN = {"top": "18mm", "bottom": "20mm", "left": "17mm", "right": "17mm"}
PAPER: Any = {"format": "A4", "scale": 0.8, "margin": MARGIN}
READY = """async wanted => {
    document.querySelectorAll("main details").forEach(details => { details.open = true; });
    for (const image of document.querySelectorAll("main img")) { image.loading = "eager"; await image.decode(); }
    await window.MathJax?.startup?.promise;
    await document.fonts.ready;
    // Chromium names only the places that the page itself links to.
    for (const place of wanted) {
        const link = document.body.appendChild(document.createElement("a"));
        link.href = "#" + encodeURIComponent(place);
    }
}"""
FRONT_STYLE = """
    body { font: 11pt/1.5 Georgia, "DejaVu Serif", serif; margin: 0; }
    h1 { font-size: 30pt; line-height: 1.2; margin: 75mm 0 8mm; }
    p { margin: 0 0 3mm; }
    h2 { break-before: page; font-size: 18pt; margin: 0 0 8mm; }
    h3 { font-size: 11pt; margin: 6mm 0 1mm; }
    ol { list-style: none; margin: 0; padding: 0; }
    li { display: flex; justify-content: space-between; }
"""


@dataclass
class Printed:
    """A page of the book on paper; `first` is the number of its first sheet in the book, from 0."""

    name: str
    title: str
    reader: PdfReader
    first: int = 0


def main() -> None:
    if CHROMIUM is None:
        sys.exit(MISSING)
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else BUILD / "grokbook.pdf"
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    names = toc_files(contents)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        book = [print_page(browser, name, places(names).get(name, set())) for name in names]
        front = front_matter(browser, contents, book)
        for i, printed in enumerate(book):  # the table of contents is as long whatever numbers stand in it
            printed.first = len(front.pages) if i == 0 else book[i - 1].first + len(book[i - 1].reader.pages)
        front = front_matter(browser, contents, book)
        writer = bind(front, book)
        stamp_numbers(browser, writer)
        browser.close()
    writer.write(target)
    print(f"{target}: {len(writer.pages)} pages, {target.stat().st_size / 1e6:.1f} MB")


def places(names: list[str]) -> dict[str, set[str]]:
    """The places in each page that other pages link to."""
    wanted: dict[str, set[str]] = {}
    for name in names:
        for page, place in re.findall(r'href="([\w-]+)\.html#([^"]+)"', (BUILD / "html" / f"{name}.html").read_text()):
            wanted.setdefault(page, set()).add(unquote(place))
    return wanted


def to_pdf(page: Page) -> PdfReader:
    return PdfReader(BytesIO(page.pdf(**PAPER, print_background=True, outline=True)))


def print_page(browser: Browser, name: str, wanted: set[str]) -> Printed:
    """Print one built page when it is whole: mathematics typeset, pictures loaded, details open, widgets replaced."""
    page = browser.new_page(viewport={"width": 1000, "height": 1400}, color_scheme="light")
    page.goto((BUILD / "html" / f"{name}.html").as_uri(), wait_until="load")
    stills, widgets = page.locator("main img.grokbook-still"), page.locator("main .gb")
    for still in stills.all():
        still.wait_for(state="hidden", timeout=60_000)  # its live twin has come; on paper the two change places
    page.emulate_media(media="print")
    page.evaluate(READY, sorted(wanted))
    if not all(still.is_visible() for still in stills.all()) or any(widget.is_visible() for widget in widgets.all()):
        raise RuntimeError(f"{name}: a widget has no still picture on paper")
    if widgets.count() != stills.count():
        raise RuntimeError(f"{name}: {widgets.count()} widgets and {stills.count()} still pictures")
    title = page.locator("main article h1").inner_text().removesuffix("#").strip()
    printed = Printed(name, " ".join(title.split()), to_pdf(page))
    page.close()
    return printed


def front_matter(browser: Browser, contents: dict, book: list[Printed]) -> PdfReader:
    """The title page, and the table of contents with the numbers of the sheets as they now stand in `book`."""
    entry = {p.name: f"<li><span>{escape(p.title)}</span><span>{p.first + 1}</span></li>" for p in book}
    parts = [f"<ol>{entry[contents['root']]}</ol>"]
    for part in contents["parts"]:
        rows = "".join(entry[name] for name in toc_files(part))
        parts.append(f"<h3>{escape(part['caption'])}</h3><ol>{rows}</ol>")
    page = browser.new_page()
    page.set_content(
        f'<html lang="en"><head><title>{CONFIG["title"]}</title><style>{FRONT_STYLE}</style></head><body>'
        f"<h1>{CONFIG['title']}</h1><p>{CONFIG['author']}</p><p>{pages_address(CONFIG['repository']['url'])}</p>"
        f"<h2>Contents</h2>{''.join(parts)}</body></html>"
    )
    reader = to_pdf(page)
    page.close()
    return reader


def bind(front: PdfReader, book: list[Printed]) -> PdfWriter:
    """All sheets in one file, with an outline of chapters and sections, and links that lead to places in it."""
    writer = PdfWriter()
    for sheet in front.pages:
        writer.add_page(sheet).pop("/Annots", None)
    for printed in book:
        for sheet in printed.reader.pages:
            writer.add_page(sheet).pop("/Annots", None)
    found: dict[tuple[str, str], tuple[int, float | None]] = {}
    for printed in book:
        found[printed.name, ""] = (printed.first, None)
        for place, where in printed.reader.named_destinations.items():
            number = printed.first + (printed.reader.get_destination_page_number(where) or 0)
            found[printed.name, place.lstrip("/")] = (number, where.top)
    for printed in book:
        for number, sheet in enumerate(printed.reader.pages, start=printed.first):
            for annotation in sheet.get("/Annots", []):
                link = annotation.get_object()
                if link["/Subtype"] == "/Link":
                    writer.add_annotation(number, redirect(printed.name, link, found))
        chapter = writer.add_outline_item(title=printed.title, page_number=printed.first)
        for item in sections(printed.reader.outline):
            number = printed.first + (printed.reader.get_destination_page_number(item) or 0)
            title = " ".join(str(item.title).split()).removesuffix("#")
            writer.add_outline_item(title=title, page_number=number, parent=chapter)
    writer.add_metadata({"/Title": CONFIG["title"], "/Author": CONFIG["author"]})
    writer.root_object[NameObject("/Lang")] = TextStringObject("en")
    return writer


def redirect(name: str, link: Any, found: dict[tuple[str, str], tuple[int, float | None]]) -> Link:
    """A link of the printed page `name`, to the same thing in the book's own file or among the published pages."""
    area = RectangleObject(tuple(map(float, link["/Rect"])))
    address = link.get("/A", {}).get("/URI", "")
    here = (BUILD / "html").as_uri() + "/"
    if "/Dest" in link:
        aim = (name, str(link["/Dest"]).lstrip("/"))
    elif address.startswith(here):
        path, _, place = address.removeprefix(here).partition("#")
        aim = (path.removesuffix(".html"), unquote(place))
        aim = aim if aim in found else (aim[0], "")
        address = pages_address(CONFIG["repository"]["url"]) + address.removeprefix(here)
    else:
        return Link(rect=area, url=address)
    if aim not in found:
        return Link(rect=area, url=address)
    number, top = found[aim]
    return Link(rect=area, target_page_index=number, fit=Fit.xyz(top=top) if top else Fit.fit_horizontally())


def sections(outline: list) -> list:
    """The second level of a printed page's outline: what stands below its title."""
    below = [item for item in outline if isinstance(item, list)]
    return [item for item in (below[0] if below else []) if not isinstance(item, list)]


def stamp_numbers(browser: Browser, writer: PdfWriter) -> None:
    """Write its number at the foot of each page but the first."""
    style = "body { margin: 0 } div { break-after: page; font: 9pt serif; height: 296mm; padding-top: 284mm; "
    style += "box-sizing: border-box; text-align: center }"
    feet = "".join(f"<div>{number if number > 1 else ''}</div>" for number in range(1, len(writer.pages) + 1))
    page = browser.new_page()
    page.set_content(f"<style>{style}</style>{feet}")
    stamps = PdfReader(BytesIO(page.pdf(format="A4")))
    page.close()
    for sheet, stamp in zip(writer.pages, stamps.pages, strict=False):
        sheet.merge_page(stamp)


if __name__ == "__main__":
    main()
