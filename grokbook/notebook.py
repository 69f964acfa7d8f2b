"""What a chapter needs from the notebook it runs in: numbers handed from a cell to the text, and a place to keep runs.

MyST-NB's own `glue` lives in a package that Colab does not have; the format it writes is small and public, so the
chapters use this function and run anywhere.
"""

import os
from pathlib import Path

from IPython.core.formatters import format_display_data
from IPython.display import display

from grokbook import results

DRIVE = Path("/content/drive/MyDrive")  # where Colab mounts its reader's storage


def storage(scale: str) -> Path | None:
    """The folder in which a chapter keeps checkpoints and finished runs; None at the live scale, which keeps nothing.

    It is the folder named by the environment variable GROKBOOK_RUNS if that is set; in Colab one on the mounted Drive,
    which outlives the runtime; otherwise `runs`, where the notebook is.
    """
    if scale == "live":
        return None
    if "GROKBOOK_RUNS" in os.environ:
        return Path(os.environ["GROKBOOK_RUNS"])
    return DRIVE / "grokbook-runs" if DRIVE.is_dir() else Path("runs")


def glue(name: str, value: object) -> None:
    """Store `value` under `name`, for the text to quote as {glue:text}`name`.

    Numbers can be formatted where they are quoted: {glue:text}`name:.2f`.
    """
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()  # a NumPy or torch scalar writes itself as np.float64(...), which no format takes
    data, _ = format_display_data(value)
    prefix = "application/papermill.record/"  # which no page displays
    record = {"scrapbook": {"name": name, "mime_prefix": prefix}}
    display({prefix + kind: content for kind, content in data.items()}, metadata=record, raw=True)


def short(commit: str) -> str:
    """The first ten digits of a commit, and "+" if files differed from it when the run was made."""
    return commit[:10] + "+" * commit.endswith("+")


def sources(*names: str) -> None:
    """Print where the records of these experiments come from: runs by state, hours, machine, date, code, and how to
    run one of them again. "+" after a commit: files differed from it. Raises ValueError when one has no record."""
    for name in names:
        made = results.provenance(name)
        commits, machines = (sorted({origin[key] for origin in made["origins"]}) for key in ("commit", "machine"))
        key = next(run["key"] for run in made["runs"] if run["state"] != "missing")
        print(f"{name}: {made['description']}")
        states = ", ".join(f"{count} {state}" for state, count in made["runs_by_state"].items())
        print(f"  runs by state, those that others start from included: {states}")
        pace = f"{made['worker_hours']:.1f} core hours, {made['steps_per_second']:.0f} run-steps a second on a core"
        print(f"  {pace}, {'; '.join(machines)}; recorded {made['recorded'][:10]}")
        print("  code at commit", ", ".join(map(short, commits)))
        print(f"  one run again: grokbook rerun {name} {key}")
