"""Counting semi-grokked runs (chapter 10): shares with intervals, by runs and by seeds."""

from math import ceil, log

import pandas as pd
from scipy.stats import binomtest

PAPER_SHARE = 6 / 200  # "Out of 200 runs, at least 6"
ENOUGH = 20  # runs, before a share means anything
ABSENCE = ceil(log(0.05) / log(1 - PAPER_SHARE))  # runs, before none means anything: at the paper's share, 95% see one
LATER = 3.0  # "well after": middling accuracy begins at this multiple of the steps to memorise, or later


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
    return "of {} of {} seeds{} (95% interval, of seeds: {:.0%} to {:.0%})".format(*of, where, *share(*of))
