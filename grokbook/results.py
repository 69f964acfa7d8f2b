"""Recorded data: what the sweeps found, as tables that come with the package, and where each number is from.

`data/NAME.parquet` holds the histories of an experiment's runs, thinned to even spacing in log-time; `data/NAME.json`
says which runs, made when, by what code and machine, and describes every column.
"""

import json
from collections.abc import Iterable
from dataclasses import fields
from importlib.resources import files
from importlib.resources.abc import Traversable

import pandas as pd
from safetensors.torch import load as read_tensors

from grokbook.convergence import drift
from grokbook.experiments import EXPERIMENTS
from grokbook.model import Params
from grokbook.runs import Run
from grokbook.training import TrainConfig

COLUMNS = {
    "run": "key of the run's configuration (hash)",
    "task": "name of the operation",
    "modulus": "p; the S5 tasks ignore it",
    "train_size": "D: train equations",
    "steps": "full-batch updates of the whole run",
    "weight_decay": "strength of the regulariser; decoupled weight decay: per unit of learning rate and step",
    "learning_rate": "learning rate",
    "betas": "Adam's decay rates",
    "seed": "seed of the initialisation, of the train set, of random labels and of dropout",
    "random_labels": "whether labels are random",
    "model": "widths of the network",
    "precision": "of float32 matrix products, as torch names it",
    "start": "key of the run whose final network this run continues; empty for a fresh network",
    "regulariser": "what weight_decay means (module regularisers)",
    "optimiser": "adam, or sgd with momentum",
    "dropout": "share of the hidden neurons that are silent in a training step",
    "loss": "the form in which the loss's gradient is computed",
    "epsilon": "what Adam adds to the root of its second moment; sgd ignores it",
    "converged": "whether the run was flat over the last factor of four of its steps (module convergence)",
    "is_start": "whether other runs of the experiment start from this one (dropped by results.load)",
    "step": "updates done when the row was measured",
    "train_loss": "mean cross-entropy on the train equations, nats",
    "test_loss": "mean cross-entropy on all other equations, nats",
    "train_accuracy": "share of train equations answered right, 0 to 1",
    "test_accuracy": "share of all other equations answered right, 0 to 1",
    "mirror_free_accuracy": "the same on test equations x, y whose mirror y, x is not a train equation with that label",
    "parameter_norm": "L2 norm of all parameters",
    "correct_logit": "mean over train equations of the correct logit less the mean over classes",
    "trig_logit": "correct logit of the trigonometric part, the same on every equation (Appendix B)",
    "mem_logit": "mean over train equations of the rest of the centred correct logit (Appendix B)",
    "trig_share": "trigonometric part's share of the squared norm of the centred logits, 0 to 1",
    "trig_test_loss": "test loss of the trigonometric part alone, nats",
    "l1_norm": "L1 norm of all parameters",
    "largest_weight": "L-infinity norm of all parameters",
    "key_mask": "the frequencies k that carry 2% or more of the trigonometric part, as the sum of 2^(k-1) over them",
}
"""Every column a table may have, with its unit."""


CONFIG_COLUMNS = tuple(f.name for f in fields(TrainConfig))


def load(name: str) -> pd.DataFrame:
    """The recorded histories of experiment `name`: a row for each run and measured step.

    Every column that describes a run (see `COLUMNS`) is there, repeated on each of its rows. Raises ValueError, like
    all functions here that take a name, when nothing is recorded under it.
    """
    return _histories(name, starts=False)


def load_starts(name: str) -> pd.DataFrame:
    """The recorded histories of the runs that those of `name` start from; `load`'s column start holds their keys."""
    return _histories(name, starts=True)


def final(name: str) -> pd.DataFrame:
    """The last measured row of each run of experiment `name`."""
    return last_rows(load(name))


def last_rows(history: pd.DataFrame) -> pd.DataFrame:
    """The row of the last step of each run of a table such as `load` returns, in the runs' order."""
    return history.loc[history.groupby("run", sort=False, observed=True)["step"].idxmax()].reset_index(drop=True)


def provenance(name: str) -> dict:
    """How the data of experiment `name` came about: each run's configuration, state and cost, versions, machines."""
    return json.loads(_file(name, "json").read_text())


