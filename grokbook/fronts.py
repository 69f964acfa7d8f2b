"""Ungrokking as a front: the size D* below which a network forgets, how wide the front is, and how it moves.

A run starts from a network that has learned the whole table and goes on with D' of its pairs. At any time the
accuracies of the runs of one seed and weight decay, over D', climb from near chance to one; `statistics.transition`
says where and how steeply. Time has two units: steps t, and the decay time eta * lambda * t, in which a parameter
without gradient shrinks by a factor e, whatever the learning rate eta and the weight decay lambda.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from grokbook import results
from grokbook.efficiency import settled
from grokbook.statistics import permutation_test, slope, transition

Time = Callable[[pd.Series], float]
"""From a row with a run's settings to a step of that run."""
CHANCE = 0.05  # a permutation test that finds less often as much says that there is an order
SAME = ["start", "train_size", "weight_decay", "seed"]  # in runs that differ in their steps alone
KNOWN = 1e-6  # training loss on the whole table, in nats; networks at rest are far below, others far above


def knowing(ends: pd.DataFrame, known: float = KNOWN) -> pd.Series:
    """Which networks know the whole table, of a `settled` table: trained on all of it, they answer every equation, with
    a loss below `known`. There is nothing to test then, and the norm has to speak for them (Chapter 12)."""
    return ends["test_accuracy"].isna() & (ends["train_accuracy"] == 1) & (ends["train_loss"] < known)


def continuing(*beginnings: str, known: bool = True) -> pd.DataFrame:
    """The `results.load_all` of experiments, less the runs that continue a network that is not `knowing`.

    With `known` false it is these runs, and no others. Raises ValueError when nothing is recorded.
    """
    table = results.load_all(*beginnings)
    ends = settled(pd.concat([results.load_starts(name) for name in results.names(*beginnings)]))
    others = table["start"].isin(ends.loc[~knowing(ends), "run"])
    return table[~others if known else others].reset_index(drop=True)


def recorded() -> dict[int, pd.DataFrame]:
    """All recorded ungrokking runs on modular addition that are `continuing` a network that is `knowing`, by modulus.

    Empty when there are none.
    """
    if not results.names("ungrokking"):
        return {}
    table = continuing("ungrokking")
    return {p: table[table["modulus"] == p].reset_index(drop=True) for p in table["modulus"].unique()}


def prolonged(table: pd.DataFrame) -> pd.DataFrame:
    """The runs of a table such as `recorded` has, each as far as it was followed: where a longer run is on record that
    differs from one of them in its steps alone, it stands in its place."""
    if not results.names("long-ungrokking"):
        return table
    longer = continuing("long-ungrokking")
    here, there = (pd.MultiIndex.from_frame(runs[SAME]) for runs in (table, longer))
    return pd.concat([table[~here.isin(there)], longer[there.isin(here)]], ignore_index=True)


def end(run: pd.Series) -> float:
    """The time of a run's last step."""
    return float(run["steps"])


def half(run: pd.Series) -> float:
    """Half of it."""
    return run["steps"] / 2


def decay_time(value: float) -> Time:
    """The step at which eta * lambda * t is `value`."""
    return lambda run: value / (run["learning_rate"] * run["weight_decay"])


def snapshot(table: pd.DataFrame, time: Time = end, column: str = "mirror_free_accuracy") -> pd.DataFrame:
    """A row a run: run, seed, weight_decay, train_size, converged, step, and `accuracy`, which is `column` at `time`.

    Between measurements it is interpolated in log-time. Runs that end before their `time` are left out.
    """
    rows = []
    for key, run in table.groupby("run", sort=False, observed=True):
        first, later = run.iloc[0], run[run["step"] > 0]
        step = time(first)
        if step > later["step"].max() * (1 + 1e-9):
            continue
        accuracy = np.interp(np.log(step), np.log(later["step"]), later[column])
        settings = {name: first[name] for name in ("seed", "weight_decay", "train_size", "converged")}
        rows.append({"run": key, **settings, "step": step, "accuracy": accuracy})
    return pd.DataFrame(rows, columns=["run", "seed", "weight_decay", "train_size", "converged", "step", "accuracy"])


