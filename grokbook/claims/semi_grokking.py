"""Semi-grokking: prediction P4 and Figures 1c, 5 and 6 (Section 5.3, Appendix A.1), judged on runs from scratch.

What counts as semi-grokked, as a plateau and as transient is defined in module `outcomes`. All thresholds were fixed
after a prototype of 20 short runs and before the recorded runs. P4 asks for existence, and we ask for it twice: one run
is an anecdote.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from grokbook import results
from grokbook.claims.verdict import Claim, Finding
from grokbook.outcomes import MIDDLING, departures, loss_range, outcomes, spikes

ENOUGH = 20  # runs, before the absence of something means anything
LATER = 3.0  # "well after": middling accuracy begins at this multiple of the steps to memorise, or later
PAPER_SHARE = 6 / 200  # "Out of 200 runs, at least 6"
MANY = 0.05  # "many other runs": one in twenty
SEVERAL = 3  # spikes
FLUCTUATION = 2.0  # training loss late in a run, 95% over 5% quantile


def recorded() -> tuple[pd.DataFrame, str]:
    """The runs of every recorded experiment of this kind, and in words what they are. Raises ValueError when none."""
    table = results.load_all("semi-grokking")
    words = (in_words(name, results.load(name)) for name in results.names("semi-grokking"))
    return table, "; ".join(words)


def in_words(name: str, table: pd.DataFrame) -> str:
    """Modulus, sizes, seeds and steps of one experiment's table."""
    config = results.config(name, table["run"].iloc[0])
    low, high = table["train_size"].min(), table["train_size"].max()
    runs, seeds = table["run"].nunique(), table["seed"].nunique()
    return f"p = {config.modulus}, D = {low} to {high}, {runs} runs of {seeds} seeds, {config.steps:,} steps"


def share(count: int, of: int) -> tuple[float, float]:
    """The 95% interval of a share by Clopper and Pearson. Raises ValueError unless 0 <= count <= of and of >= 1."""
    interval = binomtest(count, of).proportion_ci(method="exact")
    return float(interval.low), float(interval.high)


def counted(count: int, of: int) -> str:
    """A count of runs with its share and interval, in words."""
    low, high = share(count, of)
    return f"{count} of {of} runs ({count / of:.0%}, 95% interval {low:.0%} to {high:.0%})"


def semi_grokked(ends: pd.DataFrame) -> pd.DataFrame:
    """The rows of `outcomes` that ended semi-grokked, with the transition well after memorising."""
    late = ends["left_at"] >= LATER * ends["memorised_at"]
    return ends[(ends["outcome"] == "semi-grokked") & late]


def by_seeds(found: pd.DataFrame, ends: pd.DataFrame) -> tuple[int, int]:
    """How many seeds `found` has, and how many were run at the sizes at which something was found (or at any)."""
    there = ends[ends["train_size"].isin(found["train_size"])] if len(found) else ends
    return found["seed"].nunique(), there["seed"].nunique()


def p4(table: pd.DataFrame, scale: str) -> Finding:
    """P4: confirmed with two semi-grokked runs of different seeds; partly with one, or with only transient plateaus."""
    ends = outcomes(table)
    found, transient = semi_grokked(ends), int((ends["transient"] > 0).sum())
    seeds = "{} of {} seeds".format(*by_seeds(found, ends)) + " run at such sizes" * (len(found) > 0)
    measured = f"{counted(len(found), len(ends))} end converged at middling accuracy, of {seeds}"
    measured += f"; {transient} rest there and go on"
    if found["seed"].nunique() > 1:
        return Finding("confirmed", measured, scale, "flat for a factor of four in steps, well after memorising")
    if len(found) or transient:
        why = "they are of one seed; two are asked for" if len(found) else "a rest that ends is not a final state"
        return Finding("partly", measured, scale, why)
    if len(ends) < ENOUGH:
        return Finding("not testable here", measured, scale, f"fewer than {ENOUGH} runs")
    return Finding("not confirmed", measured, scale, "every run ends at one of the extremes, or still moves")


