"""Build the book: execute each chapter of _toc.yml, then turn the executed notebooks into HTML.

    python book/build.py [--scale live|small|paper] [--jobs 2]

Writes nothing but _build/, which holds

    executed/   each chapter with its outputs, and what it was made from and took (execute.py)
    runtime/    the third-party scripts the pages need (runtime.py)
    source/     what Sphinx reads: executed chapters, the other pages, style and scripts
    html/       the book

A chapter is executed again only when its notebook, the package, the pins, the scale or execute.py have changed.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml
from card import draw_card
from execute import BOOK, BUILD, ROOT, Taken, digest, execute_chapters, files_under
from filelock import FileLock
from readers import mend_pages
from runtime import fetch_runtime

SCALES = ("live", "small", "paper")


def toc_files(node: object) -> list[str]:
    """Return the pages a table of contents names, in reading order, without their endings."""
    if isinstance(node, list):
        return [name for child in node for name in toc_files(child)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("root", "file") if key in node]
    return own + [name for key in ("parts", "chapters", "sections") for name in toc_files(node.get(key))]


def stage(pages: list[str], chapters: list[str], runtime: Path) -> Path:
    """Lay out in _build/source what Sphinx reads."""
    source = BUILD / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(BOOK / "_static", source / "_static")
    for bibliography in BOOK.glob("*.bib"):
        shutil.copy(bibliography, source)
    for name in pages:
        origin = BUILD / "executed" / f"{name}.ipynb" if name in chapters else BOOK / f"{name}.md"
        shutil.copy(origin, source)
    draw_card(source / "card.png")
    shutil.copytree(runtime, source / "_extra" / "runtime")
    return source


def build_html(source: Path, first: str) -> None:
    """Run jupyter-book over the staged pages, every warning an error; skip it when nothing has changed."""
    stamp = BUILD / "html.key"
    ours = [ROOT / "_config.yml", ROOT / "_toc.yml", BOOK / "readers.py", Path(__file__).resolve()]
    key = digest([*files_under(source), *ours])
    if stamp.exists() and stamp.read_text() == key:
        print("The HTML is up to date.")
        return
    stamp.unlink(missing_ok=True)
    # Always from nothing: Sphinx repeats no warning about a page it does not read again.
    for folder in (BUILD / "html", BUILD / ".doctrees"):
        shutil.rmtree(folder, ignore_errors=True)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(source)]
    command += ["--config", str(ROOT / "_config.yml"), "--toc", str(ROOT / "_toc.yml"), "--path-output", str(ROOT)]
    start = time.perf_counter()
    result = subprocess.run([*command, "--warningiserror", "--nitpick", "--keep-going", "--quiet"], cwd=ROOT)
    if result.returncode:
        sys.exit("jupyter-book found warnings; each one above is an error here.")
    mend_pages(BUILD / "html", first)
    print(f"HTML built in {time.perf_counter() - start:.1f} s")
    stamp.write_text(key)


def build(scale: str = "live", jobs: int = 2) -> Path:
    """Execute and build the whole book; return its first page. Only one build runs at a time in a checkout."""
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / "lock"):
        (BUILD / "executed").mkdir(exist_ok=True)
        pages = toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text()))
        chapters = [name for name in pages if (BOOK / f"{name}.ipynb").exists()]
        runtime = fetch_runtime(BUILD / "runtime")  # first, so that a network that fails does so at once
        taken = execute_chapters(chapters, scale, jobs)
        build_html(stage(pages, chapters, runtime), pages[0])
    for name in chapters:
        print(f"  {name:<32}{taken[name]}")
    everything = Taken(sum(t.seconds for t in taken.values()), sum(t.cpu_seconds for t in taken.values()))
    print(f"  {'all chapters':<32}{everything}")
    return BUILD / "html" / "index.html"


def main() -> None:
    parser = argparse.ArgumentParser(description="Execute the chapters and build the HTML.")
    parser.add_argument("--scale", choices=SCALES, default="live")
    parser.add_argument("--jobs", type=int, default=2, help="chapters executed at a time")
    options = parser.parse_args()
    print(f"The book: {build(options.scale, options.jobs)}")


if __name__ == "__main__":
    main()
