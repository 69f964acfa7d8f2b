"""Three statements of earlier and later work about training with AdamW, and without a regulariser (chapter 13)."""

import numpy as np
import pandas as pd

from grokbook.alternatives import fresh, in_words
from grokbook.claims.verdict import Finding, answers
from grokbook.delay import fit_delay
from grokbook.statistics import bootstrap

MOST = 2 / 3  # of the seeds
SEEDS = 3
PAPER = 1.0  # the paper's weight decay
LEEWAY = 1.05  # of a bound, for the steps' own size
ACTIVE = 0.9  # of the bound: a largest weight that leans on it
DECAY, NONE, ROUNDED = "weight decay", "nothing", "nothing, usual loss"


def rounding(table: pd.DataFrame) -> Finding:
    """Prieto et al.: without a regulariser the usual float32 loss stops learning, and a stable one groks.

    Confirmed when MOST of the runs come to a standstill under the first, which never groks, and none under the second,
    where MOST grok; partly when only the standstill is found; not testable while no run of either kind halts or groks
    (a referee's point); else not confirmed. The longest runs on record count.
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
    if not max(*halted.values(), *groks.values()):
        return Finding("not testable here", measured, scale, "no run is long enough to halt or to grok")
    parts = {
        "standstills in two thirds with the usual loss": halted[ROUNDED] >= MOST,
        "none with the stable one": halted[NONE] == 0,
        "which groks": groks[NONE] >= MOST,
    }
    reason = answers(parts)
    return Finding("not confirmed", measured, scale, reason)


def bounded(table: pd.DataFrame) -> Finding:
    """Xie and Li: where AdamW converges, |weight| <= 1 / decay.

    Of the runs that have converged and fit their data, SEEDS at least: confirmed when in each the largest weight is
    within LEEWAY of the bound, and leans on it (ACTIVE) in MOST; partly when it only is within; else not confirmed.
    (All runs counted until a referee saw that the statement is conditional. A run can be flat by our measure while its
    weights still move, and those that do not fit do.)
    """
    runs = fresh(table)
    runs = runs[(runs["kind"] == DECAY) & (runs["weight_decay"] > 0)]
    if runs.empty or "largest_weight" not in runs:
        return Finding("not testable here", "no largest weight", in_words(runs), "not measured")
    filled = runs["largest_weight"] * runs["weight_decay"]
    fits = runs["outcome"] != "not fitted"
    rest = runs["converged"] & fits
    counted = rest if rest.sum() >= SEEDS else pd.Series(True, runs.index)
    by_decay = filled[counted].groupby(runs["weight_decay"][counted]).median()
    kind = "runs that fit and have converged" if rest.sum() >= SEEDS else "runs"
    measured = f"largest weight over bound in {counted.sum()} {kind}: "
    measured += ", ".join(f"{v:.2f} at {d:g}" for d, v in by_decay.items())
    if rest.sum() < SEEDS:
        reason = f"{rest.sum()} of {len(runs)} runs fit their data and have converged; beyond the bound: "
        reason += (
            f"{(filled > LEEWAY)[fits].sum()} of the {fits.sum()} that fit, {(filled > LEEWAY)[~fits].sum()} others"
        )
        return Finding("not testable here", measured, in_words(runs), reason)
    measured += f"; left out as not converged or not fitted: {(~rest).sum()} runs, "
    measured += f"{(filled > LEEWAY)[~rest].sum()} of which exceed the bound"
    runs, filled = runs[rest], filled[rest]
    if (filled > LEEWAY).any():
        return Finding(
            "not confirmed", measured, in_words(runs), f"{(filled > LEEWAY).sum()} runs are beyond the bound"
        )
    if (filled >= ACTIVE).mean() >= MOST and runs["seed"].nunique() >= SEEDS:
        return Finding("confirmed", measured, in_words(runs), "the bound holds and is felt")
    return Finding("partly", measured, in_words(runs), "the bound holds, but most runs are far inside it")


def weaker_is_slower(table: pd.DataFrame) -> Finding:
    """Confirmed when d ln(steps to generalise) / d ln(weight decay), with runs that have not as censored, lies
    below 0 with its whole bootstrap interval over seeds, and the median time falls with every increase of weight decay;
    partly when only the first holds, when it holds from weight decay PAPER down (added when runs at 3 were seen to come
    to rest in part), or when the slope is below 0 and has no interval because it is undefined without one of the seeds.
    Runs that never fitted their data have no delay and are left out (added when those at 10 were seen not to fit). One
    that generalises at once counts with its step (as "later", wrongly, until a reader noticed)."""
    runs = fresh(table)
    runs = runs[(runs["kind"] == DECAY) & (runs["weight_decay"] > 0) & np.isfinite(runs["fitted_at"])]
    scale = in_words(runs)
    try:
        value = delay_slope(runs)
    except ValueError as error:
        return Finding("not testable here", "no fit", scale, str(error))
    bounds = slope_interval(runs)
    interval = f"{bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else "no interval: without one seed there is no slope"
    median = runs.groupby("weight_decay")["right_at"].median()
    reached = median[np.isfinite(median)]
    monotone = bool((np.diff(reached) < 0).all()) and (reached.index[-1] == median.index[-1])
    measured = f"d ln t / d ln decay {value:.2f} ({interval}); median steps over all seeds "
    measured += ", ".join(f"{t:,.0f} at {d:g}" if np.isfinite(t) else f"none at {d:g}" for d, t in median.items())
    if (bounds[1] if bounds else value) >= 0:
        down = runs[runs["weight_decay"] <= PAPER]
        below = slope_interval(down)
        if below and below[1] < 0:
            reason = f"from {PAPER:g} down the slope is {delay_slope(down):.2f} ({below[0]:.2f} to {below[1]:.2f})"
            return Finding("partly", measured, scale, reason + "; above, more is no faster")
        return Finding("not confirmed", measured, scale, "no such trend")
    if monotone and bounds and runs["seed"].nunique() >= SEEDS:
        return Finding("confirmed", measured, scale, "the weaker weight decay, the later, over the whole range")
    grokked = (runs["outcome"] == "grokked").groupby(runs["weight_decay"]).agg(["sum", "size"])
    counts = ", ".join(f"{row['sum']} of {row['size']} at {decay:g}" for decay, row in grokked.iterrows())
    return Finding("partly", measured, scale, f"the slope is negative, and few runs carry it: grokked {counts}")


def slope_interval(runs: pd.DataFrame) -> tuple[float, float] | None:
    """The bootstrap interval of `delay_slope` over seeds; None where the slope is undefined without one of them."""

    def defined(rows: pd.DataFrame) -> bool:
        try:
            return bool(np.isfinite(delay_slope(rows)))
        except ValueError:
            return False

    sure = all(defined(runs[runs["seed"] != seed]) for seed in runs["seed"].unique())
    return bootstrap(runs, delay_slope, draws=200) if sure else None


def delay_slope(runs: pd.DataFrame) -> float:
    """d ln(steps to generalise) / d ln(weight decay), log-normal about a line; a run that has not is later than its
    end."""
    seen = np.isfinite(runs["right_at"].to_numpy())
    steps = np.where(seen, runs["right_at"], runs["steps"])
    fit = fit_delay(np.log(runs["weight_decay"].to_numpy(float)), steps, seen, degree=1)
    return float(fit.coefficients[1] / fit.unit)
