"""The book on paper: every page of the table of contents, every figure, stills in place of widgets, no raw HTML."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser
from pypdf import PdfReader
from test_links import read
from test_pages import PAGES

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def pdf(html_folder: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> PdfReader:
    """Printed anew; the script itself stops when a picture does not load or a widget has no still one."""
    target = tmp_path_factory.mktemp("pdf") / "book.pdf"
    made = subprocess.run([sys.executable, ROOT / "book" / "pdf.py", target], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return PdfReader(target)


@pytest.fixture(scope="module")
def texts(pdf: PdfReader) -> list[str]:
    """The text of every sheet."""
    return [sheet.extract_text() for sheet in pdf.pages]


@pytest.fixture(scope="module")
def chapters(pdf: PdfReader, texts: list[str]) -> dict[str, tuple[int, list[str]]]:
    """For each page of the book its first sheet, counted from 0, and the text of its sheets."""
    tops = [item for item in pdf.outline if not isinstance(item, list)]
    firsts = [pdf.get_destination_page_number(item) for item in tops]
    ends = [*firsts[1:], len(pdf.pages)]
    spans = zip(PAGES, firsts, ends, strict=True)
    return {name: (first, texts[first:end]) for name, first, end in spans}


def plain(text: str) -> str:
    """Letters and digits only: line breaks, ligatures and quotation marks come out of a PDF as they like."""
    return re.sub(r"[^a-z0-9]", "", text.lower().replace("ﬃ", "ffi").replace("ﬁ", "fi").replace("ﬀ", "ff"))


def test_holds_every_page_in_order(texts: list[str], chapters: dict, html_folder: Path) -> None:
    firsts = [first for first, _ in chapters.values()]
    assert firsts == sorted(firsts) and firsts[0] >= 2
    contents = plain("".join(texts[: firsts[0]]))
    assert plain(yaml.safe_load((ROOT / "_config.yml").read_text())["title"]) in contents
    for name, (first, sheets) in chapters.items():
        title = plain(read(html_folder / f"{name}.html").title.split(" — ")[0])
        assert title in plain(sheets[0]), name
        assert f"{title}{first + 1}" in contents, name


def test_holds_every_figure_and_table_caption(chapters: dict, html_folder: Path) -> None:
    for name, (_, sheets) in chapters.items():
        page = (html_folder / f"{name}.html").read_text()
        numbers = re.findall(r'<span class="caption-number">((?:Fig|Table)[^<]*)</span>', page)
        text = plain("".join(sheets))
        assert [number for number in numbers if plain(number) not in text] == [], name


def test_sheets_are_numbered_and_none_is_empty(pdf: PdfReader, texts: list[str]) -> None:
    for number, (sheet, text) in enumerate(zip(pdf.pages, texts, strict=True), start=1):
        words = text.split()
        assert number == 1 or str(number) in (words[0], words[-1]), number
        assert len(words) > 3 or len(sheet.images) or len(sheet.get_contents().get_data()) > 3000, number


def test_shows_no_markup(chapters: dict) -> None:
    for name, (_, sheets) in chapters.items():
        text = "\n".join(sheets)
        found = re.findall(r"</?(?:div|span|img|table|script|style)\b[^>\n]*>|\{glue:|\{cite|application/vnd", text)
        assert not found, (name, found)


def test_links_lead_inside_or_to_the_web(pdf: PdfReader) -> None:
    inside = 0
    for sheet in pdf.pages:
        for annotation in sheet.get("/Annots", []):
            link = annotation.get_object()
            address = link.get("/A", {}).get("/URI", "")
            assert not address.startswith("file:"), address
            inside += not address
    assert inside > 10 * len(PAGES)
