"""Ungrokking: predictions P2 and P3 (Sections 4.2 and 5.2), and all claims of chapter 08.

The front D*, its width and its speed are those of module `fronts`, on mirror-free accuracy. Thresholds were fixed when
only the five smallest sizes of one seed had been seen. A transition is sharp when accuracy climbs from 10% to 90%
within half a factor of ten in D'; the model with Table 1's kappa = 1.2 and a memorising norm growing as the square root
of D' would need 1.3. Weight decays agree when their D* lie within a factor of 1.25. Runs are seldom flat when they end,
so the front itself is asked to be: it has settled when it moved by less than 5% in the last factor of two of training.
(That settled weight decays must span a factor of four was added when the first seed was known.)
Every modulus on record is judged on its own; "confirmed" needs all of them, and three seeds at one of them at least.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd

from grokbook.claims.ungrokking_figures import HIGH, LOW, SHARP, figure_1b, figure_4, figure_7
from grokbook.claims.verdict import Claim, Finding, answers
from grokbook.fronts import (
    CHANCE,
    at_common_sizes,
    balanced,
    by_size,
    decay_time,
    exchangeable,
    factor,
    fronts,
    in_words,
    place,
    prolonged,
    recorded,
    shared_decay_time,
    snapshot,
    speed,
    trend,
)
from grokbook.statistics import bootstrap

GRADUAL = 1.0  # decades
MARGIN = 1.25  # largest D* over smallest
RANGE = 4.0  # largest weight decay over smallest, for a comparison worth the name
SETTLED = 0.05  # of D*, in the last factor of two
SEEDS = 3


def interval(table: pd.DataFrame, statistic: Callable[[pd.DataFrame], float]) -> tuple[float, float] | None:
    """The bootstrap interval over seeds, or None with a single seed."""
    return bootstrap(table, statistic, draws=200) if table["seed"].nunique() > 1 else None


def shown(value: float, bounds: tuple[float, float] | None, form: str = ".2f") -> str:
    """A number, with its interval when there is one."""
    return f"{value:{form}}" + (f" [{bounds[0]:{form}}, {bounds[1]:{form}}]" if bounds else " (one seed)")


def span(found: pd.DataFrame) -> str:
    """The weight decays of a table of fronts, in words."""
    return f"{found['weight_decay'].min():g} to {found['weight_decay'].max():g}"


def p2(table: pd.DataFrame) -> Finding:
    """P2: with accuracy below LOW at the smallest size and above HIGH at the largest, the mean width of the fronts,
    with the whole of its interval, is at most SHARP, and they have settled: confirmed. Not confirmed when an end is
    not reached or the width exceeds GRADUAL; otherwise partly.
    """
    shot = snapshot(table)
    found, ends = fronts(shot), by_size(shot)
    if found.empty or not (ends.iloc[0] < LOW and ends.iloc[-1] > HIGH):
        measured = f"mirror-free accuracy from {ends.iloc[0]:.2f} to {ends.iloc[-1]:.2f}"
        return Finding("not confirmed", measured, in_words(table), "no transition from near-random to very strong")
    width, bounds = found["width"].mean(), interval(found, lambda rows: rows["width"].mean())
    moved = float(np.exp(speed(table).mean()) - 1)
    size = shown(place(found), interval(found, place), ".0f")
    measured = f"mirror-free accuracy 10% to 90% within {shown(width, bounds)} decades of D' around {size}; "
    measured += f"front moving by {moved:+.1%}"
    sharp = (bounds[1] if bounds else width) <= SHARP
    if sharp and abs(moved) < SETTLED:
        return Finding("confirmed", measured, in_words(table), "the transition is sharp and has settled")
    said = [("as sharp as asked", sharp), ("settled", abs(moved) < SETTLED)]
    verdict = "not confirmed" if width > GRADUAL else "partly"
    missing = " and ".join(text for text, holds in said if not holds)
    return Finding(verdict, measured, in_words(table), f"there is a transition; it is not {missing}")


def settled_decays(table: pd.DataFrame) -> list[float]:
    """The weight decays whose fronts have settled, if they span a factor RANGE; none otherwise."""
    moved = np.expm1(speed(table).groupby("weight_decay").mean())
    calm = moved.index[moved.abs() < SETTLED].tolist()
    return calm if len(calm) > 1 and max(calm) >= RANGE * min(calm) else []


def p3(table: pd.DataFrame) -> Finding:
    """P3, on the weight decays whose fronts have settled, if they span a factor RANGE, otherwise on all of them.

    Only sizes that all of them have count (added before a second weight decay was seen at p = 113, which has fewer).
    Confirmed when they have settled, the interval of `factor` stays below MARGIN and the permutation test finds nothing
    at CHANCE. Not confirmed when the interval (with one seed: the value) lies above MARGIN and the test, if there is
    one, finds it. Otherwise partly.
    """
    table = at_common_sizes(table)
    settled = settled_decays(table)
    chosen = table[table["weight_decay"].isin(settled)] if settled else table
    found = balanced(fronts(snapshot(chosen)))
    judged = chosen[chosen["weight_decay"].isin(found["weight_decay"]) & chosen["seed"].isin(found["seed"])]
    scale = in_words(judged if len(judged) else chosen)
    if found["weight_decay"].nunique() < 2:
        return Finding("not testable here", "fewer than two weight decays with a front", scale, "nothing to compare")
    alike = balanced(fronts(snapshot(table, decay_time(shared_decay_time(table)))))
    ratio, bounds, p = factor(found), interval(found, factor), exchangeable(found)
    measured = (
        f"D* within a factor {shown(ratio, bounds, '.3f')} over weight decay {span(found)}, d ln D* / d ln decay "
        f"{shown(trend(found), interval(found, trend), '+.3f')}"
    )
    if p is not None:
        measured += f", permutation P = {p:.3g}"
    if alike["weight_decay"].nunique() > 1:
        measured += f"; at equal decay time a factor {factor(alike):.2f} over {span(alike)}"
        measured += "" if (p_alike := exchangeable(alike)) is None else f", P = {p_alike:.3g}"
    low, high = bounds or (ratio, ratio)
    parts = {
        "the fronts have settled": bool(settled),
        f"{'the whole interval' if bounds else 'the value'} is below a factor {MARGIN}": high <= MARGIN,
        "weight decays are exchangeable": p is not None and p >= CHANCE,
    }
    reason = answers(parts)
    reason = reason.removesuffix("no") + "no test with so few seeds" if p is None else reason
    if all(parts.values()):
        return Finding("confirmed", measured, scale, reason)
    refuted = low > MARGIN and (p is None or p < CHANCE)
    if not refuted and p is not None and not any(parts.values()):
        reason = f"a dependence is seen, but not shown to exceed a factor {MARGIN}: {reason}"
    return Finding("not confirmed" if refuted else "partly", measured, scale, reason)


def at_all(judge: Callable[[pd.DataFrame], Finding], tables: Mapping[int, pd.DataFrame]) -> Finding:
    """One finding from those at each modulus that can be judged: their common verdict, or partly; without SEEDS seeds
    never confirmed."""
    if not tables:
        return Finding("not testable here", "nothing recorded", "none", "no ungrokking experiment is recorded yet")
    every = {modulus: judge(table) for modulus, table in tables.items()}
    found = {p: finding for p, finding in every.items() if finding.verdict != "not testable here"} or every
    verdicts = {finding.verdict for finding in found.values()}
    verdict = verdicts.pop() if len(verdicts) == 1 else "partly"
    few = max(tables[p]["seed"].nunique() for p in found) < SEEDS
    measured, reason = (joined({p: getattr(f, name) for p, f in found.items()}) for name in ("measured", "reason"))
    if verdict == "confirmed" and few:
        verdict, reason = "partly", f"{reason}; but with fewer than {SEEDS} seeds"
    return Finding(verdict, measured, "; ".join(finding.scale for finding in found.values()), reason)


def joined(texts: Mapping[int, str]) -> str:
    """What is said at each modulus, named where there are several."""
    return "; ".join(f"p = {p}: {text}" if len(texts) > 1 else text for p, text in texts.items())


def now(judge: Callable[[pd.DataFrame], Finding], *, longest: bool = False) -> Finding:
    """The finding on whatever is on record; with `longest`, on runs as far as they were followed, at unequal steps."""
    return at_all(judge, {p: prolonged(table) if longest else table for p, table in recorded().items()})


CHAPTER = "08-ungrokking"
CLAIMS = {
    "P2": Claim(
        "Section 5.2, P2",
        "Test accuracy after ungrokking shows a phase transition in the size of the reduced set, around D_crit.",
        "read off Figure 4",
        CHAPTER,
        partial(now, p2),
    ),
    "P3": Claim(
        "Section 5.2, P3",
        "Test accuracy after ungrokking does not depend on the strength of weight decay.",
        "five weight decays, 0.1 to 2",
        CHAPTER,
        partial(now, p3),
    ),
    "Figure 1b": Claim(
        "Figure 1b",
        "A network that has grokked, trained on fewer pairs than D_crit, goes back to poor test loss.",
        "one run",
        CHAPTER,
        partial(now, figure_1b, longest=True),
    ),
    "Figure 4": Claim(
        "Figure 4",
        "A sharp transition to near-zero test accuracy; the lines of different weight decays almost perfectly overlap.",
        "read off the figure",
        CHAPTER,
        partial(now, figure_4),
    ),
    "Figure 7": Claim(
        "Figure 7, Appendix A.2",
        "Small sets ungrok, with train accuracy still 1; intermediate ones end at middling test accuracy.",
        ".7 at 800 to 1000 pairs",
        CHAPTER,
        partial(now, figure_7, longest=True),
    ),
}
