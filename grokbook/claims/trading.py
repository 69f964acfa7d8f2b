"""The mixture of the circuits after ungrokking: Figures 10a and 10b, Appendix A.4.

Thresholds were fixed before all but a dozen of the recorded runs; chapter 11 lists all of these rules, with the numbers
of the constants below. The claims are about convergence. Every modulus with SIZES train sizes on record is judged on
its own: on its converged runs when these have MOST of the sizes and SIZES at least, otherwise on all, and then it is
"partly" at best. The weakest of the verdicts counts.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from grokbook import fronts, results
from grokbook.claims.verdict import VERDICTS, Claim, Finding
from grokbook.mixture import PAIR, break_even, decades, largest_steps, mixtures, rank_correlation, twins
from grokbook.statistics import bootstrap

RISING = 0.9  # rank correlation with D
SURELY = 0.8  # the lower end of its 95% interval over seeds
SOMEWHAT = 0.5  # rank correlation that is enough for "partly"
ORDERS = 6.0  # of magnitude: the paper's number
SIZES = 5
MOST = 0.75  # of the sizes must have a converged run for the rest to be left out
STEP = 0.5  # of the range of accuracies, between two neighbouring sizes: a larger rise is a jump
FALL = 0.1  # and a larger fall is not a rising curve
NEARLY = 0.75  # a larger share of the pairs of twins is enough for "partly"


def histories() -> pd.DataFrame:
    """Every recorded run on modular addition that continues a network that knows the table (`fronts.continuing`), and
    their twins from random weights.

    Columns as in `results.load`. Empty when nothing is recorded.
    """
    if not results.names("ungrokking", "trading"):
        return pd.DataFrame(columns=["run", "step", *PAIR, "start", "converged"])
    return fronts.continuing("ungrokking", "trading")


def recorded() -> pd.DataFrame:
    """`mixtures` of `histories`; empty when nothing is recorded."""
    table = histories()
    return table if table.empty else mixtures(table)


def figure_10a(table: pd.DataFrame) -> Finding:
    """Figure 10a: the ratio o_t / o_m rises monotonically with D, over 6 orders of magnitude. table: `mixtures`.

    confirmed: the rank correlations with D of o_t / T and of w_gen / w_total are RISING or more (with two seeds:
    intervals that begin at SURELY or above), and the ratio spans ORDERS or more. partly: both are SOMEWHAT or more.
    Otherwise not confirmed.
    """

    def judged(runs: pd.DataFrame) -> tuple[str, str]:
        values = {name: rank_correlation(runs, name) for name in ("share", "weight_share")}
        lows = [low for low, _ in (interval(runs, name) for name in values)]
        monotone = min(values.values()) >= RISING and not min(lows) < SURELY
        span = decades(runs)
        verdict = "partly" if min(values.values()) >= SOMEWHAT else "not confirmed"
        verdict = "confirmed" if monotone and span >= ORDERS else verdict
        ratio, weights = (in_words(runs, name) for name in values)
        return verdict, f"rank correlation with D {ratio} (weights: {weights}), {span:.1f} orders of magnitude"

    return weakest(continued(table), judged)


def figure_10b(table: pd.DataFrame) -> Finding:
    """Figure 10b: test accuracy depends smoothly on D. table: `mixtures`.

    confirmed: from one size to the next it rises by at most STEP of its range, and falls by at most FALL of it (medians
    over curves). partly: a larger rise. Otherwise not confirmed; not testable when no curve covers half of the scale.
    """

    def judged(runs: pd.DataFrame) -> tuple[str, str]:
        rise, fall = largest_steps(runs)
        if np.isnan(rise):
            return "not testable here", "no curve covers half of the scale"
        verdict = "confirmed" if rise <= STEP and fall <= FALL else "partly" if fall <= FALL else "not confirmed"
        return verdict, f"in the median curve the steepest step is {rise:.0%} of the range, the deepest fall {fall:.0%}"

    return weakest(continued(table), judged)


def initialisation(pairs: pd.DataFrame) -> Finding:
    """Appendix A.4: in all runs a trained start ends at a lower train loss than random weights. pairs: `twins`.

    Of the pairs in which both have converged, for the claim is about convergence. confirmed: in all. partly: in a
    share of more than NEARLY. Otherwise not confirmed. Not testable here with fewer than SIZES such pairs (added when
    ten pairs were on record and one of them had converged; counting all ten, it would be not confirmed).
    """
    if pairs.empty:
        return Finding("not testable here", "no pairs", "none", "no run from random weights has a twin on record")
    lower, n = int((pairs["gain"] > 0).sum()), len(pairs)
    flat = pairs[pairs["converged_trained"] & pairs["converged_fresh"]]
    share = (flat["gain"] > 0).mean()
    verdict = "confirmed" if share == 1 else "partly" if share > NEARLY else "not confirmed"
    verdict = verdict if len(flat) >= SIZES else "not testable here"
    factor = np.exp(pairs["gain"].median())
    measured = f"lower in {lower} of {n} pairs; from random weights {factor:.2f} times as high (median)"
    for modulus, rows in pairs.groupby("modulus"):
        try:
            measured += f"; equal at D = {break_even(rows):.0f} (p = {modulus})"
        except ValueError:
            continue
    return Finding(verdict, measured, scale(pairs), f"in {len(flat)} of {n} pairs both had converged")


def continued(table: pd.DataFrame) -> pd.DataFrame:
    """The runs that continue a trained network."""
    return table[table["start"] != ""]


def interval(runs: pd.DataFrame, column: str) -> tuple[float, float]:
    """The 95% interval of a rank correlation with D over seeds; nan with fewer than two."""
    if runs["seed"].nunique() < 2:
        return float("nan"), float("nan")
    return bootstrap(runs, lambda draw: rank_correlation(draw, column), draws=500)


def in_words(runs: pd.DataFrame, column: str) -> str:
    """A rank correlation with D and its interval, if it has one."""
    low, high = interval(runs, column)
    return f"{rank_correlation(runs, column):.3f}" + (f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else "")


def weakest(table: pd.DataFrame, judged: Callable[[pd.DataFrame], tuple[str, str]]) -> Finding:
    """The weakest verdict over the moduli, each on its converged runs or, where these lack sizes, on all."""
    found = []
    for modulus, runs in table.groupby("modulus"):
        flat = runs[runs["converged"].astype(bool)]
        sizes, flat_sizes = runs["train_size"].nunique(), flat["train_size"].nunique()
        if sizes < SIZES:
            continue
        enough = flat_sizes >= max(SIZES, MOST * sizes)
        used = flat if enough else runs
        verdict, said = judged(used)
        verdict = "partly" if verdict == "confirmed" and not enough else verdict
        among = f"judged on {'these' if enough else 'all, which can give no more than partly'}"
        found.append((verdict, f"p = {modulus}: {said}", f"{len(flat)} of {len(runs)} runs converged, {among}"))
    if not found:
        return Finding("not testable here", "fewer than five train sizes", "none", "nothing of the kind is recorded")
    verdicts, measured, reasons = zip(*found, strict=True)
    return Finding(max(verdicts, key=VERDICTS.index), "; ".join(measured), scale(table), "; ".join(reasons))


def scale(table: pd.DataFrame) -> str:
    """Moduli, sizes, runs and seeds of a table, in words."""
    parts = []
    for modulus, runs in table.groupby("modulus"):
        sizes, seeds = runs["train_size"], runs["seed"].nunique()
        parts.append(f"p = {modulus}, D = {sizes.min()} to {sizes.max()}, {len(runs)} runs, seeds: {seeds}")
    return "; ".join(parts)


CHAPTER = "11-trading-norm"
CLAIMS = {
    "Figure 10a": Claim(
        "Figure 10a, Appendix A.4",
        "The ratio of the trigonometric to the memorisation logit rises monotonically with D.",
        "6 orders of magnitude",
        CHAPTER,
        lambda: figure_10a(recorded()),
    ),
    "Figure 10b": Claim(
        "Figure 10b, Appendix A.2",
        "After ungrokking, test accuracy depends smoothly on D.",
        "none given",
        CHAPTER,
        lambda: figure_10b(recorded()),
    ),
    "Appendix A.4": Claim(
        "Appendix A.4",
        "At convergence the train loss from a trained start is lower than from random weights.",
        "in all the runs",
        CHAPTER,
        lambda: initialisation(twins(recorded())),
    ),
}
