"""The four panels of Figure 3 (Section 5.1), judged by the thresholds of module `claims.efficiency`."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from grokbook.claims.verdict import Finding, answers
from grokbook.efficiency import Circuits, bucket_slope, bucketed, gamma, inverse_kappa, nearest_sizes, slope_within
from grokbook.statistics import bootstrap, permutation_test, slope

FLAT = 0.5  # of the memorising circuit's slope
SETTLED = 0.05
TIGHT = 10  # -ln(train loss); a run below it is a loose fit: it answers every pair, with little to spare
WIDE = 2.0  # "much wider"
CHANCE = 0.05  # "no obvious structure": exchanged train sizes show as much at least this often


class Slope(NamedTuple):
    """An estimate and its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def with_interval(table: pd.DataFrame, statistic: Callable[[pd.DataFrame], float]) -> Slope:
    """A statistic of a table of runs, and its bootstrap interval over seeds."""
    return Slope(statistic(table), *bootstrap(table, statistic))


def difference(c: Circuits, statistic: Callable[[pd.DataFrame], float]) -> Slope:
    """C_mem's statistic less C_gen's, over the seeds that both have; a seed is drawn for both together."""
    shared = set(c.mem["seed"]) & set(c.gen["seed"])
    parts = [table[table["seed"].isin(shared)].assign(kind=kind) for kind, table in (("mem", c.mem), ("gen", c.gen))]
    both = pd.concat(parts, ignore_index=True)

    def gap(rows: pd.DataFrame) -> float:
        return statistic(rows[rows["kind"] == "mem"]) - statistic(rows[rows["kind"] == "gen"])

    return with_interval(both, gap)


