"""Where D_crit lies: three statements of the paper that it does not test with numbers, and all claims of chapter 12.

The rules were fixed when a handful of short runs had been seen, and one seed at modulus 53. Measured sizes are read at
the decay time CLOCK, and predictions are made at equal loss, which chapter 07 found to be the better currency.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from grokbook import fronts
from grokbook.agreement import (
    FAMILY,
    agreement,
    between_seeds,
    by_seed,
    centred,
    errors,
    exchanged_seeds,
    seed_slope,
)
from grokbook.claims.hysteresis import SETTLED, from_both_sides, width
from grokbook.claims.verdict import Claim, Finding, answers
from grokbook.statistics import bootstrap
from grokbook.threshold import CONDITION, Evidence, points, recorded

CLOCK = 10.0  # eta * lambda * t
CONDITIONS = 8  # at two moduli at least
CLOSE, FAR = 1.25, 1.5  # factors: the mean error, and any single one
CORRELATED = 0.7
NETWORKS = 8
SURE = 0.05
MATTERS = 0.5  # of what C_gen's variance does to D_crit: from here on C_mem's counts too


def name(points: pd.DataFrame, i: int) -> str:
    """The condition in row i, in words."""
    task, modulus, model, decay = (points[column].iloc[i] for column in CONDITION)
    return f"{task!s} at p = {modulus!s}, width {width(str(model))}, weight decay {decay:g}"


def scale_of(points: pd.DataFrame) -> str:
    """The conditions in words."""
    moduli = ", ".join(f"{p}" for p in sorted(points["modulus"].unique()))
    n, most = points["seeds"].min(), points["seeds"].max()
    seeds = f"{n}" if n == most else f"{n} to {most}"
    tasks = ", ".join(sorted(points["task"].unique()))
    widths = ", ".join(str(w) for w in sorted(width(model) for model in points["model"].unique()))
    return f"{len(points)} conditions: p = {moduli}; {tasks}; widths {widths}; {seeds} seeds"


def place(points: pd.DataFrame, earlier: pd.DataFrame | None = None) -> Finding:
    """D_crit, as ungrokking finds it, is where the two norms cross at equal loss. earlier: at half of the decay time.

    Confirmed with CONDITIONS conditions at two moduli, a mean factor measured / predicted within CLOSE of one and
    SETTLED, none beyond FAR, and logarithms correlated by CORRELATED. Not confirmed when the mean factor is beyond FAR
    or the correlation is not positive. Otherwise partly; below three conditions at two moduli there is nothing to say.
    """
    kept = points.dropna(subset=["loss"]).reset_index(drop=True) if len(points) else points
    if len(kept) < 3 or kept["modulus"].nunique() < 2:
        return Finding("not testable here", f"{len(kept)} conditions", "too few", "three at two moduli are the least")
    found = agreement(kept)
    measured = (
        f"measured over predicted: {found.bias:.2f} on average, spread a factor {found.spread:.2f}, correlation of "
        f"logarithms {found.correlation:.2f}; worst {name(kept, int(errors(kept).abs().argmax()))}, {found.worst:.2f}"
    )
    mean = max(found.bias, 1 / found.bias)
    parts = {
        f"{CONDITIONS} conditions at two moduli": len(kept) >= CONDITIONS and kept["modulus"].nunique() > 1,
        f"mean error within a factor {CLOSE}": mean <= CLOSE,
        f"none beyond {FAR}": found.worst <= FAR,
        f"correlation at least {CORRELATED}": found.correlation >= CORRELATED,
    }
    if earlier is not None:
        before = agreement(earlier).bias if earlier["loss"].notna().sum() > 2 else np.nan
        measured += f"; at half of the time {before:.2f} on average"
        parts["settled"] = bool(abs(np.log(found.bias / before)) < SETTLED)
    reason = answers(parts)
    refuted = mean > FAR or found.correlation <= 0
    verdict = "confirmed" if all(parts.values()) else "not confirmed" if refuted else "partly"
    return Finding(verdict, measured, scale_of(kept), reason)


def per_seed(seeds: pd.DataFrame, mem: pd.DataFrame) -> Finding:
    """A seed's efficiencies affect D_crit for that run: the slope of ln D* on ln predicted, within conditions.

    Confirmed when the slope is positive, seeds exchanged within families do as much with chance below SURE, and C_mem's
    price varies between seeds by enough to move D_crit by MATTERS of what C_gen's does (asked for since a reader did,
    when both were known); partly when it does not, or has too few networks to tell. Not confirmed when the slope is not
    shown to be positive. It needs NETWORKS networks in families of two at least (added when three were known, for three
    can prove nothing either way).
    """
    table = centred(seeds)
    used = len(seeds.merge(table[[*FAMILY, "seed"]], on=[*FAMILY, "seed"]))
    scale = f"{len(table)} networks in {len(table.groupby(FAMILY))} families (task, modulus, width), {used} fronts"
    if len(table) < NETWORKS:
        return Finding("not testable here", f"{len(table)} networks", scale, f"it takes {NETWORKS}")
    found, p = seed_slope(table), exchanged_seeds(table)
    correlation = float(np.corrcoef(table["predicted"], table["size"])[0, 1])
    low, high = bootstrap(table.reset_index(names="network"), seed_slope, by="network", draws=200)
    measured = (
        f"slope {found:+.2f} [{low:+.2f}, {high:+.2f}] over networks (1 expected), correlation {correlation:+.2f}, "
        f"exchanged seeds do as much in {p:.1%}"
    )
    if found > 0 and p < SURE:
        reason = "networks with a larger generalising norm forget larger sets; "
        if len(mem[["modulus", "model", "seed"]].drop_duplicates()) < NETWORKS:
            return Finding("partly", measured, scale, reason + "C_mem's part is not tested")
        by = between_seeds(seeds, mem)
        measured += f"; C_mem's norm differs between seeds by {by.norm:.1%}, "
        measured += f"worth {by.memory:.1%} of D_crit, C_gen's is worth {by.rule:.1%}"
        both = by.memory >= MATTERS * by.rule
        reason += (
            f"C_mem's price moves it {'as well' if both else f'by less than {MATTERS:g} of what that of C_gen does'}"
        )
        return Finding("confirmed" if both else "partly", measured, scale, reason)
    return Finding("not confirmed", measured, scale, "the slope is not shown to be positive")


def now(judge: Callable[[Evidence], Finding]) -> Finding:
    """The finding on whatever is on record."""
    of = recorded()
    if of is None or of.forgetting.empty:
        return Finding("not testable here", "nothing recorded", "none", "the runs are defined, not yet recorded")
    return judge(of)


def claim(source: str, statement: str, paper: str, judge: Callable[[Evidence], Finding]) -> Claim:
    """A claim of this chapter."""
    return Claim(source, statement, paper, "12-predicting-the-threshold", partial(now, judge))


CLAIMS = {
    "D_crit": claim(
        "Section 4.1",
        "D_crit is determined by the relative efficiencies of C_gen and C_mem (tested on ungrokking).",
        "not tested with numbers",
        lambda of: place(*(points(of, fronts.decay_time(time), ways=["loss"]) for time in (CLOCK, CLOCK / 2))),
    ),
    "D_crit by seed": claim(
        "Section 5.3",
        "The random seed causes variance in the efficiencies of C_gen and C_mem, which affects D_crit for that run.",
        "not tested",
        lambda of: per_seed(by_seed(of, fronts.decay_time(CLOCK)), of.mem),
    ),
    "hysteresis": claim(
        "Appendix A.2",
        "From random weights it takes a larger train set than ungrokking does to end at the same test accuracy.",
        "2000 pairs against 800 to 1000",
        from_both_sides,
    ),
}
