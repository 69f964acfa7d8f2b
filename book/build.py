"""Build the book: execute each chapter of _toc.yml, then turn the executed notebooks into HTML.

    python book/build.py [--scale live|small|paper] [--jobs 2]

Writes nothing but _build/, which holds

    executed/   each chapter with its outputs, beside a record of what it was made from and the seconds it took
    runtime/    the third-party scripts the pages need (runtime.py)
    source/     what Sphinx reads: executed chapters, the other pages, style and scripts
    html/       the book

A chapter is executed again only when its notebook, the package, the pins, the scale or this script have changed.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import nbformat
import papermill
import yaml
from filelock import FileLock
from runtime import fetch_runtime

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
BUILD = ROOT / "_build"
SCALES = ("live", "small", "paper")
WIDGET = "application/vnd.jupyter.widget-view+json"
PROGRESS_BAR = re.compile(r"\d+%\|.*/s|\d+it \[|s/(it|step)")  # as tqdm writes itself out in plain text


def toc_files(node: object) -> list[str]:
    """Return the pages a table of contents names, in reading order, without their endings."""
    if isinstance(node, list):
        return [name for child in node for name in toc_files(child)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("root", "file") if key in node]
    return own + [name for key in ("parts", "chapters", "sections") for name in toc_files(node.get(key))]


def digest(paths: list[Path], *words: str) -> str:
    """Hash the contents and places of files, and some words besides."""
    total = hashlib.sha256("\0".join(words).encode())
    for path in sorted(paths):
        total.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def execute(name: str, scale: str) -> tuple[float, str]:
    """Execute one chapter with papermill; return the seconds it took and, if a cell failed, its traceback."""
    target = BUILD / "executed" / f"{name}.ipynb"
    folder = BUILD / "work" / name
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "kernel.log", "w") as log:
        os.dup2(log.fileno(), 2)  # the kernel inherits this: what it says of itself is not the reader's business
    # The parameter cell already says "live": handing it over again would only show the reader a second cell.
    parameters = {} if scale == "live" else {"scale": scale}
    start = time.perf_counter()
    try:
        papermill.execute_notebook(BOOK / f"{name}.ipynb", target, parameters, progress_bar=False, cwd=folder)
    except papermill.PapermillExecutionError as error:
        return time.perf_counter() - start, str(error)
    seconds = time.perf_counter() - start
    nbformat.write(tidy(nbformat.read(target, as_version=4)), target)
    return seconds, ""


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Take out of an executed notebook what has no place on a page: progress bars, and traces of this machine."""
    for part in (notebook, *notebook.cells):
        part.metadata.pop("papermill", None)  # times and paths
    views = 0
    for cell in notebook.cells:
        shown = [output.get("data", {}) for output in cell.get("outputs", [])]
        bars = [WIDGET in data and bool(PROGRESS_BAR.search(data.get("text/plain", ""))) for data in shown]
        if any(bars):
            cell.outputs = [output for output, bar in zip(cell.outputs, bars, strict=True) if not bar]
        views += sum(WIDGET in data for data in shown) - sum(bars)
    if not views:
        notebook.metadata.pop("widgets", None)  # a page without widgets need not load their scripts
    return notebook


def execute_chapters(names: list[str], scale: str, jobs: int) -> dict[str, float]:
    """Execute the chapters that need it, `jobs` at a time, and return the seconds each one took when it last ran."""
    shared = [*files_under(ROOT / "grokbook"), ROOT / "constraints.txt", Path(__file__).resolve()]
    common = digest(shared, scale, sys.version)
    keys = {name: digest([BOOK / f"{name}.ipynb"], common) for name in names}
    seconds: dict[str, float] = {}
    for name in names:
        record = BUILD / "executed" / f"{name}.json"
        if record.exists() and (known := json.loads(record.read_text()))["key"] == keys[name]:
            seconds[name] = known["seconds"]

    todo = [name for name in names if name not in seconds]
    print(f"{len(names)} chapters: {len(todo)} to execute at scale {scale}, {len(seconds)} unchanged", flush=True)
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // jobs))
    failed = []
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(execute, name, scale): name for name in todo}
        for done, future in enumerate(as_completed(running), start=1):
            name = running[future]
            taken, error = future.result()
            print(f"[{done}/{len(todo)}] {name:<32}{taken:7.1f} s{'   FAILED' if error else ''}", flush=True)
            if error:
                print(error, file=sys.stderr, flush=True)
                failed.append(name)
                continue
            seconds[name] = taken
            record = BUILD / "executed" / f"{name}.json"
            record.write_text(json.dumps({"key": keys[name], "seconds": taken, "scale": scale}))
    if failed:
        sys.exit(f"{len(failed)} of {len(todo)} chapters failed: {', '.join(sorted(failed))}")
    return seconds


def stage(pages: list[str], chapters: list[str]) -> Path:
    """Lay out in _build/source what Sphinx reads."""
    source = BUILD / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(BOOK / "_static", source / "_static")
    for bibliography in BOOK.glob("*.bib"):
        shutil.copy(bibliography, source)
    for name in pages:
        origin = BUILD / "executed" / f"{name}.ipynb" if name in chapters else BOOK / f"{name}.md"
        shutil.copy(origin, source)
    shutil.copytree(fetch_runtime(BUILD / "runtime"), source / "_extra" / "runtime")
    return source


def build_html(source: Path) -> None:
    """Run jupyter-book over the staged pages, every warning an error; skip it when nothing has changed."""
    stamp = BUILD / "html.key"
    key = digest([*files_under(source), ROOT / "_config.yml", ROOT / "_toc.yml", Path(__file__).resolve()])
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
    print(f"HTML built in {time.perf_counter() - start:.1f} s")
    stamp.write_text(key)


def build(scale: str = "live", jobs: int = 2) -> Path:
    """Execute and build the whole book; return its first page. Only one build runs at a time in a checkout."""
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / "lock"):
        (BUILD / "executed").mkdir(exist_ok=True)
        pages = toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text()))
        chapters = [name for name in pages if (BOOK / f"{name}.ipynb").exists()]
        seconds = execute_chapters(chapters, scale, jobs)
        build_html(stage(pages, chapters))
    for name in chapters:
        print(f"  {name:<32}{seconds[name]:7.1f} s")
    print(f"  {'all chapters':<32}{sum(seconds.values()):7.1f} s")
    return BUILD / "html" / "index.html"


def main() -> None:
    parser = argparse.ArgumentParser(description="Execute the chapters and build the HTML.")
    parser.add_argument("--scale", choices=SCALES, default="live")
    parser.add_argument("--jobs", type=int, default=2, help="chapters executed at a time")
    options = parser.parse_args()
    print(f"The book: {build(options.scale, options.jobs)}")


if __name__ == "__main__":
    main()
