"""What takes the place of weight decay (Chapter 13): which kind a run is, when it grokked, which norm fell.

A run has fitted its data when 99% of the train equations are right, and generalises when 90% of the mirror-free test
equations are. It has grokked when it generalises at the end and took at least twice as many steps to do so as to fit.
"""

import numpy as np
import pandas as pd

from grokbook import results
from grokbook.outcomes import MIDDLING, first_step, smoothed
from grokbook.training import TrainConfig

FITTED, RIGHT, DELAY = 0.99, 0.9, 2.0
NORMS = ("l1_norm", "parameter_norm", "largest_weight")
OUTCOMES = ("grokked", "at once", "in part", "memorised", "not fitted")
STILL = 1e-5  # a norm that changes by less than this share does not change

OWN = {
    "weight decay": "parameter_norm",
    "L2 penalty": "parameter_norm",
    "SGD with L2 penalty": "parameter_norm",
    "L1 penalty": "l1_norm",
    "L∞ bound": "largest_weight",
}
"""The explicit kinds, and the norm that each charges for or bounds; weight decay as the paper sees it."""
UNCHARGED = {
    "nothing": "weight decay",
    "nothing, small ε": "weight decay",
    "SGD with nothing": "SGD with L2 penalty",
}
"""The kinds with no charge, in the stable loss; for each the kind that differs by a charge on the L2 norm."""
BARE = ("dropout", *UNCHARGED, "nothing, usual loss")
_NAMES = {
    ("decoupled", "adam"): "weight decay",
    ("l2", "adam"): "L2 penalty",
    ("l2", "sgd"): "SGD with L2 penalty",
    ("l1", "adam"): "L1 penalty",
    ("linf", "adam"): "L∞ bound",
}


def kind(config: TrainConfig | pd.Series) -> str:
    """One of OWN or BARE, for a configuration or a row with its columns. Raises ValueError for one without a name."""
    if config.dropout:
        return "dropout"
    if config.weight_decay == 0:
        if config.loss != "stable":
            return "nothing, usual loss"
        plain, small, sgd = UNCHARGED
        return sgd if config.optimiser == "sgd" else small if config.epsilon < 1e-8 else plain
    combination = config.regulariser, config.optimiser
    if combination not in _NAMES:
        raise ValueError(f"config has {combination}; kinds are named for {', '.join(map(str, _NAMES))}")
    return _NAMES[combination]


def described(table: pd.DataFrame) -> pd.DataFrame:
    """Histories such as `results.load` returns, with a column kind."""
    kinds = {key: kind(row) for key, row in table.groupby("run", observed=True).first().iterrows()}
    return table.assign(kind=table["run"].map(kinds))


def recorded(random_labels: bool = False) -> pd.DataFrame:
    """`described` histories of all recorded runs of this kind, those on random labels or the others.

    Raises ValueError when nothing is recorded.
    """
    table = described(results.load_all("regularisers"))
    return table[table["random_labels"] == random_labels].reset_index(drop=True)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """A row a run of `described` histories.

    Columns: those that describe the run; outcome (one of OUTCOMES; "in part" is a middling end, "at once" without the
    delay); accuracy (mirror-free, at the end); fitted_at (the step; infinity when it did not); right_at (the step at
    which a run that generalises at the end did so, at once or later; else infinity); still_from (the step after which
    the L2 norm changes no more; infinity when it changes to the end); for each of NORMS its value at the end, and its
    change since the data were fitted as a natural logarithm, named after it with "_change".
    """
    rows = []
    for key, run in table.groupby("run", sort=False, observed=True):
        run = run.sort_values("step")
        last, accuracy = run.iloc[-1], float(smoothed(run).iloc[-1])
        fitted_at, right_at = first_step(run, "train_accuracy", FITTED), first_step(run, "mirror_free_accuracy", RIGHT)
        if accuracy >= RIGHT:
            outcome = "grokked" if right_at >= DELAY * fitted_at else "at once"
        elif last["train_accuracy"] < FITTED:
            outcome = "not fitted"
        else:
            outcome = "in part" if accuracy >= MIDDLING[0] else "memorised"
        names = ("kind", "weight_decay", "learning_rate", "modulus", "train_size", "seed", "steps", "start")
        row = {name: last[name] for name in names} | {"run": key, "outcome": outcome, "accuracy": accuracy}
        row |= {"fitted_at": fitted_at, "right_at": right_at if accuracy >= RIGHT else np.inf}
        row |= {"still_from": still_from(run), "converged": bool(last["converged"])}
        since = run[run["step"] >= fitted_at]
        for name in (name for name in NORMS if name in run):
            change = np.log(last[name] / since[name].iloc[0]) if len(since) else np.nan
            row |= {name: last[name], f"{name}_change": change}
        rows.append(row)
    return pd.DataFrame(rows)


def fresh(table: pd.DataFrame) -> pd.DataFrame:
    """`summary` of the runs from random weights on the largest train set."""
    runs = summary(table[table["start"] == ""])
    return runs[runs["train_size"] == runs["train_size"].max()]


def grokking_share(runs: pd.DataFrame) -> pd.Series:
    """The share of seeds that grok, by kind, of a `summary`: at the strength at which it is largest."""
    grokked = (runs["outcome"] == "grokked").groupby([runs["kind"], runs["weight_decay"]]).mean()
    return grokked.groupby("kind").max()


def in_words(runs: pd.DataFrame) -> str:
    """Modulus, sizes, runs, seeds and steps of a `summary`."""
    if runs.empty:
        return "none"
    sizes, seeds = sorted(runs["train_size"].unique()), runs["seed"].nunique()
    span = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else f"{sizes[0]}"
    steps = " or ".join(f"{s:,.0f}" for s in sorted(runs["steps"].unique()))
    return (
        f"p = {runs['modulus'].iloc[0]}, D = {span}, {len(runs)} runs, {seeds} seed{'s' * (seeds > 1)}, {steps} steps"
    )


def still_from(run: pd.DataFrame) -> float:
    """The first measured step from which on the L2 norm stays as it is; infinity when only the last one does."""
    norm = run["parameter_norm"].to_numpy()
    moved = np.flatnonzero(np.abs(norm / norm[-1] - 1) > STILL)
    begin = moved[-1] + 1 if len(moved) else 0
    return float(run["step"].iloc[begin]) if begin < len(run) - 1 else np.inf


def own_change(table: pd.DataFrame) -> pd.DataFrame:
    """A row a run that continues another under an explicit regulariser: kind, train_size, seed, accuracy at the end,
    own: ln of the kind's own norm at the end over that at the cut, and loss: the same for the train loss."""
    rows = []
    for key, run in table[(table["start"] != "") & table["kind"].isin(OWN)].groupby("run", sort=False, observed=True):
        run = run.sort_values("step")
        first, last = run.iloc[0], run.iloc[-1]
        norm = OWN[last["kind"]]
        row = {name: last[name] for name in ("kind", "train_size", "seed")} | {"run": key}
        row |= {"accuracy": float(smoothed(run).iloc[-1]), "own": np.log(last[norm] / first[norm])}
        rows.append(row | {"loss": np.log(last["train_loss"] / first["train_loss"])})
    return pd.DataFrame(rows)
