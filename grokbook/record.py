"""Packing finished runs into the package's recorded data, and running any of them again to compare.

A table is kept small by thinning each history to even spacing in log-time and leaving out configuration columns that
are the same for all runs (the provenance has every configuration whole).
"""

import json
from collections import Counter
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import save_file

from grokbook import convergence, runs
from grokbook.batches import run_here, with_starts
from grokbook.experiments import Experiment, metrics
from grokbook.results import COLUMNS, CONFIG_COLUMNS, tidy
from grokbook.training import TrainConfig, train

DATA = Path(__file__).parent / "data"
NUMBERS = 300_000  # measured values in one table: about a megabyte


def record(experiment: Experiment, scale: str, folder: str | Path, data: str | Path = DATA) -> dict:
    """Write NAME.parquet and NAME.json (and NAME.safetensors) from the finished runs in `folder`.

    Returns the provenance written. Raises ValueError when no run has finished.
    """
    wanted = experiment.runs(scale)
    everything = with_starts(wanted)
    finished = [runs.load(folder, c) for c in everything if runs.path(folder, c).exists()]
    if not finished:
        raise ValueError(f"folder is {folder}; it holds no finished run of {experiment.name} at scale {scale}")
    table = thin(tidy(finished), len(finished))
    table["is_start"] = ~table["run"].isin([c.key for c in wanted])
    constant = [n for n in CONFIG_COLUMNS if n in table and table[n].nunique() == 1 and n not in ("train_size", "seed")]
    table = table[[name for name in COLUMNS if name in table and name not in constant]]
    data = Path(data)
    data.mkdir(parents=True, exist_ok=True)
    _write(table, data / f"{experiment.name}.parquet")
    if experiment.keeps_network and runs.path(folder, wanted[0]).exists():
        save_file(runs.load(folder, wanted[0]).params, data / f"{experiment.name}.safetensors")
    provenance = describe(experiment, scale, everything, finished, table)
    (data / f"{experiment.name}.json").write_text(json.dumps(provenance, indent=1) + "\n")
    return provenance


def thin(table: pd.DataFrame, n_runs: int, numbers: int = NUMBERS) -> pd.DataFrame:
    """Keep so many rows of each run that about `numbers` values are left, evenly by position, the ends always."""
    measured = [name for name in table if name not in (*CONFIG_COLUMNS, "run", "converged")]
    keep = max(20, numbers // (n_runs * len(measured)))
    parts = []
    for _, rows in table.groupby("run", sort=False):
        places = np.unique(np.linspace(0, len(rows) - 1, min(keep, len(rows))).round().astype(int))
        parts.append(rows.iloc[places])
    return pd.concat(parts, ignore_index=True)


def describe(
    experiment: Experiment, scale: str, wanted: list[TrainConfig], finished: list[runs.Run], table: pd.DataFrame
) -> dict:
    """The provenance of a table: totals, columns, origins, and each run's configuration, state and cost."""
    done = {run.config: run for run in finished}
    origins = [{name: value for name, value in run.origin.items() if name != "date"} for run in finished]
    kinds = list({json.dumps(o, sort_keys=True): o for o in origins}.values())
    states: list[dict] = []
    for config in wanted:
        state: dict = {"key": config.key, "state": "missing", "config": asdict(config)}
        if config in done:
            run = done[config]
            state |= {"seconds": round(run.seconds, 1), "date": run.origin["date"]}
            state["origin"] = kinds.index({name: value for name, value in run.origin.items() if name != "date"})
            if run.diverged_at is not None:
                state |= {"state": "diverged", "diverged_at": run.diverged_at}
            else:
                moved = convergence.drift(run.history)
                state["state"] = "converged" if moved.converged else "unconverged"
                state["drift"] = {
                    name: float(f"{value:.3g}") for name, value in moved._asdict().items() if value == value
                }
        states.append(state)
    seconds = sum(run.seconds for run in finished)
    steps = sum(run.config.steps for run in finished if run.diverged_at is None)
    return {
        "experiment": experiment.name,
        "figure": experiment.figure,
        "description": experiment.description,
        "scale": scale,
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs_by_state": dict(Counter(state["state"] for state in states)),
        "worker_hours": round(seconds / 3600, 3),
        "steps_per_second": round(steps / seconds, 2) if seconds else None,
        "convergence": {"rule": (convergence.__doc__ or "").strip(), "tolerances": convergence.TOLERANCE},
        "columns": {name: COLUMNS[name] for name in table.columns},
        "origins": kinds,
        "runs": states,
    }


def rerun(config: TrainConfig, recorded: pd.DataFrame, steps: int | None = None) -> pd.DataFrame:
    """Run a recorded configuration again, `steps` updates of it if given, and put the numbers side by side.

    recorded: the run's rows. Returns columns step, column, recorded, rerun. Numbers agree closely at first; over many
    steps rounding differs with the machine and with the runs that shared the ensemble, and training amplifies it.
    """
    steps = config.steps if steps is None else steps
    rows = recorded[recorded["step"] <= steps]
    if not 0 <= steps <= config.steps or rows.empty:
        raise ValueError(f"steps is {steps}; it must be between {recorded['step'].min()} and {config.steps}")
    start = None
    if config.start is not None:
        start = {name: weight[None] for name, weight in run_here([config.start])[0].params.items()}
    short = replace(config, steps=steps)
    again = train([short], start=start, log_steps=rows["step"].tolist(), metrics=metrics(config)).history
    measured = [name for name in again if name in rows and name != "step"]
    both = rows.melt("step", measured, "column", "recorded").merge(again.melt("step", measured, "column", "rerun"))
    return both.astype({"recorded": "float64"})


def _write(table: pd.DataFrame, path: Path) -> None:
    """Write as float32 with zstd; text columns as dictionaries."""
    for name in table:
        if table[name].dtype == "float64":
            table[name] = table[name].astype("float32")
        elif not pd.api.types.is_numeric_dtype(table[name]):
            table[name] = table[name].astype("category")
    text = [name for name in table if isinstance(table[name].dtype, pd.CategoricalDtype)]
    whole = [n for n in table if table[n].dtype == "int64"]
    floats = [name for name in table if table[name].dtype == "float32"]
    pq.write_table(
        pa.Table.from_pandas(table, preserve_index=False),
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=text + whole,
        use_byte_stream_split=floats,
    )
