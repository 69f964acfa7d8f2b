"""What readers' tools need: the pages' public address for Sphinx, and repairs to the markup that the theme makes.

As a Sphinx extension it derives settings: from the repository's address in _config.yml follow the address of the
published pages, the social cards' and the 404 page's links, so that `make address` has nothing more to change.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.domains import IndexEntry
from sphinx_proof.domain import ProofDomain, ProofIndex

NOT_FOUND = """\
<h1>This page is not here</h1>
<p>The address may be mistyped, or the page may have moved. The contents are beside this text (on a small screen, behind
the menu button above), the search finds words in every chapter, and the book begins <a href="{start}">here</a>.</p>
"""

INDEX = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{head}
<meta http-equiv="refresh" content="0; url={first}.html">
</head>
<body><p><a href="{first}.html">{title}</a></p></body>
</html>
"""


def pages_address(repository: str) -> str:
    """Where GitHub publishes the pages of a repository: https://OWNER.github.io/NAME/."""
    owner, name = repository.removeprefix("https://github.com/").split("/")
    return f"https://{owner}.github.io/{name}/"


class Theorems(ProofIndex):
    """Every definition, lemma and theorem by chapter, with number and title, where sphinx-proof has a label."""

    localname = "Definitions and theorems"
    shortname = "theorems"

    def generate(self, docnames: object = None) -> tuple[list[tuple[str, list[IndexEntry]]], bool]:
        env = self.domain.env
        content = []
        for page in env.collect_relations():
            stated = []
            for label, found in env.proof_list.items():
                if found["docname"] == page:
                    number = ".".join(map(str, env.toc_fignumbers[page][found["countertype"]][label]))
                    kind = found["realtype"].title()
                    title = self.title(page, label)
                    stated.append(IndexEntry(f"{kind} {number}. {title}", 0, page, label, "", "", ""))
            if stated:
                content.append((env.titles[page].astext(), stated))
        return content, False

    def title(self, page: str, label: str) -> str:
        """What stands in brackets behind the number."""
        for node in self.domain.env.get_doctree(page).findall(nodes.Element):
            if label in node.get("ids", []) and node.get("realtype"):
                title = node.next_node(nodes.title)
                return title.astext().strip()[1:-1] if title else ""
        return ""


def derive(app: Sphinx, config: Config) -> None:
    """Set what follows from the repository's address."""
    address = pages_address(config.html_theme_options["repository_url"])
    config.html_baseurl = config.ogp_site_url = address
    config.notfound_urls_prefix = "/" + address.split("/", 3)[3]
    body = NOT_FOUND.format(start=config.notfound_urls_prefix)
    config.notfound_context = {"title": "Page not found", "body": body}


def mend_pages(html: Path, first: str) -> None:
    """Mend the theme's markup on every page of the folder, and give the folder's address the first page's card."""
    for path in html.glob("*.html"):
        path.write_text(mend(path.read_text(), path.stem))
    page = (html / f"{first}.html").read_text()
    # The first page has the book's title: once is enough.
    page = re.sub("<title>([^<]*?) &#8212; \\1</title>", r"<title>\1</title>", page)
    (html / f"{first}.html").write_text(page)
    about = re.findall(r'<title>[^<]*</title>|<meta (?:property|name)=[^>]*>|<link rel="canonical"[^>]*>', page)
    head = "\n".join(about)
    (html / "index.html").write_text(INDEX.format(first=first, head=head, title=re.findall("<title>([^<]*)", page)[0]))


def mend(page: str, name: str) -> str:
    """One page, without what weighs it down for nothing and with names that a screen reader can say."""
    # Icons come from a font; the same icons as a script of 1.5 MB are not needed, nor the search index outside search.
    unused = "fontawesome" if name == "search" else "fontawesome|searchtools|language_data|searchindex"
    page = re.sub(rf'\s*<script[^>]* src="[^"]*(?:{unused})\.js[^"]*"></script>', "", page)
    page = re.sub(r'<(i|span) class="([^"]*\bfa-(?:solid|brands|regular)\b)', r'<\1 aria-hidden="true" class="\2', page)
    # What a control is called must begin with what stands on it.
    page = page.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    page = page.replace('role="doc-biblioentry"', 'role="listitem"')  # deprecated
    if name == "prf-prf":  # its entries are sentences, not code, and what a link leads to has no spaces in its name
        page = re.sub(r'<code class="xref">(.*?)</code>', r"\1", page)
        page = re.sub(r'(?<="|#)cap-[^"]*', lambda place: place[0].replace(" ", "-"), page)
    return re.sub(r'(<button class="btn search-button-field [^>]*?) aria-label="Search"', r"\1", page)


def setup(app: Sphinx) -> dict[str, bool]:
    ProofDomain.indices = {Theorems}
    app.connect("config-inited", derive, priority=100)  # before the extensions that read these values
    return {"parallel_read_safe": True, "parallel_write_safe": True}
