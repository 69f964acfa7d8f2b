"""What of the paper needs weight decay: Section 7 and the work that followed it; all claims of chapter 13.

Thresholds were fixed when single runs (seed 0, D = 400) of some kinds had been seen. A kind of regulariser groks when,
at one of its strengths, at least MOST of the seeds do, on the largest train set on record. "Confirmed" needs SEEDS.
"""

import numpy as np
import pandas as pd

from grokbook import fronts
from grokbook.alternatives import OWN, UNCHARGED, fresh, grokking_share, in_words, recorded, summary
from grokbook.claims.regularisers_others import DECAY, MOST, SEEDS, bounded, rounding, weaker_is_slower
from grokbook.claims.verdict import Claim, Finding, on_record

LOW, HALF, HIGH = 0.2, 0.5, 0.9  # mirror-free accuracy of what is forgotten, in between, and of what is kept


def others(table: pd.DataFrame) -> Finding:
    """Confirmed when every explicit kind other than weight decay groks, partly when one does, else not confirmed."""
    runs = fresh(table)
    share = grokking_share(runs[runs["kind"].isin(OWN)]).drop(DECAY, errors="ignore")
    scale = in_words(runs)
    if share.empty:
        return Finding("not testable here", "no other regulariser", scale, "only weight decay is on record")
    strengths = runs.groupby("kind")["weight_decay"].nunique()
    best = (f" (the best of {strengths[name]} strengths)" * int(strengths[name] > 1) for name in share.index)
    each = zip(share.items(), best, strict=True)
    measured = "seeds that grok: " + ", ".join(f"{name} {value:.0%}{words}" for (name, value), words in each)
    enough = share >= MOST
    if enough.all() and len(share) == len(OWN) - 1 and runs["seed"].nunique() >= SEEDS:
        return Finding("confirmed", measured, scale, "whatever norm is held down, the network groks")
    if enough.any():
        reason = f"{enough.sum()} of the {len(share)} other kinds that hold a norm down grok"
        return Finding("partly", measured, scale, reason)
    return Finding("not confirmed", measured, scale, "no other kind groks")


def without(table: pd.DataFrame) -> Finding:
    """Two statements: harder to elicit, and not impossible. Without any regulariser and in the stable loss, confirmed
    when MOST of the seeds of one of the UNCHARGED kinds grok, all later than with weight decay 1 (under gradient
    descent: than with its L2 penalty). When only some grok, or earlier, or when none does though under the weakest
    weight decay as long runs do, partly: one of the two holds (a reader's point; the last was "not confirmed" before,
    which it now never is). When none does there either, not testable (a referee's point). The longest runs on record
    count. (Adam as usual was the only such kind until two others were added, before they were run.)"""
    runs = fresh(table)
    bare, decay = runs[runs["kind"].isin(UNCHARGED)], runs["weight_decay"]
    bare, scale = bare[bare["steps"] == bare["steps"].max()], in_words(runs)
    if bare.empty:
        return Finding("not testable here", "no run without regulariser", scale, "none on record")
    said, best, confirmed = [], 0.0, []
    for name, rows in bare.groupby("kind"):
        share, highest = (rows["outcome"] == "grokked").mean(), rows["accuracy"].max()
        said.append(f"{name} {share:.0%} of {len(rows)} runs ({highest:.2f})")
        charged = runs[(runs["kind"] == UNCHARGED[str(name)]) & ((runs["kind"] != DECAY) | (decay == 1))]
        later = rows["right_at"].min() > charged.loc[charged["outcome"] == "grokked", "right_at"].max()
        confirmed += [str(name)] if share >= MOST and later and rows["seed"].nunique() >= SEEDS else []
        best = max(best, share)
    measured = f"within {int(bare['steps'].max()):,} steps grok (and highest mirror-free accuracy): {'; '.join(said)}"
    if confirmed:
        return Finding("confirmed", measured, scale, f"{', '.join(confirmed)}: it groks, and later than with a charge")
    if best > 0:
        reason = f"at most {best:.0%} of a kind grok without any regulariser, or not all later than with one"
        return Finding("partly", measured, scale, reason)
    weak = runs[(runs["kind"] == DECAY) & (runs["weight_decay"] > 0) & (runs["steps"] == bare["steps"].max())]
    weak = weak[weak["weight_decay"] == weak["weight_decay"].min()]
    if (weak["outcome"] == "grokked").mean() >= MOST:
        times = bare["steps"].max() / weak["right_at"].median()
        reason = f"harder: yes; that it does not vanish was not seen in {times:.1f} times the median steps "
        return Finding("partly", measured, scale, reason + f"of weight decay {weak['weight_decay'].iloc[0]:g}")
    reason = "no run with weight decay is as long, to tell whether these are long enough"
    if len(weak):
        there = f"{(weak['outcome'] == 'grokked').sum()} of {len(weak)}"
        reason = f"no run is long enough: under the weakest weight decay {there} grok in these steps"
    return Finding("not testable here", measured, scale, reason)


