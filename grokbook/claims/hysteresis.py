"""Appendix A.2: how many more pairs it takes from random weights than from a network that knows the whole table."""

import numpy as np
import pandas as pd

from grokbook import fronts, results
from grokbook.agreement import gap
from grokbook.claims.verdict import Finding, answers
from grokbook.threshold import CONDITION, Evidence, pick

TWICE = (1.5, 3.0)  # "less than half of what the semi-grokking run required": a factor of about two
SETTLED = 0.05  # of a logarithm, since half of the decay time (asked for since a referee did)


def width(model: str) -> int:
    """d_model of a model as tables write it."""
    return int(model.split("d_model=")[1].split(",")[0])


def twice(forgetting: pd.DataFrame, scratch: pd.DataFrame, scale: str) -> Finding:
    """From random weights it takes about twice the pairs that it takes to keep what is known, at the same accuracy.

    The ratio of the sizes with accuracy one half, at the end of either kind of run and at the last decay time that both
    reach: confirmed when both intervals lie above one, both values within TWICE, and the second has SETTLED; partly
    when only the intervals do; otherwise not confirmed.
    """
    last = min(map(fronts.shared_decay_time, (forgetting, scratch)))
    try:
        ratio, low, high = gap(forgetting, scratch)
        alike, alike_low, alike_high = gap(forgetting, scratch, fronts.decay_time(last))
        moved = np.log(alike / gap(forgetting, scratch, fronts.decay_time(last / 2))[0])
    except ValueError:
        reason = "both sides must pass one half, and share two seeds"
        return Finding("not testable here", "no front on one side", scale, reason)
    measured = f"from scratch {ratio:.2f} [{low:.2f}, {high:.2f}] times the pairs of ungrokking, each at its end; "
    measured += f"{alike:.2f} [{alike_low:.2f}, {alike_high:.2f}] at equal decay time, moving by {np.expm1(moved):+.0%}"
    if not min(low, alike_low) > 1:
        return Finding("not confirmed", measured, scale, "the two sides are not shown to differ")
    held = all(TWICE[0] <= value <= TWICE[1] for value in (ratio, alike))
    verdict = "confirmed" if held and abs(moved) < SETTLED else "partly"
    parts = {f"both factors from {TWICE[0]:g} to {TWICE[1]:g}": held, "settled": abs(moved) < SETTLED}
    reason = "the sides differ; " + answers(parts)
    return Finding(verdict, measured, scale, reason)


def sides(of: Evidence) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The histories of the condition that the semi-grokking runs have, from grokked starts and from scratch, of the
    seeds that both have."""
    if not results.recorded("semi-grokking"):
        return None
    scratch = results.load("semi-grokking")
    condition = scratch[CONDITION].iloc[0].to_dict()
    forgetting = pick(of.forgetting, condition)
    shared = set(forgetting["seed"]) & set(scratch["seed"])
    forgetting, scratch = (table[table["seed"].isin(shared)] for table in (forgetting, scratch))
    return (forgetting, scratch) if shared else None


def from_both_sides(of: Evidence) -> Finding:
    """`twice` on the condition of the semi-grokking runs."""
    both = sides(of)
    if both is None:
        return Finding(
            "not testable here", "one side only", "none", "runs from scratch and from grokked starts are needed"
        )
    forgetting, scratch = both
    modulus, model, decay = (scratch[column].iloc[0] for column in CONDITION[1:])
    seeds = scratch["seed"].nunique()
    scale = f"p = {modulus!s}, width {width(str(model))}, weight decay {decay:g}, {seeds} seeds of both sides: "
    times = [
        f"{fronts.lengths(table)} {words}, {converged(table)}"
        for table, words in ((scratch, "from scratch"), (forgetting, "from grokked starts"))
    ]
    return twice(forgetting, scratch, scale + "; ".join(times))


def converged(table: pd.DataFrame) -> str:
    """How many of the runs of some histories had, in words."""
    flat = table.groupby("run", observed=True)["converged"].first()
    return f"{int(flat.sum())} of {len(flat)} runs converged"
