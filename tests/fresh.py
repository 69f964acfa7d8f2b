"""Run every chapter as in Colab: a runtime that has torch and Jupyter, and nothing of this book. `make fresh`

    python tests/fresh.py [--jobs 2] [CHAPTER ...]

Builds the wheel. Makes an environment with what such a runtime has: torch at our pin, and numpy, pandas, matplotlib and
ipykernel as new as pip finds them. Runs the chapters' own install cell there, with the wheel in place of the public
address. Then executes the chapters, outside the checkout, with only what that environment has.

Stops with a message unless the install took less than a minute, left torch, numpy, pandas and matplotlib as they were
and brought none of the tools that build the book, and every chapter ran to its end.
"""

import argparse
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
RUNTIME = ("torch", "numpy", "pandas", "matplotlib")
INSTALL_SECONDS = 60

LIST = """\
import hashlib, importlib.metadata, json, re
print(json.dumps({
    re.sub("[-_.]+", "-", found.name).lower():
        [found.version, hashlib.sha256((found.read_text("RECORD") or "").encode()).hexdigest()]
    for found in importlib.metadata.distributions()}))
"""


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the tracked files, so that nothing left over in the working tree gets in."""
    source = folder / "source"
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for path in (ROOT / name for name in listing.stdout.splitlines()):
        if path.exists():
            copy = source / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)])
    return next(folder.glob("grokbook-*.whl"))


def run(command: list[str]) -> str:
    """What a command prints; everything it said, and an end, if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def make_runtime(folder: Path) -> Path:
    """An environment as a hosted notebook has it; returns its Python, and registers it as the kernel `fresh`."""
    run([sys.executable, "-m", "venv", str(folder / "runtime")])
    python = folder / "runtime" / "bin" / "python"
    torch = re.search(r"^torch==.*", (ROOT / "constraints.txt").read_text(), flags=re.M)
    assert torch  # a bare `torch` can bring gigabytes of CUDA along
    run([str(python), "-m", "pip", "install", "--quiet", torch[0], *RUNTIME[1:], "ipykernel"])
    kernel = folder / "jupyter" / "kernels" / "fresh" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": "fresh", "language": "python"}))
    return python


def installed(python: Path) -> dict[str, list[str]]:
    """Version, and hash of the list of files, of every distribution of an environment."""
    return json.loads(run([str(python), "-I", "-c", LIST]))


def execute(notebook: nbformat.NotebookNode, folder: Path) -> tuple[float, str]:
    """Execute a notebook with the kernel `fresh` in a folder of its own; return its seconds and any traceback."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "kernel.log", "w") as log:
        os.dup2(log.fileno(), 2)
    client = NotebookClient(notebook, timeout=600, kernel_name="fresh", resources={"metadata": {"path": str(folder)}})
    start = time.perf_counter()
    try:
        client.execute()
    except CellExecutionError as error:
        return time.perf_counter() - start, str(error)
    return time.perf_counter() - start, ""


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def install(wheel: Path, folder: Path) -> tuple[float, str]:
    """Run the install cell of the first chapter, which all have in common, with the wheel's place in it."""
    cell = next(cell for cell in read(ROOT / "book" / "01-grokking.ipynb").cells if cell.cell_type == "code")
    assert ADDRESS in cell.source
    source = cell.source.replace(f"git+{ADDRESS}", wheel.as_uri())
    return execute(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), folder)


def check_install(before: dict, after: dict, seconds: float, failure: str) -> None:
    """Stop unless the install cell did what it must, in time, and no more."""
    new = sorted(set(after) - set(before))
    print(f"installed in {seconds:.1f} s: {', '.join(f'{name} {after[name][0]}' for name in new)}", flush=True)
    touched = [name for name in RUNTIME if after.get(name) != before[name]]
    extras = [name for extra in PROJECT["optional-dependencies"].values() for name in map(plain, extra)]
    tools = sorted({*extras, "sphinx"} - {plain(name) for name in PROJECT["dependencies"]} - set(before))
    faults = [failure] if failure else []
    faults += ["grokbook is not installed"] if "grokbook" not in new else []
    faults += [f"the install took {seconds:.0f} s, more than {INSTALL_SECONDS}"] if seconds > INSTALL_SECONDS else []
    faults += [f"the install changed {name}" for name in touched]
    faults += [f"the install brought {name}, which readers do not need" for name in tools if name in after]
    if faults:
        sys.exit("\n".join(faults))


def plain(requirement: str) -> str:
    """The name in a requirement, in the one spelling that pip compares."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


def main() -> None:
    parser = argparse.ArgumentParser(description="Execute the chapters in a bare runtime, with the wheel alone.")
    parser.add_argument("chapters", nargs="*", help="file names without their endings; all chapters by default")
    parser.add_argument("--jobs", type=int, default=2, help="chapters executed at a time")
    options = parser.parse_args()
    names = options.chapters or sorted(path.stem for path in (ROOT / "book").glob("*.ipynb"))
    spawn = multiprocessing.get_context("spawn")
    with TemporaryDirectory(prefix="grokbook-fresh-") as place:
        folder = Path(place)
        wheel, python = build_wheel(folder), make_runtime(folder)
        # What a reader's runtime would not see, the kernels must not see either.
        os.environ.pop("PYTHONPATH", None)
        os.environ |= {"JUPYTER_PATH": str(folder / "jupyter"), "TQDM_DISABLE": "1"}
        os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // options.jobs))
        before = installed(python)
        print("a bare runtime with", ", ".join(f"{name} {before[name][0]}" for name in RUNTIME), flush=True)
        with ProcessPoolExecutor(options.jobs, mp_context=spawn) as pool:
            seconds, failure = pool.submit(install, wheel, folder / "install").result()
            check_install(before, installed(python), seconds, failure)
            waiting = {pool.submit(execute, read(ROOT / "book" / f"{n}.ipynb"), folder / n): n for n in names}
            failed = {}
            for done, future in enumerate(as_completed(waiting), start=1):
                name, (seconds, failure) = waiting[future], future.result()
                print(f"[{done}/{len(names)}] {name:<32}{seconds:7.1f} s{'   FAILED' if failure else ''}", flush=True)
                failed |= {name: failure} if failure else {}
    if failed:
        sys.exit("\n\n".join(f"{name}: {failure}" for name, failure in failed.items()))
    print(f"All {len(names)} chapters ran with the wheel alone.")


if __name__ == "__main__":
    main()
