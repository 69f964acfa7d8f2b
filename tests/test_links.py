"""What the built pages say of themselves and where they lead, read from the HTML without a browser."""

import json
import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import yaml
from test_pages import BESIDE, PAGES

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))

from readers import pages_address  # noqa: E402

REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
ADDRESS = pages_address(REPOSITORY["url"])
NOTEBOOKS = [name for name in PAGES if (ROOT / "book" / f"{name}.ipynb").exists()]
PREFIX = urlsplit(ADDRESS).path
EVERY = [*PAGES, *BESIDE, "index"]


class Reader(HTMLParser):
    """Collects a page's links, the names one can link to, its title and what its head says of it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = {"", "top"}
        self.title, self.language, self.inside = "", "", ""
        self.about: dict[str, str] = {}
        self.canonical = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.names |= {known[name] for name in ("id", "name") if name in known}
        self.links += [known[name] for name in ("href", "src") if name in known]
        self.inside = tag if tag == "title" and not self.title else ""  # pictures inside a page have titles too
        if tag == "html":
            self.language = known.get("lang", "")
        if tag == "meta":
            self.about[known.get("property") or known.get("name", "")] = known.get("content", "")
        if tag == "link" and known.get("rel") == "canonical":
            self.canonical = known["href"]

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        self.title += data if self.inside == "title" else ""


@cache
def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text())
    return reader


def target(folder: Path, page: Path, link: str) -> tuple[Path, str] | None:
    """The file and the name in it that a link of a page leads to; None when it leads out of the book."""
    link, name = urldefrag(link)
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        if not link.startswith(ADDRESS):
            return None
        parts = parts._replace(path=urlsplit(link).path)
    path = unquote(parts.path)
    if path.startswith("/"):
        assert path.startswith(PREFIX), f"{page.name} leads to {link}, which is not below {PREFIX}"
        return folder / path.removeprefix(PREFIX), unquote(name)
    return (page.parent / path if path else page).resolve(), unquote(name)


@pytest.mark.parametrize("name", EVERY)
def test_every_link_inside_the_book_leads_somewhere(html_folder: Path, name: str) -> None:
    """Pages, places in them, pictures, scripts, styles and downloads."""
    page = html_folder / f"{name}.html"
    dead, inside = [], 0
    for link in read(page).links:
        found = target(html_folder, page, link)
        if found is None:
            continue
        inside += 1
        path, place = found
        path = path / "index.html" if path.is_dir() else path
        if not path.exists() or (path.suffix == ".html" and place not in read(path).names):
            dead.append(link)
    assert not dead
    assert inside > (0 if name == "index" else 20)


@pytest.mark.parametrize("name", EVERY)
def test_a_page_names_its_language_and_itself(html_folder: Path, name: str) -> None:
    page = read(html_folder / f"{name}.html")
    assert page.language == "en"
    assert "Grokking through circuit efficiency" in page.title and "<no title>" not in page.title
    assert page.about["viewport"].startswith("width=device-width")


def test_no_two_pages_have_one_title_or_description(html_folder: Path) -> None:
    pages = {name: read(html_folder / f"{name}.html") for name in PAGES}
    assert len({page.title for page in pages.values()}) == len(pages)
    descriptions = {name: page.about["description"] for name, page in pages.items()}
    assert len(set(descriptions.values())) == len(pages)
    for name, text in descriptions.items():
        assert 50 <= len(text) <= 250, name
        assert not re.search(r"[{}$`\\]", text), f"markup in the description of {name}: {text}"


@pytest.mark.parametrize("name", [*PAGES, "index"])
def test_a_page_has_a_social_card(html_folder: Path, name: str) -> None:
    """What other sites show when someone passes the page on; the addresses follow from the repository's."""
    page = read(html_folder / f"{name}.html")
    about, address = page.about, f"{ADDRESS}{PAGES[0] if name == 'index' else name}.html"
    assert about["og:url"] == page.canonical == address
    assert about["og:title"] and about["og:description"] == about["description"]
    assert about["twitter:card"] == "summary_large_image" and about["og:image:alt"]
    assert about["og:image"].startswith(ADDRESS)
    picture = html_folder / about["og:image"].removeprefix(ADDRESS)
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size < 300_000


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_opens_in_colab_and_binder_and_downloads(html_folder: Path, name: str) -> None:
    links = read(html_folder / f"{name}.html").links
    place = REPOSITORY["url"].removeprefix("https://github.com/")
    branch, file = REPOSITORY["branch"], f"{REPOSITORY['path_to_book']}/{name}.ipynb"
    assert f"https://colab.research.google.com/github/{place}/blob/{branch}/{file}" in links
    assert f"https://mybinder.org/v2/gh/{place}/{branch}?urlpath=lab/tree/{file}" in links
    assert (ROOT / file).exists()
    assert f"_sources/{name}.ipynb" in links
    downloaded = json.loads((html_folder / "_sources" / f"{name}.ipynb").read_text())
    assert any(REPOSITORY["url"] in "".join(cell["source"]) for cell in downloaded["cells"])  # its install cell


def test_a_page_that_is_not_there_says_so_at_any_depth(html_folder: Path) -> None:
    """GitHub serves 404.html in place of any missing page, so its links must not depend on where it is served."""
    links = read(html_folder / "404.html").links
    inside = [link for link in links if not urlsplit(link).scheme and not link.startswith("#")]
    assert [link for link in inside if not link.startswith(PREFIX)] == []
    assert {f"{PREFIX}{name}.html" for name in PAGES} <= set(map(lambda link: urldefrag(link)[0], links))
    assert "not here" in (html_folder / "404.html").read_text()


def test_the_list_of_theorems_has_each_with_its_number_and_title(html_folder: Path) -> None:
    entry = r'<a href="([\w-]+)\.html#([\w-]+)">\s*(\w+ [\d.]+)\. ([^<]+?)\s*</a>'
    listed = re.findall(entry, (html_folder / "prf-prf.html").read_text())
    heading = r'id="([\w-]+)">\s*<p class="admonition-title"><span class="caption-number">(\w+ [\d.]+) </span>'
    heading += r" \((.*?)\)</p>"
    stated = [
        (name, label, number, re.sub(r"<[^>]*>|\\[()]", "", title))
        for name in PAGES
        for label, number, title in re.findall(heading, (html_folder / f"{name}.html").read_text())
        if not number.startswith("Exercise")
    ]
    assert sorted(listed) == sorted(stated) and len(stated) > 20
