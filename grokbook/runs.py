"""One finished run as one file: its configuration, history, final network, and how it came about.

A file is named after its configuration's hash, `<key>.safetensors`, and complete if it exists. Names starting with
"history." are the history's columns.
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open

from grokbook import checkpoints
from grokbook.model import Params
from grokbook.training import TrainConfig

FORMAT = "grokbook run 1"


@dataclass
class Run:
    """A run that is over. `diverged_at` is the step at which it was no longer finite; then `params` is empty.

    `seconds` is its share of its ensemble's wall time; `origin` says what code, versions and machine made it, and when.
    """

    config: TrainConfig
    history: pd.DataFrame
    params: Params
    seconds: float
    origin: Mapping[str, str]
    diverged_at: int | None = None


def path(folder: str | Path, config: TrainConfig) -> Path:
    """Where the run's file is, or will be."""
    return Path(folder) / f"{config.key}.safetensors"


def save(folder: str | Path, run: Run) -> None:
    """Write the run's file atomically."""
    columns = {f"history.{name}": torch.tensor(run.history[name].to_numpy("float64")) for name in run.history}
    metadata = {
        "format": FORMAT,
        "config": run.config.to_json(),
        "seconds": json.dumps(run.seconds),
        "origin": json.dumps(dict(run.origin)),
        "diverged_at": json.dumps(run.diverged_at),
    }
    checkpoints.write(path(folder, run.config), run.params | columns, metadata)


def load(folder: str | Path, config: TrainConfig) -> Run:
    """The finished run. Raises FileNotFoundError when there is none, ValueError for a damaged file or another thing."""
    try:
        with safe_open(path(folder, config), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path(folder, config)} cannot be read ({error}); delete it to run again") from error
    if metadata.get("format") != FORMAT or metadata["config"] != config.to_json():
        raise ValueError(f"{path(folder, config)} is not a {FORMAT!r} file of this run; delete it to run again")
    columns = {name.removeprefix("history."): t for name, t in tensors.items() if name.startswith("history.")}
    history = pd.DataFrame({name: t.numpy() for name, t in columns.items()})
    if "step" in history:
        history = history.astype({"step": "int64"})
        history = history[["step", *sorted(name for name in columns if name != "step")]]
    params = {name: t for name, t in tensors.items() if not name.startswith("history.")}
    values = {name: json.loads(metadata[name]) for name in ("seconds", "origin", "diverged_at")}
    return Run(config, history, params, **values)


def origin() -> dict[str, str]:
    """The code, versions and machine of this process, and the time."""
    return {
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        **{name: version(name) for name in ("grokbook", "torch", "numpy")},
        "machine": _machine(),
    }


def commit() -> str:
    """The git commit the package stands at, with "+" when its files differ from it; "unknown" outside a checkout."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)  # an installed package may lie in another's checkout
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", "*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def _git(*words: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _machine() -> str:
    """Processor and number of cores, or the GPU's name."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    names = []
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"
