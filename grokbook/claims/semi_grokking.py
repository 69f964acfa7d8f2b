"""Semi-grokking: prediction P4 (Section 5.3), judged on runs from scratch; its figures are in module
`semi_grokking_figures`.

What counts as semi-grokked is defined in module `outcomes`. The thresholds were fixed after a prototype of 20 short
runs and before the recorded runs, but for NEAR and ABSENCE. P4 asks for existence, and we ask for it twice: one run is
an anecdote.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from grokbook import results, threshold
from grokbook.claims.counting import ABSENCE, in_seeds, semi_grokked
from grokbook.claims.semi_grokking_figures import figure_1c, figure_5, figure_6, negative_logits
from grokbook.claims.verdict import Claim, Finding, on_record
from grokbook.outcomes import outcomes

NEAR = 1.5  # "D around D_crit": within this factor (asked for since a referee did, when the runs were known)


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
    lengths = table.groupby("run", observed=True)["step"].max().value_counts().sort_index()
    steps = " and ".join(f"{count} of {length:,} steps" for length, count in lengths.items())
    return f"p = {config.modulus}, D = {low} to {high}, {runs} runs of {seeds} seeds, {steps}, {flat} converged"


def tie(table: pd.DataFrame) -> float:
    """D_crit by prices (chapter 12) under the condition of some runs; nan where it is not on record."""
    try:
        return threshold.crossing(*priced(table))
    except ValueError:
        return float("nan")


def priced(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The memorising and the generalising networks on record under the condition of some runs. Raises ValueError."""
    condition = {name: table[name].iloc[0] for name in threshold.CONDITION}
    known = threshold.recorded()
    if known is None:
        raise ValueError("no network is on record that prices could be taken from; they need one circuit alone")
    return threshold.memorisers(known.mem, condition), threshold.pick(known.gen, condition)


def p4(table: pd.DataFrame, scale: str, critical: float) -> Finding:
    """P4: confirmed with two semi-grokked runs of different seeds within a factor NEAR of D_crit; partly with one, with
    such runs elsewhere, or with only transient plateaus. None among ABSENCE runs deny it.

    critical: `tie` of these runs; nan when it is not known, and then no run is near.
    """
    ends = outcomes(table)
    found, transient = semi_grokked(ends), int((ends["transient"] > 0).sum())
    measured = f"{len(found)} of {len(ends)} runs end converged at middling accuracy, {in_seeds(found, ends)}"
    if len(found):
        measured += f"; their accuracies reach from {found['accuracy'].min():.0%} to {found['accuracy'].max():.0%}, "
        measured += f"{(found['accuracy'] < 0.8).sum()} below 80%, {(found['accuracy'] >= 0.9).sum()} at 90% or more"
    measured += f"; {transient} linger for a while and rise"
    if found["seed"].nunique() > 1:
        ratio = found["train_size"] / critical
        near = found[ratio.between(1 / NEAR, NEAR)]["seed"].nunique() > 1
        if critical == critical:
            measured += f"; at {ratio.min():.1f} to {ratio.max():.1f} times D_crit by prices"
        reason = "such ends, well after memorising: yes; where the two circuits cost about alike on average, within a "
        reason += f"factor {NEAR:g}: " + where_tied(ends, near, critical)
        return Finding("confirmed" if near else "partly", measured, scale, reason)
    if len(found) or transient:
        why = "they are of one seed; two are asked for" if len(found) else "a rest that ends is not a final state"
        return Finding("partly", measured, scale, why)
    if len(ends) < ABSENCE:
        return Finding("not testable here", measured, scale, f"none, but of fewer than {ABSENCE} runs")
    return Finding("not confirmed", measured, scale, "every run ends at one of the extremes, or still moves")


def where_tied(ends: pd.DataFrame, near: bool, critical: float) -> str:
    """Whether runs of two seeds semi-grok within a factor NEAR of D_crit, and if not, whether it was tried there."""
    if near or not critical > 0:
        return "yes" if near else "not known"
    ratios = ends["train_size"].to_numpy() / critical
    distance = np.maximum(ratios, 1 / ratios)
    closest = ratios[distance.argmin()]
    return "no" if distance.min() <= NEAR else f"not tried, the closest set is {closest:.1f} times that"


def claim(source: str, statement: str, paper: str, judge: Callable[[pd.DataFrame, str], Finding]) -> Claim:
    """A claim of this chapter."""
    return Claim(source, statement, paper, "10-semi-grokking", on_record(lambda known: judge(*known), recorded))


CLAIMS = {
    "P4": claim(
        "Section 5.3, P4",
        "Semi-grokking occurs: near D_crit some runs end at middling test accuracy.",
        "it occurs; the theory does not demand it",
        lambda table, scale: p4(table, scale, tie(table)),
    ),
    "Figure 1c": claim(
        "Figure 1c, Section 5.3",
        "A run ends at middling accuracy; on the way accuracy spikes, and training loss fluctuates in a set range.",
        "one run, 83%",
        figure_1c,
    ),
    "Figure 5": claim(
        "Figure 5",
        "Some runs end semi-grokked, and many rest at middling accuracy before they generalise fully.",
        "at least 6 of 200 runs; many",
        figure_5,
    ),
    "Figure 6": claim(
        "Figure 6, Appendix A.1",
        "A run rests at middling accuracy; then its norm drops suddenly and it generalises.",
        "one chosen run; .55 for 10^7 steps",
        figure_6,
    ),
    "Appendix B, negative logits": claim(
        "Appendix B, negative logits",
        "In semi-grokking the correct logits of C_mem on the train set are large and negative.",
        "none given",
        negative_logits,
    ),
}
