"""Packing finished runs into the package's recorded data, and running any of them again to compare.

A table is kept small by thinning each history to even spacing in log-time and leaving out configuration columns that
are the same for all runs (the provenance has every configuration whole).
"""

import json
import os
from collections import Counter
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import save_file

from grokbook import convergence, runs
from grokbook.batches import run_here, with_starts
from grokbook.experiments import Experiment, metrics
from grokbook.results import COLUMNS, CONFIG_COLUMNS, described_by, tidy
from grokbook.training import TrainConfig, train

DATA = Path(__file__).parent / "data"
NUMBERS = 500_000  # measured values in one table: about a megabyte and a half


def record(experiment: Experiment, scale: str, folder: str | Path, data: str | Path, drop: bool = False) -> dict:
    """Write NAME.parquet and NAME.json (and NAME.safetensors) to `data` from the finished runs in `folder`.

    Runs of this scale recorded before whose files are no longer in `folder` are kept, so that a sweep can be finished
    elsewhere; others are dropped if `drop` says so. No file changes before all are written. Returns the provenance.
    Raises ValueError when no run has finished, one would be dropped unasked, or a key_mask is of a modulus above 49.
    """
    data, wanted = Path(data), experiment.runs(scale)
    everything = with_starts(wanted)
    if not drop:
        _check_kept(experiment.name, scale, data, {c.key for c in everything})
    finished = [runs.load(folder, c) for c in everything if runs.path(folder, c).exists()]
    if not finished:
        raise ValueError(f"folder is {folder}; it holds no finished run of {experiment.name} at --scale {scale}")
    kept = earlier(experiment.name, data, {c.key for c in everything} - {run.config.key for run in finished})
    table = thin(tidy(finished), len(finished) + len(kept.states))
    if "key_mask" in table and (table.loc[table["key_mask"].notna(), "modulus"] > 49).any():
        raise ValueError(f"modulus is {table['modulus'].max()}; key_mask is stored in float32, exact only up to 49")
    table = pd.concat([kept.table, table], ignore_index=True)
    table["is_start"] = ~table["run"].isin([c.key for c in wanted])
    constant = [n for n in CONFIG_COLUMNS if n in table and table[n].nunique() == 1 and n not in ("train_size", "seed")]
    table = table[[name for name in COLUMNS if name in table and name not in constant]]
    provenance = describe(experiment, scale, everything, finished, kept, table)
    data.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=data) as unfinished:
        new = [Path(unfinished) / f"{experiment.name}.{kind}" for kind in ("parquet", "safetensors", "json")]
        _write(table, new[0])
        if experiment.keeps_network and runs.path(folder, wanted[0]).exists():
            save_file(runs.load(folder, wanted[0]).params, new[1])
        new[2].write_text(json.dumps(provenance, indent=1) + "\n")
        for path in new:
            if path.exists():
                os.replace(path, data / path.name)
            elif drop:  # the network there may be another run's
                (data / path.name).unlink(missing_ok=True)
    return provenance


def _check_kept(name: str, scale: str, data: Path, keys: set[str]) -> None:
    """Raise ValueError when the record in `data` is of another scale, or has runs that are not of `keys`."""
    if (data / f"{name}.json").exists():
        made = json.loads((data / f"{name}.json").read_text())
        lost = {run["key"] for run in made["runs"] if run["state"] != "missing"} - keys
        if made["scale"] != scale or lost:
            known = f"{name} is on record at scale {made['scale']!r}, with {len(lost)} runs that are not of this list"
            raise ValueError(f"scale is {scale!r}; {known}. They would be dropped: --replace allows that")


class Earlier(NamedTuple):
    """What was recorded before: rows with every configuration column, and states with their origin written out."""

    table: pd.DataFrame
    states: dict[str, dict]