def figure_5(table: pd.DataFrame, scale: str) -> Finding:
    """Figure 5: semi-grokking at the end in a share of runs not shown to be below 3%, and transient semi-grokking in
    many."""
    ends = outcomes(table)
    found = semi_grokked(ends)
    n, at_end, passing = len(ends), len(found), int((ends["transient"] > 0).sum())
    seeds = "{} of {} seeds run at such sizes".format(*by_seeds(found, ends))
    measured = f"at the end {counted(at_end, n)}, of {seeds}; transient {counted(passing, n)}"
    if n < ENOUGH:
        return Finding("not testable here", measured, scale, f"fewer than {ENOUGH} runs")
    first, second = at_end > 0 and share(at_end, n)[1] >= PAPER_SHARE, passing >= MANY * n
    verdict = "confirmed" if first and second else "partly" if first or second else "not confirmed"
    answers = ["yes" if part else "no" for part in (first, second)]
    return Finding(verdict, measured, scale, f"at the end: {answers[0]}; transient in one run of twenty: {answers[1]}")


def figure_1c(table: pd.DataFrame, scale: str) -> Finding:
    """Figure 1c: runs end semi-grokked, and in most of them accuracy spikes SEVERAL times and training loss fluctuates
    by a factor of FLUCTUATION."""
    ends = outcomes(table)
    found = semi_grokked(ends)
    if found.empty:
        verdict = "not confirmed" if len(ends) >= ENOUGH else "not testable here"
        return Finding(verdict, f"no run of {len(ends)} ends semi-grokked", scale, "there is nothing to look at")
    runs = [table[table["run"] == key] for key in found["run"]]
    count, ranges = np.array([spikes(run) for run in runs]), np.array([loss_range(run) for run in runs])
    spiky, restless = np.mean(count >= SEVERAL) > 0.5, np.mean(ranges >= FLUCTUATION) > 0.5
    measured = (
        f"{len(found)} runs end so, at {found['accuracy'].min():.0%} to {found['accuracy'].max():.0%}; spikes: median "
        f"{np.median(count):.0f}; training loss late: within a factor of {np.median(ranges):.1f}"
    )
    answers = ["yes" if part else "no" for part in (spiky, restless)]
    reason = f"the transition: yes; spikes in most: {answers[0]}; fluctuating loss in most: {answers[1]}"
    return Finding("confirmed" if spiky and restless else "partly", measured, scale, reason)


def figure_6(table: pd.DataFrame, scale: str) -> Finding:
    """Figure 6: a run rests at middling accuracy, then its norm drops (faster than on the plateau) and it groks."""
    runs, left = table["run"].nunique(), departures(table)
    falls = left["fall_after"] > left["fall_on_plateau"].clip(lower=0)
    complete = falls & (left["to"] > MIDDLING[1])
    measured = (
        f"{len(left)} plateaus left in {runs} runs; the norm then falls faster in {falls.sum()}, "
        f"of which {complete.sum()} lead to more than {MIDDLING[1]:.0%}"
    )
    if complete.any():
        return Finding("confirmed", measured, scale, "a plateau, then a faster fall of the norm and generalisation")
    if falls.any():
        return Finding("partly", measured, scale, "the norm falls as accuracy rises, but no such run groks fully")
    verdict = "not confirmed" if runs >= ENOUGH else "not testable here"
    why = "the norm then falls no faster" if len(left) else "no plateau is left, so there is no fall to compare"
    return Finding(verdict, measured, scale, why)


def on_record(judge: Callable[[pd.DataFrame, str], Finding]) -> Callable[[], Finding]:
    """The judge, applied to whatever is recorded when it is asked."""

    def now() -> Finding:
        try:
            table, scale = recorded()
        except ValueError:
            return Finding("not testable here", "nothing recorded", "none", "the runs are defined, not yet recorded")
        return judge(table, scale)

    return now


CHAPTER = "10-semi-grokking"
CLAIMS = {
    "P4": Claim(
        "Section 5.3, P4",
        "Semi-grokking occurs: near D_crit some runs end at middling test accuracy.",
        "it occurs; the theory does not demand it",
        CHAPTER,
        on_record(p4),
    ),
    "Figure 1c": Claim(
        "Figure 1c, Section 5.3",
        "A run ends at middling accuracy; on the way accuracy spikes, and training loss fluctuates in a set range.",
        "one run, 83%",
        CHAPTER,
        on_record(figure_1c),
    ),
    "Figure 5": Claim(
        "Figure 5",
        "Some runs end semi-grokked, and many rest at middling accuracy before they generalise fully.",
        "at least 6 of 200 runs; many",
        CHAPTER,
        on_record(figure_5),
    ),
    "Figure 6": Claim(
        "Figure 6, Appendix A.1",
        "A run rests at middling accuracy; then its norm drops suddenly and it generalises.",
        "one chosen run; .55 for 10^7 steps",
        CHAPTER,
        on_record(figure_6),
    ),
}