def firm(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that are no loose fits."""
    return runs[runs["confidence"] > TIGHT]


def flat(found: Slope, against: float) -> bool:
    """Whether the whole interval lies within FLAT times `against` of zero."""
    return max(abs(found.low), abs(found.high)) < FLAT * abs(against)


def figure_3a(c: Circuits) -> Finding:
    """Figure 3a: C_mem's norm rises with D at a fixed logit, settled, and with the logit at a fixed D, at every size
    that has stripes; with one of them, partly."""
    size, logit = with_interval(c.mem, gamma), with_interval(c.mem, inverse_kappa)
    vary = c.mem.groupby(["train_size", "seed"])["correct_logit"].nunique().groupby("train_size").max() > 1
    each = {d: inverse_kappa(runs) for d, runs in c.mem.groupby("train_size") if vary[d]}
    up = sum(value > 0 for value in each.values())
    measured = f"d ln P / d ln D {size}; d ln P / d ln logit {logit}, positive at {up} of {len(each)} sizes"
    settled = abs(size.value - gamma(c.mem_half)) < SETTLED
    holds = {"D": size.low > 0 and settled, "logit at every size": logit.low > 0 and up == len(each)}
    verdict = ("not confirmed", "partly", "confirmed")[sum(holds.values())]
    rises = " and ".join(what for what, held in holds.items() if held) or "neither"
    return Finding(verdict, measured, c.scale, f"the norm is shown to rise with: {rises}")


def figure_3b(c: Circuits) -> Finding:
    """Figure 3b: of the isologit curves of C_mem all rise with D: confirmed; more than half: partly.

    A curve rises when its least-squares slope is positive; the average direction must be shown to be positive as well,
    and have settled.
    """
    runs = bucketed(c.mem)
    each = curve_slopes(runs)
    average = with_interval(runs, bucket_slope)
    measured = f"{sum(s > 0 for s in each)} of {len(each)} curves of more than one size rise, "
    measured += f"d ln P / d ln D on average {average}"
    share = float(np.mean([s > 0 for s in each]))
    shown = average.low > 0
    settled = abs(average.value - bucket_slope(bucketed(c.mem_half))) < SETTLED
    verdict = "partly" if shown and share > 0.5 else "not confirmed"
    verdict = "confirmed" if shown and settled and share == 1 else verdict
    reason = f"{share:.0%} of the isologit curves go up; settled: {'yes' if settled else 'no'}"
    return Finding(verdict, measured, c.scale, reason)


def figure_3c(c: Circuits) -> Finding:
    """Figure 3c: no structure in the colours of C_gen, and its stripes go up and right; with one of them, partly.

    Structure: exchanging train sizes within seeds gives norms, less what the logit explains, a slope against ln D as
    large as the true one in fewer than CHANCE of all cases. That is the inference the paper draws from the colours; of
    the logit itself the same is measured and not judged. Stripes: 1 / kappa is shown to be positive.
    """
    stripes = with_interval(c.gen, inverse_kappa)
    norm, logit = np.log(c.gen["parameter_norm"]), np.log(c.gen["correct_logit"])
    rest = norm - slope_within(logit, norm, c.gen["seed"]) * logit
    p, p_logit = (exchanged_sizes(c.gen, values) for values in (rest, logit))
    measured = f"exchanged sizes do as much to the norm at a given logit in {p:.0%} of cases, to the logit in "
    measured += f"{p_logit:.1%}; d ln P / d ln logit within stripes {stripes}"
    holds = [p >= CHANCE, stripes.low > 0]
    verdict = ("not confirmed", "partly", "confirmed")[sum(holds)]
    colours, up = "no structure seen" if holds[0] else "structure", "go up" if holds[1] else "are not shown to go up"
    return Finding(verdict, measured, c.scale, f"{colours} in the norm at a given logit; stripes {up}")


def exchanged_sizes(runs: pd.DataFrame, values: pd.Series) -> float:
    """The share of all exchanges of train sizes within seeds that give `values` as large a slope against ln D."""
    table = values.groupby([runs["seed"], runs["train_size"]]).mean().unstack().dropna()
    sizes = np.log(table.columns.to_numpy(float))
    return permutation_test(table.to_numpy(), lambda rows: abs(slope(sizes, rows.mean(0))))


def figure_3d(c: Circuits) -> Finding:
    """Figure 3d: the average direction of C_gen's isologit curves is flat, and has settled: confirmed.

    Flat against C_mem's average direction over all sizes and at those nearest to C_gen's (by the plane, where no bucket
    holds two of these). Partly when one of the two fails and it is flat or shown to be less than C_mem's.
    """
    runs = c._replace(mem=bucketed(c.mem), gen=bucketed(c.gen))
    gen, gap = with_interval(runs.gen, bucket_slope), difference(runs, bucket_slope)
    nearby = direction(nearest_sizes(runs.mem, runs.gen))
    before = bucket_slope(bucketed(c.gen_half))
    measured = f"d ln P / d ln D in a bucket, on average {gen} (at half of the steps {before:+.2f}); "
    measured += f"C_mem's less this {gap} (C_mem at the sizes nearest to C_gen's has {nearby:+.2f})"
    level = flat(gen, max(0, min(bucket_slope(runs.mem), nearby)))
    settled = abs(gen.value - before) < SETTLED
    verdict = "confirmed" if level and settled else "partly" if level or gap.low > 0 else "not confirmed"
    return Finding(verdict, measured, c.scale, answers({"the curves are shown to be flat": level, "settled": settled}))


def direction(runs: pd.DataFrame) -> float:
    """The average direction of the isologit curves of runs with a bucket; the plane's, where no bucket has two."""
    try:
        return bucket_slope(runs)
    except ValueError:
        return gamma(runs)


def ranges(c: Circuits) -> Finding:
    """The caption of Figure 3: C_mem's norms have a range at least WIDE times C_gen's, in logarithms, also at sizes
    like C_gen's, and some of its runs, in each currency, have no larger norm than a generalising run that does no
    better. All: confirmed; some: partly. Loose fits do not count: any run beats one. (WIDE was chosen when the ranges
    were known, and loose fits were left out later still.) Raises ValueError when c has no generalising runs to compare
    with."""
    c = c._replace(mem=firm(c.mem), gen=firm(c.gen))
    if c.gen.empty:
        raise ValueError("c has no generalising runs but loose fits; there is nothing to compare with")
    tables = c.mem, nearest_sizes(c.mem, c.gen), c.gen
    mem, like, gen = (np.log(runs["parameter_norm"].max() / runs["parameter_norm"].min()) for runs in tables)
    norm, cheaper = "parameter_norm", []
    for currency in ("correct_logit", "confidence"):
        no_better = c.gen[currency].to_numpy() <= c.mem[currency].to_numpy()[:, None]
        dearer = c.gen[norm].to_numpy() >= c.mem[norm].to_numpy()[:, None]
        cheaper.append(int((no_better & dearer).any(axis=1).sum()))
    measured = f"without loose fits norms of C_mem span a factor {np.exp(mem):.2f}, at sizes like C_gen's "
    measured += f"{np.exp(like):.2f}, of C_gen {np.exp(gen):.2f}; of {len(c.mem)} memorising runs {cheaper[0]} beat a "
    measured += f"generalising one at equal logit, {cheaper[1]} at equal loss"
    holds = {
        "a much wider range": mem >= WIDE * gen,
        "also at like sizes": like >= WIDE * gen,
        "at the extremes more efficient": min(cheaper) > 0,
    }
    verdict = "confirmed" if all(holds.values()) else "partly" if any(holds.values()) else "not confirmed"
    reason = answers(holds)
    return Finding(verdict, measured, c.scale, reason)


def curve_slopes(runs: pd.DataFrame) -> list[float]:
    """The slope of each isologit curve, of runs with a bucket, that has two train sizes at least."""
    curves = [curve for _, curve in runs.groupby("bucket") if curve["train_size"].nunique() > 1]
    return [slope(np.log(curve["train_size"]), np.log(curve["parameter_norm"])) for curve in curves]