def earlier(name: str, data: Path, keys: set[str]) -> Earlier:
    """The runs of `keys` in the table and provenance that `data` holds of experiment `name`; empty when none."""
    if not (data / f"{name}.json").exists():
        return Earlier(pd.DataFrame(), {})
    provenance = json.loads((data / f"{name}.json").read_text())
    states = {s["key"]: s for s in provenance["runs"] if s["key"] in keys and s["state"] != "missing"}
    table = pd.read_parquet(data / f"{name}.parquet")
    table = table[table["run"].isin(states)].astype({"run": str}).copy()  # parquet's own columns cannot be written to
    for state in states.values():
        state["origin"] = provenance["origins"][state["origin"]]
        described = described_by(TrainConfig.from_json(json.dumps(state["config"])))
        for column in set(described) - set(table):
            table[column] = None
        table.loc[table["run"] == state["key"], list(described)] = list(described.values())
    return Earlier(table, states)


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
    experiment: Experiment,
    scale: str,
    wanted: list[TrainConfig],
    finished: list[runs.Run],
    kept: Earlier,
    table: pd.DataFrame,
) -> dict:
    """The provenance of a table: totals, columns, origins, and each run's configuration, state and cost."""
    done = {run.config: run for run in finished}
    origins = [{name: value for name, value in run.origin.items() if name != "date"} for run in finished]
    origins += [state["origin"] for state in kept.states.values()]
    kinds = list({json.dumps(o, sort_keys=True): o for o in origins}.values())
    states: list[dict] = []
    for config in wanted:
        state: dict = {"key": config.key, "state": "missing", "config": asdict(config)}
        if config.key in kept.states:
            state = kept.states[config.key] | {"origin": kinds.index(kept.states[config.key]["origin"])}
        elif config in done:
            run = done[config]
            state |= {"seconds": round(run.seconds, 1), "date": run.origin["date"]}
            state["origin"] = kinds.index({name: value for name, value in run.origin.items() if name != "date"})
            if run.diverged_at is not None:
                state |= {"state": "diverged", "diverged_at": run.diverged_at}
            else:
                moved = convergence.drift(run.history)
                state["state"] = "converged" if moved.converged else "unconverged"
                state["drift"] = {name: float(f"{v:.3g}") for name, v in moved._asdict().items() if v == v}
        states.append(state)
    over = [state for state in states if state["state"] != "missing"]
    seconds = sum(state["seconds"] for state in over)
    steps = sum(state["config"]["steps"] for state in over if state["state"] != "diverged")
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
    Raises ValueError when nothing is on record up to `steps`, or it is more than the run has.
    """
    steps = config.steps if steps is None else steps
    rows = recorded[recorded["step"] <= steps]
    if not 0 <= steps <= config.steps or rows.empty:
        raise ValueError(f"steps is {steps}; it must be between {recorded['step'].min()} and {config.steps}")
    begun = run_here([config.start])[0].params if config.start else None
    start = begun and {name: weight[None] for name, weight in begun.items()}
    short = replace(config, steps=steps)
    again = train([short], start=start, log_steps=rows["step"].tolist(), metrics=metrics(config)).history
    measured = [name for name in again if name in rows and name not in ("run", "step")]
    both = rows.melt("step", measured, "column", "recorded").merge(again.melt("step", measured, "column", "rerun"))
    return both.astype({"recorded": "float64"})


def _write(table: pd.DataFrame, path: Path) -> None:
    """Write as float32 with zstd; text columns as dictionaries."""
    for name in table:
        if table[name].dtype == "float64":
            table[name] = table[name].astype("float32")
        elif not pd.api.types.is_numeric_dtype(table[name]):
            table[name] = table[name].astype("category")
    coded = [name for name in table if table[name].dtype.name in ("category", "int64")]
    floats = [name for name in table if table[name].dtype == "float32"]
    pq.write_table(
        pa.Table.from_pandas(table, preserve_index=False),
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=coded,
        use_byte_stream_split=floats,
    )
