"""What norm a circuit needs for its logits, measured on networks that hold one circuit alone (Section 5.1, Figure 3).

Every run ends as a triple: correct logit o, parameter norm P, train size D. In the model of Section 3 a circuit of
weight w has logits proportional to w and the norm w^(1/kappa) P_C(D). If its price P_C is a power of D, then

    ln P = constant + gamma ln D + (1 / kappa) ln o.

gamma is the isologit slope: 0 for a circuit whose efficiency does not depend on the data, positive for one that pays
for each example. The estimators take a table with a row a run: columns train_size, seed, parameter_norm and a logit.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from grokbook import results
from grokbook.statistics import slope

ALONE = 0.95  # the paper's 95%, here of the mirror-free test equations and of the correct logit
MEASURED = list(results.COLUMNS)[list(results.COLUMNS).index("train_loss") :]  # a history's columns, and no run's


def settled(table: pd.DataFrame) -> pd.DataFrame:
    """A row a run: the median of each measured column over the last fifth of its steps, which no single spike moves.

    table: histories such as `results.load` returns; the columns that describe a run are kept. A column `confidence` is
    added, -ln(train loss): what the logits are for.
    """
    last = table.groupby("run", sort=False, observed=True)["step"].transform("max")
    late = table[table["step"] >= 0.8 * last].groupby("run", sort=False, observed=True)
    ends = late.last()
    measured = [name for name in MEASURED if name in ends]
    ends[measured] = late[measured].median()
    return ends.assign(confidence=-np.log(ends["train_loss"])).reset_index()


def memorising(ends: pd.DataFrame) -> pd.Series:
    """Which runs on random labels hold a memorising circuit: those with every train equation right.

    Under a weight decay too strong for the data a network gives up some of it; it then does less than its peers.
    """
    return ends["train_accuracy"] == 1


def generalising(ends: pd.DataFrame, modulus: int) -> pd.Series:
    """Which runs hold the generalising circuit alone.

    Every train equation is right, at least ALONE of the mirror-free test equations are, and the mean correct logit on
    test equations is at least ALONE of that on train equations. Memory fails the second, a mixture the third. The
    paper's check, more than 95% of the logit norm trigonometric, asks whether the logits of all inputs are alike: that
    is another question (Chapter 2).
    """
    right = (ends["train_accuracy"] == 1) & (ends["mirror_free_accuracy"] >= ALONE)
    return right & (held_out_logit(ends, modulus) >= ALONE * ends["correct_logit"])


def held_out_logit(ends: pd.DataFrame, modulus: int | pd.Series) -> pd.Series:
    """The mean correct logit on all test equations, from the two proxies of Appendix B and Chapter 2's corollary.

    With r = D / p^2 and T the logit on the train equations, S this one, they are rT + (1 - r)S and (1 - r)(T - S).
    """
    r = ends["train_size"] / modulus**2
    return ends["trig_logit"] - r / (1 - r) * ends["mem_logit"]


class Circuits(NamedTuple):
    """Networks that hold one circuit alone, a row each; in words what was measured; the same at half of the steps."""

    mem: pd.DataFrame
    gen: pd.DataFrame
    scale: str
    mem_half: pd.DataFrame
    gen_half: pd.DataFrame


def circuits(mem: pd.DataFrame | None, gen: pd.DataFrame | None, modulus: int) -> Circuits:
    """The runs that hold their circuit and nothing else, from histories such as `results.load` returns.

    A kind that is None has a table without rows.
    """
    parts, halves, words = [], [], []
    for kind, table in (("C_mem", mem), ("C_gen", gen)):
        if table is None:
            parts.append(pd.DataFrame(columns=["seed", "train_size", "parameter_norm", "correct_logit", "confidence"]))
            halves.append(parts[-1])
            continue
        ends = settled(table)
        alone = memorising(ends) if kind == "C_mem" else generalising(ends, modulus)
        kept = ends[alone].reset_index(drop=True)
        half = settled(table[table["step"] <= table.groupby("run", observed=True)["step"].transform("max") / 2])
        parts.append(kept)
        halves.append(half[half["run"].isin(kept["run"])].reset_index(drop=True))
        seeds, sizes = kept["seed"].nunique(), ends["train_size"]
        count = f"{len(kept)} of {len(ends)} runs, {int(kept['converged'].sum())} converged"
        count += f", {seeds} seed{'s' * (seeds != 1)}"
        words.append(f"{kind} {count}, D = {sizes.min()} to {sizes.max()}")
    return Circuits(parts[0], parts[1], f"p = {modulus}: {'; '.join(words)}", halves[0], halves[1])


def recorded() -> dict[int, Circuits]:
    """The circuits of every modulus that has one of the two experiments on record at least."""
    found = {}
    for name in ("memorisation", "memorisation-113"):
        both = name, name.replace("memorisation", "generalisation")
        tables = [results.load(one) if results.recorded(one) else None for one in both]
        there = [table for table in tables if table is not None]
        if there:
            modulus = int(there[0]["modulus"].iloc[0])
            found[modulus] = circuits(tables[0], tables[1], modulus)
    return found


def inverse_kappa(circuits: pd.DataFrame, logit: str = "correct_logit") -> float:
    """1 / kappa: d ln P / d ln o within one seed and train size, where weight decay alone varies: the paper's stripes.

    Raises ValueError when no stripe has two different logits.
    """
    _, stripe = np.unique(circuits[["seed", "train_size"]].to_numpy(float), axis=0, return_inverse=True)
    return slope_within(np.log(circuits[logit]), np.log(circuits["parameter_norm"]), stripe.ravel())


class Plane(NamedTuple):
    """d ln P / d ln D at a fixed logit, and d ln P / d ln o at a fixed size."""

    size: float
    logit: float


def plane(circuits: pd.DataFrame, logit: str = "correct_logit") -> Plane:
    """The least-squares plane ln P = constant of the seed + gamma ln D + c ln o over runs.

    logit: "correct_logit" as in Figure 3; "confidence" compares at equal train loss. Raises ValueError unless sizes and
    logits vary apart within seeds, and there are more runs than numbers to fit.
    """
    if len(circuits) <= 2 + circuits["seed"].nunique():
        raise ValueError(f"circuits are {len(circuits)} runs; a plane needs three more than there are seeds")
    logs = circuits[["train_size", logit, "parameter_norm"]].astype(float).apply(np.log)
    across = (logs - logs.groupby(circuits["seed"]).transform("mean")).to_numpy()
    if np.linalg.matrix_rank(across[:, :2], tol=1e-6) < 2:
        raise ValueError(f"circuits are {len(circuits)} runs; train_size and {logit} must vary apart within seeds")
    return Plane(*np.linalg.lstsq(across[:, :2], across[:, 2], rcond=None)[0].tolist())


def gamma(circuits: pd.DataFrame, logit: str = "correct_logit") -> float:
    """The isologit slope of `plane`: how fast a circuit loses efficiency."""
    return plane(circuits, logit).size


def bucketed(circuits: pd.DataFrame, count: int = 6) -> pd.DataFrame:
    """The runs with a column `bucket`: the logit in the geometric middle of the bucket that theirs falls into.

    The buckets are `count` geometric intervals from the least logit to the greatest. Raises ValueError unless the
    logits vary and are positive.
    """
    logit = circuits["correct_logit"]
    if not 0 < logit.min() < logit.max():
        raise ValueError(f"logits run from {logit.min():.3g} to {logit.max():.3g}; they must be positive and vary")
    edges = np.geomspace(logit.min(), logit.max(), count + 1)
    place = np.clip(np.searchsorted(edges, logit, side="right") - 1, 0, count - 1)
    return circuits.assign(bucket=np.sqrt(edges[:-1] * edges[1:])[place])


def isologit_curves(circuits: pd.DataFrame, count: int = 6) -> pd.DataFrame:
    """The paper's curves: the mean of ln(parameter norm), as a norm, for each bucket and train size it has runs of.

    Columns bucket, train_size, parameter_norm, runs.
    """
    cells = bucketed(circuits, count).groupby(["bucket", "train_size"])["parameter_norm"]
    curves = cells.agg(parameter_norm=lambda norms: np.exp(np.log(norms).mean()), runs="size")
    return curves.reset_index()


def bucket_slope(circuits: pd.DataFrame) -> float:
    """d ln P / d ln D within buckets (column `bucket`), the average direction of the isologit curves; no model.

    Raises ValueError when no bucket has two train sizes.
    """
    return slope_within(np.log(circuits["train_size"]), np.log(circuits["parameter_norm"]), circuits["bucket"])


def nearest_sizes(mem: pd.DataFrame, gen: pd.DataFrame) -> pd.DataFrame:
    """The memorising runs at the train sizes nearest, in ratio, to those of the generalising ones: a like range."""
    there = np.unique(mem["train_size"])
    nearest = {there[np.abs(np.log(there / size)).argmin()] for size in np.unique(gen["train_size"])}
    return mem[mem["train_size"].isin(nearest)]


def slope_within(x: pd.Series, y: pd.Series, group: pd.Series | np.ndarray) -> float:
    """The least-squares slope of y on x with a constant for each group of rows.

    Raises ValueError when x varies within no group.
    """
    code, _ = pd.factorize(group)
    across, up = (v.to_numpy(float) for v in (x, y))
    across, up = (v - (np.bincount(code, v) / np.bincount(code))[code] for v in (across, up))
    if np.allclose(across, 0):
        raise ValueError(f"x has {len(x)} rows in {len(set(code))} groups; it must vary within at least one")
    return slope(across, up)
