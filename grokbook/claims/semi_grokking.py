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
from grokbook.outcomes import MIDDLING, departures, loss_range, outcomes, plateaus, spikes

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
    flat = int(table.groupby("run", observed=True)["converged"].first().sum())
    words = f"p = {config.modulus}, D = {low} to {high}, {runs} runs of {seeds} seeds, {config.steps:,} steps"
    return words + f", {flat} of {runs} converged"


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


def in_seeds(found: pd.DataFrame, ends: pd.DataFrame) -> str:
    """`by_seeds` with an interval, in words; runs of one seed share a network and most of their equations."""
    of = by_seeds(found, ends)
    where = " run at such sizes" * (len(found) > 0)
    return "of {} of {} seeds{} (95% interval {:.0%} to {:.0%})".format(*of, where, *share(*of))


def p4(table: pd.DataFrame, scale: str) -> Finding:
    """P4: confirmed with two semi-grokked runs of different seeds; partly with one, or with only transient plateaus."""
    ends = outcomes(table)
    found, transient = semi_grokked(ends), int((ends["transient"] > 0).sum())
    measured = f"{len(found)} of {len(ends)} runs end converged at middling accuracy, {in_seeds(found, ends)}"
    measured += f"; {transient} rest there and go on"
    if found["seed"].nunique() > 1:
        reason = "flat for a factor of four in steps, well after memorising; no tie of circuits is shown (chapter 10)"
        return Finding("confirmed", measured, scale, reason)
    if len(found) or transient:
        why = "they are of one seed; two are asked for" if len(found) else "a rest that ends is not a final state"
        return Finding("partly", measured, scale, why)
    if len(ends) < ENOUGH:
        return Finding("not testable here", measured, scale, f"fewer than {ENOUGH} runs")
    return Finding("not confirmed", measured, scale, "every run ends at one of the extremes, or still moves")


def figure_5(table: pd.DataFrame, scale: str) -> Finding:
    """Figure 5: runs of two seeds end semi-grokked, in a share not shown to be below 3%, and many (MANY) are transient.

    Both: confirmed; one: partly. Neither: not confirmed when intervals by runs exclude the one share or the other,
    which they do the sooner as runs of one seed are alike; else not testable.
    """
    ends = outcomes(table)
    found, n, passing = semi_grokked(ends), len(ends), int((ends["transient"] > 0).sum())
    measured = f"at the end {len(found)} of {n} runs, {in_seeds(found, ends)}; transient {counted(passing, n)}"
    if n < ENOUGH:
        return Finding("not testable here", measured, scale, f"fewer than {ENOUGH} runs")
    possible = share(len(found), n)[1] >= PAPER_SHARE, share(passing, n)[1] >= MANY
    holds = found["seed"].nunique() > 1 and possible[0], passing >= MANY * n
    answers = ["yes" if held else "not shown" if may else "no" for held, may in zip(holds, possible, strict=True)]
    neither = "not testable here" if all(possible) else "not confirmed"
    verdict = "confirmed" if all(holds) else "partly" if any(holds) else neither
    reason = f"at the end, of two seeds: {answers[0]}; transient in one run of twenty: {answers[1]}"
    return Finding(verdict, measured, scale, reason)


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
    """Figure 6: a run rests at middling accuracy, then its norm drops (faster than on the plateau) and it groks.

    Not testable while no plateau has been left and a run still moves on one (added when four did).
    """
    runs, left, ends = table["run"].nunique(), departures(table), outcomes(table)
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
    moving = ends.loc[ends["outcome"] == "moving", "run"]
    paths = [run for key, run in table.groupby("run", observed=True) if key in set(moving)]
    resting = sum(any(rest.end == run["step"].max() for rest in plateaus(run)) for run in paths)
    open_ended = left.empty and resting > 0
    verdict = "not testable here" if runs < ENOUGH or open_ended else "not confirmed"
    why = "the norm then falls no faster" if len(left) else "no plateau is left, so there is no fall to compare"
    return Finding(verdict, measured, scale, why + f"; {resting} runs are on one and still move" * open_ended)


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
