"""How well the predicted and the measured critical size agree: over conditions, seed by seed, and from which side.

The tables are those of module `threshold`; every comparison is made in logarithms, where errors are factors.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from grokbook import fronts
from grokbook.statistics import slope, transition
from grokbook.threshold import CONDITION, Evidence, crossing, interval, measured, memorisers

FAMILY = CONDITION[:3]  # conditions that differ in weight decay only have seeds in common


class Agreement(NamedTuple):
    """Of measured over predicted, by condition: geometric mean (`bias`), the factor of one standard deviation about it
    (`spread`), the largest factor either way (`worst`); the correlation of the logarithms; how many conditions."""

    bias: float
    spread: float
    worst: float
    correlation: float
    conditions: int


def errors(points: pd.DataFrame, matched: str = "loss") -> pd.Series:
    """ln(measured / predicted) of each row of `threshold.points`; nan where there is no prediction."""
    return (points["measured"] / points[matched]).apply(np.log)


def agreement(points: pd.DataFrame, matched: str = "loss") -> Agreement:
    """The agreement of the rows that have a prediction. Raises ValueError with fewer than three."""
    kept = points.dropna(subset=[matched])
    if len(kept) < 3:
        raise ValueError(f"points has {len(kept)} rows with a prediction at equal {matched}; it must be three at least")
    off = errors(kept, matched)
    correlation = np.corrcoef(np.log(kept["measured"]), np.log(kept[matched]))[0, 1]
    bias, spread, worst = np.exp([off.mean(), off.std(), off.abs().max()]).tolist()
    return Agreement(bias, spread, worst, float(correlation), len(kept))


def by_seed(of: Evidence, time: fronts.Time) -> pd.DataFrame:
    """A row a seed of each condition: CONDITION, seed, size (D*), the norm of its start, and predicted (from that)."""
    starts, rows = of.start, []
    for key, runs in of.forgetting.groupby(CONDITION, sort=False, observed=True):
        condition = dict(zip(CONDITION, key, strict=True))
        mem = memorisers(of.mem, condition)
        keys = dict(zip(runs["seed"], runs["start"], strict=True))
        found = measured(runs, time)
        for seed, size in zip(found["seed"], found["size"], strict=True):
            start = starts[starts["run"] == keys[seed]]
            try:
                place = crossing(mem, start, "loss")
            except ValueError:
                continue
            norm = start["parameter_norm"].item()
            rows.append(condition | {"seed": seed, "size": size, "norm": norm, "predicted": place})
    return pd.DataFrame(rows, columns=[*CONDITION, "seed", "size", "norm", "predicted"])


def centred(seeds: pd.DataFrame) -> pd.DataFrame:
    """A row a family and seed of `by_seed`: ln predicted and ln size less their means, columns predicted and size.

    The mean is that of the condition, over seeds; what is left is averaged over weight decays, which share their seeds.
    Families of one seed are left out.
    """
    logs = seeds[["predicted", "size"]].apply(np.log)
    left = logs - logs.groupby([seeds[name] for name in CONDITION]).transform("mean")
    table = left.groupby([seeds[name] for name in (*FAMILY, "seed")]).mean().reset_index()
    return table[table.groupby(FAMILY)["seed"].transform("size") > 1].reset_index(drop=True)


def deviations(values: pd.Series, groups: list[pd.Series]) -> pd.Series:
    """Each value less the mean of its group, times the root of n / (n - 1): their mean square is the variance within
    groups, without bias. nan in groups of one."""
    of_group = values.groupby(groups)
    count = of_group.transform("size")
    return (values - of_group.transform("mean")) * np.sqrt(count / (count - 1).where(count > 1))


def memory_by_seed(mem: pd.DataFrame) -> pd.DataFrame:
    """How much dearer a network's memory is than that of other seeds, a row a memorising network (`Evidence.mem`).

    Columns modulus, model, seed; norm (`deviations` of ln norm among networks of one size and weight decay); size, the
    change of ln D_crit that this norm makes: less by norm over d ln norm / d ln D, since a dearer memory loses earlier.
    """
    parts = []
    for _, some in mem.groupby(["modulus", "model"], observed=True):
        norm, size = (some[name].astype(float).apply(np.log) for name in ("parameter_norm", "train_size"))
        left = deviations(norm, [some["train_size"], some["weight_decay"]])
        bend = slope((size - size.mean()).to_numpy(), norm.to_numpy())
        parts.append(some[["modulus", "model", "seed"]].assign(norm=left, size=-left / bend))
    columns = ["modulus", "model", "seed", "norm", "size"]
    return pd.concat(parts, ignore_index=True)[columns].dropna() if parts else pd.DataFrame(columns=columns)


class BetweenSeeds(NamedTuple):
    """Standard deviations between seeds, as logarithms: of the memorising norm, of what that norm does to D_crit
    (`memory`), and of what the generalising norm does to it (`rule`)."""

    norm: float
    memory: float
    rule: float


def between_seeds(seeds: pd.DataFrame, mem: pd.DataFrame) -> BetweenSeeds:
    """From `by_seed` and `Evidence.mem`; single networks of one condition are compared on both sides."""
    memory = memory_by_seed(mem)
    rule = deviations(np.log(seeds["predicted"]), [seeds[name] for name in CONDITION])
    return BetweenSeeds(*(float(np.sqrt((part**2).mean())) for part in (memory["norm"], memory["size"], rule)))


def seed_slope(table: pd.DataFrame) -> float:
    """d ln D* / d ln predicted between seeds, of a `centred` table: 1 if each network has its own D_crit."""
    return slope(table["predicted"].to_numpy(), table["size"].to_numpy())


def exchanged_seeds(table: pd.DataFrame, draws: int = 5000, seed: int = 0) -> float:
    """How often the slope of a `centred` table is as large when seeds are exchanged within families."""
    ordered = table.sort_values(FAMILY, kind="stable")
    family = ordered.groupby(FAMILY).ngroup().to_numpy()
    x, y = ordered["predicted"].to_numpy(), ordered["size"].to_numpy()
    generator = np.random.default_rng(seed)
    found = [slope(x, y[np.lexsort((generator.random(len(y)), family))]) for _ in range(draws)]
    return float((1 + np.sum(np.array(found) >= slope(x, y) - 1e-12)) / (draws + 1))


def pooled(shot: pd.DataFrame) -> float:
    """The size at which one logistic curve through all runs of a snapshot passes one half.

    From random weights single runs grok or do not, and few seeds have a curve of their own. Raises ValueError where
    the mean accuracy does not pass one half between the sizes.
    """
    if shot.empty:
        raise ValueError("shot has no runs; at least three sizes are needed")
    means = fronts.by_size(shot)
    if not means.min() < 0.5 <= means.max():
        raise ValueError(f"shot has mean accuracies {means.min():.2f} to {means.max():.2f}; they must pass one half")
    return transition(shot["train_size"].to_numpy(), shot["accuracy"].to_numpy()).size


def both_sides(forgetting: pd.DataFrame, scratch: pd.DataFrame, times: Iterable[float]) -> pd.DataFrame:
    """`pooled` of one condition from grokked starts and from random weights, by decay time, with intervals over seeds.

    Columns decay_time, side ("ungrokking" or "from scratch"), size, low, high. Where it is not defined there is no row.
    """
    rows = []
    for time in times:
        for side, table in (("ungrokking", forgetting), ("from scratch", scratch)):
            shot = fronts.snapshot(table, fronts.decay_time(time))
            try:
                rows.append((time, side, pooled(shot), *interval(shot, pooled)))
            except ValueError:
                continue
    return pd.DataFrame(rows, columns=["decay_time", "side", "size", "low", "high"])


def gap(forgetting: pd.DataFrame, scratch: pd.DataFrame, time: fronts.Time = fronts.end) -> tuple[float, float, float]:
    """`pooled` from scratch over that from grokked starts, each at its `time`, and the interval over seeds.

    Of the seeds that both sides have, for a seed is drawn for both together. Raises ValueError with fewer than two of
    them, or where one of the sizes is not defined.
    """
    shared = set(forgetting["seed"]) & set(scratch["seed"])
    if len(shared) < 2:
        raise ValueError(f"scratch and forgetting share the seeds {sorted(shared)}; an interval needs two")
    parts = [fronts.snapshot(t, time).assign(side=s) for s, t in (("kept", forgetting), ("fresh", scratch))]
    both = pd.concat(parts, ignore_index=True)
    both = both[both["seed"].isin(shared)]

    def ratio(rows: pd.DataFrame) -> float:
        return pooled(rows[rows["side"] == "fresh"]) / pooled(rows[rows["side"] == "kept"])

    return ratio(both), *interval(both, ratio)
