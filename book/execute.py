"""Execute chapters with papermill, each in a process and a folder of its own, and only those that have changed.

What a chapter was made from stands beside the executed copy, with the seconds it took: by the clock, which depends on
what else the machine does, and of processor time, which hardly does.
"""

import hashlib
import json
import multiprocessing
import os
import re
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
import papermill

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
BUILD = ROOT / "_build"
WIDGET = "application/vnd.jupyter.widget-view+json"
PROGRESS_BAR = re.compile(r"\d+%\||\d+it \[|s/(it|step)")  # as tqdm writes itself out in plain text


@dataclass(frozen=True)
class Taken:
    """What executing a chapter cost: seconds by the clock, and of processor time, its kernel's included."""

    seconds: float
    cpu_seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:7.1f} s, {self.cpu_seconds:6.1f} s of processor time"


def digest(paths: list[Path], *words: str) -> str:
    """Hash the contents and places of files, and some words besides."""
    total = hashlib.sha256("\0".join(words).encode())
    for path in sorted(paths):
        total.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def execute(name: str, scale: str) -> tuple[Taken, str]:
    """Execute one chapter with papermill; return what it took and, if a cell failed, its traceback."""
    target = BUILD / "executed" / f"{name}.ipynb"
    folder = BUILD / "work" / name
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "kernel.log", "w") as log:
        os.dup2(log.fileno(), 2)  # the kernel inherits this: what it says of itself is not the reader's business
    # The parameter cell already says "live": handing it over again would only show the reader a second cell.
    parameters = {} if scale == "live" else {"scale": scale}
    start, cpu_start, failure = time.perf_counter(), kernels_seconds(), ""
    try:
        papermill.execute_notebook(BOOK / f"{name}.ipynb", target, parameters, progress_bar=False, cwd=folder)
        nbformat.write(tidy(nbformat.read(target, as_version=4)), target)
    except papermill.PapermillExecutionError as error:
        failure = str(error)
    return Taken(time.perf_counter() - start, kernels_seconds() - cpu_start), failure


def kernels_seconds() -> float:
    """Processor time of all kernels that this process has started and seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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


def execute_chapters(names: list[str], scale: str, jobs: int) -> dict[str, Taken]:
    """Execute the chapters that need it, `jobs` at a time, and return what each one took when it last ran."""
    shared = [*files_under(ROOT / "grokbook"), ROOT / "constraints.txt", Path(__file__).resolve()]
    common = digest(shared, scale, sys.version)
    keys = {name: digest([BOOK / f"{name}.ipynb"], common) for name in names}
    taken: dict[str, Taken] = {}
    for name in names:
        record = BUILD / "executed" / f"{name}.json"
        if record.exists() and (known := json.loads(record.read_text()))["key"] == keys[name]:
            taken[name] = Taken(known["seconds"], known["cpu_seconds"])

    todo = [name for name in names if name not in taken]
    print(f"{len(names)} chapters: {len(todo)} to execute at scale {scale}, {len(taken)} unchanged", flush=True)
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // jobs))
    failed = []
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(execute, name, scale): name for name in todo}
        for done, future in enumerate(as_completed(running), start=1):
            name = running[future]
            cost, error = future.result()
            print(f"[{done}/{len(todo)}] {name:<32}{cost}{'   FAILED' if error else ''}", flush=True)
            if error:
                print(error, file=sys.stderr, flush=True)
                failed.append(name)
                continue
            taken[name] = cost
            record = BUILD / "executed" / f"{name}.json"
            record.write_text(json.dumps({"key": keys[name], "scale": scale, **asdict(cost)}))
    if failed:
        sys.exit(f"{len(failed)} of {len(todo)} chapters failed: {', '.join(sorted(failed))}")
    return taken