def at_common_sizes(table: pd.DataFrame) -> pd.DataFrame:
    """The runs at sizes that every weight decay of a table has: fronts that are to be compared are fitted alike."""
    decays = table.groupby("train_size")["weight_decay"].transform("nunique")
    return table[decays == table["weight_decay"].nunique()]


def by_size(shot: pd.DataFrame) -> pd.Series:
    """Mean accuracy at each size."""
    return shot.groupby("train_size")["accuracy"].mean()


def fronts(shot: pd.DataFrame) -> pd.DataFrame:
    """seed, weight_decay, size (D*, in pairs) and width (decades) of each front of a `snapshot`.

    A seed and weight decay whose accuracies do not pass one half, or that have fewer than three sizes, have none.
    """
    rows = []
    for (seed, decay), runs in shot.groupby(["seed", "weight_decay"]):
        try:
            found = transition(runs["train_size"].to_numpy(), runs["accuracy"].to_numpy())
        except ValueError:
            continue
        rows.append({"seed": seed, "weight_decay": decay, **found._asdict()})
    kinds = {"seed": int, "weight_decay": float, "size": float, "width": float}
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def speed(table: pd.DataFrame) -> pd.Series:
    """ln D*(T) - ln D*(T/2) by seed and weight decay: how far a front moved in the last factor of two of training."""
    late, early = (
        np.log(fronts(snapshot(table, time)).set_index(["seed", "weight_decay"])["size"]) for time in (end, half)
    )
    return (late - early).dropna()


def shared_decay_time(table: pd.DataFrame) -> float:
    """The longest decay time that every run reaches."""
    by_run = table.groupby("run", observed=True)[["steps", "learning_rate", "weight_decay"]].first()
    return float(by_run.prod(axis=1).min())


def balanced(found: pd.DataFrame) -> pd.DataFrame:
    """The largest part of a table of fronts in which every seed has one at every weight decay.

    A weight decay that only some seeds have costs either itself or the other seeds, whichever leaves more fronts.
    """
    seeds_at = found.groupby("weight_decay")["seed"].transform("nunique")
    full = [found.iloc[:0]]
    for least in seeds_at.unique():
        rows = found[seeds_at >= least]
        decays = rows["weight_decay"].nunique()
        full.append(rows.groupby("seed").filter(lambda of_seed, decays=decays: len(of_seed) == decays))
    return max(full, key=len)


def place(found: pd.DataFrame) -> float:
    """Where the fronts are, in pairs: their geometric mean."""
    return float(np.exp(np.log(found["size"]).mean()))


def factor(found: pd.DataFrame) -> float:
    """Largest D* over smallest among weight decays, each a geometric mean over seeds."""
    return float(np.exp(np.ptp(np.log(found["size"]).groupby(found["weight_decay"]).mean())))


def trend(found: pd.DataFrame) -> float:
    """d ln D* / d ln(weight decay)."""
    return slope(np.log(found["weight_decay"]), np.log(found["size"]))


def exchangeable(found: pd.DataFrame) -> float | None:
    """How often weight decays exchanged within seeds give as large a `factor`.

    None where no table could give less than CHANCE: a single seed, or two and up to five weight decays.
    """
    table = np.log(found.pivot(index="seed", columns="weight_decay", values="size").to_numpy())
    seeds, decays = table.shape
    if decays < 2 or (1 / (decays * (decays - 1))) ** (seeds - 1) >= CHANCE:
        return None
    return permutation_test(table, lambda rows: float(np.ptp(rows.mean(axis=0))), relative=True)


def lengths(table: pd.DataFrame) -> str:
    """How many steps its runs have, in words."""
    return " or ".join(f"{steps:,}" for steps in sorted(table["steps"].unique())) + " steps"


def in_words(table: pd.DataFrame) -> str:
    """Modulus, sizes, weight decays, seeds and steps of a table, and how many of its runs were flat at the end."""
    runs = table.groupby("run", observed=True).first()
    seeds = runs["seed"].nunique()
    sizes, decays = (sorted(runs[name].unique()) for name in ("train_size", "weight_decay"))
    return (
        f"p = {runs['modulus'].iloc[0]}, D' = {sizes[0]} to {sizes[-1]}, weight decay {', '.join(map(str, decays))}, "
        f"{seeds} seed{'s' * (seeds > 1)}, {lengths(runs)}, "
        f"{runs['converged'].sum()} of {len(runs)} runs converged"
    )