def forgetting(table: pd.DataFrame) -> Finding:
    """Ungrokking with a threshold, kind by kind: mean accuracy at the smallest D' below LOW, at the largest above HIGH.

    Confirmed when all explicit kinds on record do, weight decay and two others among them, and none without a
    regulariser does. Partly when under a kind other than weight decay accuracy goes from below LOW to above HALF at
    least (added when the largest size on record was seen to miss HIGH under every kind). Else not confirmed.
    """
    later = table[table["start"] != ""]
    found: dict[str, bool] = {}
    halves: dict[str, bool] = {}
    words = []
    for name, rows in ((str(kind), rows) for kind, rows in later.groupby("kind")):
        shot = fronts.snapshot(rows)
        ends, front = fronts.by_size(shot), fronts.fronts(shot)
        found[name] = bool(ends.iloc[0] < LOW and ends.iloc[-1] > HIGH)
        halves[name] = bool(ends.iloc[0] < LOW and ends.iloc[-1] > HALF)
        size = f", D* {np.exp(np.log(front['size']).mean()):.0f}" if len(front) else ""
        seeds = shot["seed"].nunique()
        size += f" in {len(front)} of {seeds} seeds" if 0 < len(front) < seeds else ""
        words.append(f"{name} {ends.iloc[0]:.2f} to {ends.iloc[-1]:.2f}{size}")
    explicit = [holds for name, holds in found.items() if name in OWN]
    if len(explicit) < 2:
        return Finding("not testable here", "fewer than two kinds", "none", "nothing to compare")
    measured, scale = "mirror-free accuracy over D': " + "; ".join(words), in_words(summary(later))
    if all(explicit) and len(explicit) > 2 and found.get(DECAY) and not any(found.get(name) for name in UNCHARGED):
        if later["seed"].nunique() >= SEEDS:
            return Finding("confirmed", measured, scale, "every regulariser makes it forget, below a size of its own")
    if any(half for name, half in halves.items() if name in OWN and name != DECAY):
        whole, part = [n for n in OWN if found.get(n)], [n for n in OWN if halves.get(n) and not found[n]]
        rest, bare = [n for n in OWN if n in found and not halves[n]], [n for n in UNCHARGED if found.get(n)]
        said = {f"to above {HIGH}": whole, f"to above {HALF}": part, "not so": rest, "without a charge as well": bare}
        reason = "; ".join(f"{text}: {', '.join(names)}" for text, names in said.items() if names)
        return Finding("partly", measured, scale, f"from below {LOW} {reason}")
    return Finding("not confirmed", measured, scale, "no other kind than weight decay passes one half")


CHAPTER = "13-other-regularisers"
CLAIMS = {
    "Section 7, other regularisers": Claim(
        "Section 7",
        "Similar arguments may hold for other types of regularisation (our reading: networks grok with them).",
        "may",
        CHAPTER,
        on_record(others, recorded),
    ),
    "Section 7, no regulariser": Claim(
        "Section 7",
        "Without weight decay grokking is slower and often much harder to elicit, and does not completely vanish.",
        "none given",
        CHAPTER,
        on_record(without, recorded),
    ),
    "Section 7, weaker is slower": Claim(
        "Section 7, after Power et al. (2021)",
        "Grokking takes longer as weight decay decreases.",
        "none given",
        CHAPTER,
        on_record(weaker_is_slower, recorded),
    ),
    "P2, other regularisers": Claim(
        "Section 4.2, beyond weight decay",
        "Below a critical size of the train set a network forgets, whatever holds the norm down (our reading of P2).",
        "none given",
        CHAPTER,
        on_record(forgetting, recorded),
    ),
    "Prieto et al. 2025": Claim(
        "Prieto et al. (2025), abstract",
        "Without regularisation rounding in the softmax stops learning; a stable loss groks without regularisation.",
        "none given",
        CHAPTER,
        on_record(rounding, recorded),
    ),
    "Xie and Li 2024": Claim(
        "Xie and Li (2024), abstract",
        "If full-batch AdamW converges, then to weights that are at most 1 over weight decay, and to first order "
        "optimal within that bound.",
        "1 / weight decay",
        CHAPTER,
        on_record(bounded, recorded),
    ),
}
