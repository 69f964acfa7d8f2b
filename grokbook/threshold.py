"""The critical size predicted from networks that hold one circuit, and measured on networks that forget (Chapter 12).

D_crit is the size of the train set at which memorising it takes the norm that generalising takes (Section 4.1). The
curve of the first comes from random labels, which no rule can fit; it is shared by all tasks on the same pairs. The
level of the second comes from grokked networks. "The norm that it takes" needs something to be equal, and `MATCHED`
names three choices. A condition is a task, a modulus, a model and a weight decay.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from grokbook import efficiency, fronts, results
from grokbook.statistics import bootstrap, climbs

CONDITION = ["task", "modulus", "model", "weight_decay"]
MATCHED = {"loss": "confidence", "logit": "correct_logit", "weight decay": None}
"""What is held equal when two norms are compared, and the column it is in. Weight decay is equal in all three."""


class Evidence(NamedTuple):
    """Networks with one circuit alone, a row each (`mem`, `gen`); the histories of runs that forget, and a row for each
    network that one of these continues (`start`)."""

    mem: pd.DataFrame
    gen: pd.DataFrame
    start: pd.DataFrame
    forgetting: pd.DataFrame


def evidence(tables: Sequence[pd.DataFrame], known: float = fronts.KNOWN) -> Evidence:
    """Sort the runs of histories such as `results.load` returns.

    Random labels tell the memorising ones. Of the others, those that do not continue another count as generalising if
    they answer every train equation and either pass `efficiency.generalising` or are `fronts.knowing`. Runs that
    continue one of the latter are forgetting; those that continue another network are left out. known: as there.
    """
    table = pd.concat([one for one in tables if len(one)], ignore_index=True)
    table = table.drop_duplicates(["run", "step"], ignore_index=True)
    random, later = table["random_labels"].astype(bool), table["start"] != ""
    mem, alone = (efficiency.settled(table[some & ~later]) for some in (random, ~random))
    whole = fronts.knowing(alone, known)
    tested = pd.Series(False, alone.index)
    for modulus in alone["modulus"].unique() if "trig_logit" in alone else []:
        rows = alone[alone["modulus"] == modulus]
        tested[rows.index] = efficiency.generalising(rows, modulus) & rows["trig_logit"].notna()
    start = alone[whole & alone["run"].isin(table.loc[later, "start"])]
    forgetting = table[later & table["start"].isin(start["run"])]
    return Evidence(mem[efficiency.memorising(mem)], alone[whole | tested], start, forgetting)


def recorded(known: float = fronts.KNOWN) -> Evidence | None:
    """Everything of its kind on record, at every modulus; None when there is nothing. known: as `fronts.knowing`."""
    names = results.names("threshold", "ungrokking", "other-tasks", "memorisation", "generalisation")
    tables = [load(name) for name in names for load in (results.load, results.load_starts)]
    return evidence(tables, known) if tables else None


def crossing(mem: pd.DataFrame, gen: pd.DataFrame, matched: str = "loss") -> float:
    """The size D at which memorising takes the norm of `gen`, in equations.

    mem: rows of one modulus and model, all weight decays; gen: rows of one condition. A memorising norm is moved to
    gen's level (of -ln loss, or of the correct logit) along the power law that weight decay traces within a seed and
    size (`efficiency.inverse_kappa`). At gen's weight decay its logarithm, averaged over seeds, is joined by straight
    lines over ln D. Raises ValueError when gen has no rows or several weight decays, or the curve does not pass its
    norm.
    """
    decays = gen["weight_decay"].unique()
    if len(decays) != 1:
        raise ValueError(f"gen has the weight decays {sorted(decays)}; it must have one")
    norm, column = np.log(mem["parameter_norm"].astype(float)), MATCHED[matched]
    if column is not None:
        exponent = efficiency.inverse_kappa(mem, column)
        norm = norm + exponent * (np.log(gen[column]).mean() - np.log(mem[column]))
    same = mem["weight_decay"] == decays[0]
    sizes, code = np.unique(mem.loc[same, "train_size"].to_numpy(float), return_inverse=True)
    curve = np.bincount(code, norm[same]) / np.bincount(code)
    return float(np.exp(climbs(np.log(sizes), curve, np.log(gen["parameter_norm"]).mean())))


def predicted(mem: pd.DataFrame, gen: pd.DataFrame, matched: str = "loss") -> tuple[float, float, float]:
    """`crossing` and its `interval`, for which both circuits need two seeds; a seed is drawn for both together."""
    needed = ["seed", "train_size", "weight_decay", "parameter_norm", *filter(None, [MATCHED[matched]])]
    both = pd.concat([mem[needed].assign(memory=True), gen[needed].assign(memory=False)], ignore_index=True)

    def statistic(rows: pd.DataFrame) -> float:
        return crossing(rows[rows["memory"]], rows[~rows["memory"]], matched)

    enough = min(mem["seed"].nunique(), gen["seed"].nunique()) > 1
    return crossing(mem, gen, matched), *(interval(both, statistic) if enough else (np.nan, np.nan))


def interval(table: pd.DataFrame, statistic: Callable[[pd.DataFrame], float]) -> tuple[float, float]:
    """The 95% bootstrap interval over seeds; nan and nan where the table has a single seed."""
    return bootstrap(table, statistic, draws=100) if table["seed"].nunique() > 1 else (np.nan, np.nan)


def with_mirrors(size: float, modulus: int) -> float:
    """How many random pairs hold `size` different unordered ones, of which there are about p^2 / 2.

    Of D pairs about D^2 / 2p^2 are the mirror of another. On a commutative task a memoriser that ignores order pays for
    unordered pairs only. Raises ValueError when there are not so many.
    """
    pairs = modulus**2
    if not 0 <= size <= pairs / 2:
        raise ValueError(f"size is {size:g}; it must be from 0 to p^2 / 2 = {pairs / 2:g}")
    return pairs * (1 - (1 - 2 * size / pairs) ** 0.5)


def balance(forgetting: pd.DataFrame) -> pd.DataFrame:
    """The histories with a column `balance`, the share of the correct logit that generalises: its mean on the test
    equations over that on the train equations, S / T of Chapter 11.

    The trigonometric part of Appendix B is no such share: it holds D' / p^2 of memory's logit (Chapter 2's corollary).
    """
    generalised = efficiency.held_out_logit(forgetting, forgetting["modulus"])
    return forgetting.assign(balance=generalised / (forgetting["trig_logit"] + forgetting["mem_logit"]))


def measured(forgetting: pd.DataFrame, time: fronts.Time, column: str = "mirror_free_accuracy") -> pd.DataFrame:
    """D* of each seed of one condition: seed, size, width. Size is where `column` passes one half (`fronts.fronts`)."""
    shot = fronts.snapshot(forgetting, time, column)
    return fronts.fronts(shot if len(shot) else pd.DataFrame(columns=["seed", "weight_decay"]))


def points(
    of: Evidence, time: fronts.Time, column: str = "mirror_free_accuracy", ways: Collection[str] = MATCHED
) -> pd.DataFrame:
    """A row for each condition that has a measurement and some prediction.

    Columns: CONDITION, seeds, measured, and a prediction for each of `ways` to match, nan where there is none; each
    number with its `_low` and `_high`.
    """
    rows = []
    for key, runs in of.forgetting.groupby(CONDITION, sort=False, observed=True):
        condition = dict(zip(CONDITION, key, strict=True))
        found = measured(runs, time, column)
        if found.empty:
            continue
        row = condition | {"seeds": found["seed"].nunique()}
        row |= with_bounds("measured", (fronts.place(found), *interval(found, fronts.place)))
        mem, gen = memorisers(of.mem, condition), pick(of.gen, condition)
        for matched in ways:
            try:
                row |= with_bounds(matched, predicted(mem, gen, matched))
            except ValueError:
                row |= with_bounds(matched, (np.nan,) * 3)
        rows.append(row)
    found = pd.DataFrame(rows)
    return found.dropna(subset=list(ways), how="all").reset_index(drop=True) if rows else found


def with_bounds(name: str, values: tuple[float, float, float]) -> dict[str, float]:
    """A number and its interval as columns."""
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def memorisers(mem: pd.DataFrame, condition: dict | pd.Series) -> pd.DataFrame:
    """The rows of `mem` that serve a condition: random labels are of no task, so all of its modulus and model."""
    return pick(mem, {name: condition[name] for name in ("modulus", "model")})


def pick(table: pd.DataFrame, values: dict) -> pd.DataFrame:
    """The rows that have these values."""
    return table[np.logical_and.reduce([table[name] == value for name, value in values.items()])]