def overview() -> pd.DataFrame:
    """All that is on record, a row an experiment.

    Columns: figures (of the paper); runs, those among them that have converged, and what is still to run, each with the
    runs they start from; core hours; run-steps a second on one core.
    """
    rows = {}
    for name in filter(recorded, EXPERIMENTS):
        made = provenance(name)
        states = made["runs_by_state"]
        rows[name] = {
            "figures": made["figure"].removeprefix("Figures ").removeprefix("Figure "),
            "runs": sum(count for state, count in states.items() if state != "missing"),
            "converged": states.get("converged", 0),
            "still to run": states.get("missing", 0),
            "core hours": made["worker_hours"],
            "run-steps a second": made["steps_per_second"],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("experiment")


def configs(name: str) -> dict[str, TrainConfig]:
    """The configuration of each run of experiment `name`, recorded or missing, and of those they start from, by key."""
    return {run["key"]: TrainConfig.from_json(json.dumps(run["config"])) for run in provenance(name)["runs"]}


def config(name: str, key: str) -> TrainConfig:
    """The configuration of one recorded run, by its key or an unambiguous beginning of it. Raises ValueError."""
    found = [config for whole, config in configs(name).items() if whole.startswith(key)]
    if len(found) != 1:
        raise ValueError(f"key is {key!r}; {len(found)} runs of {name} have a key that begins so, it must be one")
    return found[0]


def network(name: str) -> Params:
    """The final network [1, ...] of the first run of experiment `name`, for those that keep it. Raises ValueError."""
    return {
        weight: tensor[None].float() for weight, tensor in read_tensors(_file(name, "safetensors").read_bytes()).items()
    }


def tidy(runs: Iterable[Run]) -> pd.DataFrame:
    """One table like `load`'s from runs that are over, every measured step and every column of the configuration.

    Raises ValueError when no run has a history, or one is too short for `convergence.drift`.
    """
    tables = []
    for run in runs:
        if run.history.empty:
            continue
        converged = run.diverged_at is None and drift(run.history).converged
        tables.append(run.history.assign(**described_by(run.config), run=run.config.key, converged=converged))
    if not tables:
        raise ValueError("runs is empty, or no run has a history; at least one is needed")
    table = pd.concat(tables, ignore_index=True)
    return table[[name for name in COLUMNS if name in table]]


def described_by(config: TrainConfig) -> dict:
    """A run's configuration as a table's columns have it."""
    described = {name: getattr(config, name) for name in CONFIG_COLUMNS}
    described |= {"model": str(config.model), "betas": str(config.betas)}
    return described | {"start": config.start.key if config.start else ""}


def recorded(name: str) -> set[str]:
    """The keys of the runs that experiment `name` has on record; empty when it has none."""
    try:
        return {run["key"] for run in provenance(name)["runs"] if run["state"] != "missing"}
    except ValueError:
        return set()


def names(*beginnings: str) -> list[str]:
    """The experiments on record whose names begin with one of these, in the order of EXPERIMENTS."""
    return [name for name in EXPERIMENTS if name.startswith(beginnings) and recorded(name)]


def load_all(*beginnings: str) -> pd.DataFrame:
    """The `load` of all `names`, one table; a run that several have stands in it once. Raises ValueError for none."""
    tables = [load(name) for name in names(*beginnings)]
    if not tables:
        raise ValueError(f"beginnings is {beginnings}; no experiment whose name begins so is recorded yet")
    return pd.concat(tables, ignore_index=True).drop_duplicates(["run", "step"], ignore_index=True)


def _histories(name: str, starts: bool) -> pd.DataFrame:
    """The file's rows of one kind, and the columns it leaves out because they are the same for all its runs."""
    with _file(name, "parquet").open("rb") as file:
        table = pd.read_parquet(file)
    table = table[table["is_start"] == starts].drop(columns="is_start").reset_index(drop=True)
    described = pd.DataFrame({key: described_by(config) for key, config in configs(name).items()}).T.infer_objects()
    told = described.loc[table["run"]].reset_index(drop=True)
    return table.assign(run=table["run"].astype(str), **{column: told[column] for column in CONFIG_COLUMNS})


def _file(name: str, kind: str) -> Traversable:
    folder = files("grokbook") / "data"
    found = folder / f"{name}.{kind}"
    if not found.is_file():
        there = sorted(f.name.removesuffix(f".{kind}") for f in folder.iterdir() if f.name.endswith(f".{kind}"))
        raise ValueError(f"name is {name!r}; recorded are {', '.join(there) or 'none yet'}")
    return found
