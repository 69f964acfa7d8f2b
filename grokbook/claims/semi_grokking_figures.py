"""Semi-grokking in the paper's Figures 1c, 5 and 6 and its Appendix B, judged on runs from scratch (chapter 10).

What counts as semi-grokked, as a plateau and as transient is defined in module `outcomes`. All thresholds were fixed
after a prototype of 20 short runs and before the recorded runs, but for ABSENCE (20, until a reader reckoned how many
runs show one) and those of which the judges say otherwise.
"""

import numpy as np
import pandas as pd

from grokbook import results
from grokbook.claims.counting import ABSENCE, ENOUGH, PAPER_SHARE, counted, semi_grokked, share
from grokbook.claims.verdict import Finding
from grokbook.outcomes import MIDDLING, departures, loss_range, outcomes, plateaus, spikes

FEW = 5  # plateaus left, or runs looked at, before they mean anything
MANY = 0.05  # "many other runs": one in twenty
SEVERAL = 3  # spikes
FLUCTUATION = 2.0  # training loss late in a run, 95% over 5% quantile
LARGE, SOME = 0.1, 0.01  # of the correct logit: what is large, and what is anything at all


def figure_5(table: pd.DataFrame, scale: str) -> Finding:
    """Figure 5: runs of two seeds end semi-grokked, in a share not shown to be below 3%, and many (MANY) are transient.

    Both: confirmed; one: partly. Neither: not confirmed when intervals by runs exclude the one share or the other,
    which they do the sooner as runs of one seed are alike; else not testable.
    """
    ends = outcomes(table)
    found, n, passing = semi_grokked(ends), len(ends), int((ends["transient"] > 0).sum())
    measured = f"at the end {counted(len(found), n)}, of {found['seed'].nunique()} seeds"
    measured += f"; transient {counted(passing, n)}"
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
        verdict = "not confirmed" if len(ends) >= ABSENCE else "not testable here"
        return Finding(verdict, f"no run of {len(ends)} ends semi-grokked", scale, "there is nothing to look at")
    runs = [table[table["run"] == key] for key in found["run"]]
    count, ranges = np.array([spikes(run) for run in runs]), np.array([loss_range(run) for run in runs])
    ordinary = [run.sort_values("step")["test_accuracy"].tail(5).median() for run in runs]
    spiky, restless = np.mean(count >= SEVERAL) > 0.5, np.mean(ranges >= FLUCTUATION) > 0.5
    measured = (
        f"{len(found)} runs end so, at {found['accuracy'].min():.0%} to {found['accuracy'].max():.0%} of mirror-free "
        f"pairs, {min(ordinary):.0%} to {max(ordinary):.0%} of all test pairs; spikes: median {np.median(count):.0f}; "
        f"training loss late: within a factor of {np.median(ranges):.2f}"
    )
    answers = ["yes" if spiky else "not seen at this sampling", "yes" if restless else "no"]
    reason = f"the transition: yes; spikes in most: {answers[0]}; fluctuating loss in most: {answers[1]}"
    return Finding("confirmed" if spiky and restless else "partly", measured, scale, reason)


def figure_6(table: pd.DataFrame, scale: str) -> Finding:
    """Figure 6: a run rests at middling accuracy, then its norm drops (faster than before) and it groks. Confirmed when
    most of the plateaus that are left are left so, one of them for more than the middling band; partly with one of the
    two.

    "Before" is the second half of the plateau: the first holds the end of an earlier fall (all of it counted until a
    referee saw that). Not testable while no plateau has been left and a run still moves on one (added when four did),
    nor when fewer than FEW have been left (added when three had; of so few a toss of coins would show one such fall).
    """
    runs, left, ends = table["run"].nunique(), departures(table), outcomes(table)
    falls = left["fall_after"] > left["fall_on_plateau"].clip(lower=0)
    high = left["to"] > MIDDLING[1]
    complete = falls & high
    measured = f"{len(left)} plateaus were left again in {runs} runs, {high.sum()} of them for an accuracy that at "
    measured += f"some time exceeds {MIDDLING[1]:.0%}; "
    measured += f"the norm then falls faster in {falls.sum()}"
    measured += f" (to {left.loc[falls, 'to'].max():.0%} at most)" if falls.any() else ""
    if 0 < len(left) < FEW:
        return Finding("not testable here", measured, scale, f"{len(left)} cases are too few for either answer")
    most = falls.mean() > 0.5
    if most or complete.any():
        reason = f"the norm falls faster in most: {'yes' if most else 'no'}; in one that goes on to more than "
        reason += f"{MIDDLING[1]:.0%}: {'yes' if complete.any() else 'no'}"
        return Finding("confirmed" if most and complete.any() else "partly", measured, scale, reason)
    moving = ends.loc[ends["outcome"] == "moving", "run"]
    paths = [run for key, run in table.groupby("run", observed=True) if key in set(moving)]
    resting = sum(any(rest.end == run["step"].max() for rest in plateaus(run)) for run in paths)
    open_ended = left.empty and resting > 0
    verdict = "not testable here" if (left.empty and runs < ABSENCE) or open_ended else "not confirmed"
    why = "the norm then falls no faster" if len(left) else "no plateau is left, so there is no fall to compare"
    return Finding(verdict, measured, scale, why + f"; {resting} runs are on one and still move" * open_ended)


def negative_logits(table: pd.DataFrame, scale: str) -> Finding:
    """Appendix B: after memorising, the mean correct logit of C_mem on the train set falls below minus LARGE times the
    whole correct logit in a run that semi-grokked or was transient (confirmed), or below minus SOME times it (partly).
    The rule was made with the data at hand.
    """
    ends = outcomes(table)
    semi = {*semi_grokked(ends)["run"], *ends.loc[ends["transient"] > 0, "run"]}
    after = table[table["step"] >= table["run"].map(ends.set_index("run")["memorised_at"])]
    after = after.assign(part=after["mem_logit"] / after["correct_logit"])
    lowest = after.groupby("run", observed=True)[["mem_logit", "part"]].min()
    looked_at, last = lowest[lowest.index.isin(semi)], results.last_rows(table)
    if len(ends) < ENOUGH or len(looked_at) < FEW:
        few = f"{len(looked_at)} such runs of {len(ends)} are too few"
        return Finding("not testable here", few, scale, f"{FEW} of {ENOUGH} are asked for")
    every, ends_at, below = lowest["mem_logit"].min(), last["correct_logit"].median(), (last["mem_logit"] < 0).sum()
    measured = f"after memorising it is at least {looked_at['mem_logit'].min():+.2f} in {len(looked_at)} runs that "
    measured += f"semi-grokked or were transient, {every:+.2f} in all {len(ends)}, where the median correct logit ends "
    measured += f"at {ends_at:.0f}; below zero at the end: {below}"
    least = looked_at["part"].min()
    verdict = "confirmed" if least < -LARGE else "partly" if least < -SOME else "not confirmed"
    reason = "ours are centred: their mean has the sign of the train pairs' mean correct logit less that of the others"
    return Finding(verdict, measured, scale, reason)
