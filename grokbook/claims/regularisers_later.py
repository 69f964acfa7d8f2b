"""Two statements of later work about training with AdamW, and without a regulariser (chapter 13)."""

import numpy as np
import pandas as pd

from grokbook.alternatives import fresh, in_words
from grokbook.claims.verdict import Finding

MOST = 2 / 3  # of the seeds
SEEDS = 3
LEEWAY = 1.05  # of a bound, for the steps' own size
ACTIVE = 0.9  # of the bound: a largest weight that leans on it
DECAY, NONE, ROUNDED = "weight decay", "nothing", "nothing, usual loss"


def rounding(table: pd.DataFrame) -> Finding:
    """Prieto et al.: without a regulariser the usual float32 loss stops learning, and a stable one groks.

    Confirmed when MOST of the runs come to a standstill under the first, which never groks, and none under the second,
    where MOST grok; partly when only the standstill is found; else not confirmed. The longest runs on record count.
    """
    runs = fresh(table)
    pair = {name: runs[runs["kind"] == name] for name in (ROUNDED, NONE)}
    if any(rows.empty for rows in pair.values()):
        return Finding("not testable here", "one of the two is missing", in_words(runs), "nothing to compare")
    pair = {name: rows[rows["steps"] == rows["steps"].max()] for name, rows in pair.items()}
    halted = {name: np.isfinite(rows["still_from"]).mean() for name, rows in pair.items()}
    groks = {name: (rows["outcome"] == "grokked").mean() for name, rows in pair.items()}
    measured = "; ".join(f"{name}: {halted[name]:.0%} halt, {groks[name]:.0%} grok" for name in pair)
    median = pair[ROUNDED]["still_from"].median()
    if np.isfinite(median):
        measured += f" (standstill from step {median:,.0f} on)"
    scale, halts = in_words(pd.concat(pair.values())), halted[ROUNDED] >= MOST and halted[NONE] == 0
    enough = min(rows["seed"].nunique() for rows in pair.values()) >= SEEDS
    if halts and groks[ROUNDED] == 0 and groks[NONE] >= MOST and enough:
        return Finding("confirmed", measured, scale, "rounding stops it, and without rounding it groks")
    if halts:
        return Finding(
            "partly", measured, scale, "rounding stops learning; without it learning goes on, but does not grok in time"
        )
    return Finding("not confirmed", measured, scale, "the two losses do not part in this way")


def bounded(table: pd.DataFrame) -> Finding:
    """Xie and Li: AdamW ends within |weight| <= 1 / decay. Confirmed when in every run with weight decay the largest
    weight is within LEEWAY of that bound, and leans on it (ACTIVE) in MOST; partly when it only is within; else not."""
    runs = fresh(table)
    runs = runs[(runs["kind"] == DECAY) & (runs["weight_decay"] > 0)]
    if runs.empty or "largest_weight" not in runs:
        return Finding("not testable here", "no largest weight", in_words(runs), "not measured")
    filled = runs["largest_weight"] * runs["weight_decay"]
    by_decay = filled.groupby(runs["weight_decay"]).median()
    measured = "largest weight over bound: " + ", ".join(f"{v:.2f} at {d:g}" for d, v in by_decay.items())
    if (filled > LEEWAY).any():
        reason = f"{(filled > LEEWAY).sum()} runs are beyond the bound, not at rest: the limit does not describe them"
        return Finding("not confirmed", measured, in_words(runs), reason)
    if (filled >= ACTIVE).mean() >= MOST and runs["seed"].nunique() >= SEEDS:
        return Finding("confirmed", measured, in_words(runs), "the bound holds and is felt")
    return Finding("partly", measured, in_words(runs), "the bound holds, but most runs are far inside it")
