"""How strong either circuit is in a network that has both (Appendices A.4 and B, Figure 10).

Let T and S be the mean correct logits, centred over classes, on the train and on the held-out pairs, and r = D / p^2.
The paper's two logits are o_t = r T + (1 - r) S and o_m = (1 - r)(T - S) (chapter 02), so that

    o_t / o_m + 1 = (S / (T - S) + 1) / (1 - r).

A table of the train set, which says nothing elsewhere (S = 0), has the ratio r / (1 - r) > 0, and this rises with D
without any generalising circuit; the held-out ratio S / (T - S) leaves that out. Held-out pairs (a, b) whose mirror
(b, a) was trained on, about a fraction r, are no test either. If a memoriser ignores order they have the logit T, the
others have S_0 = (S - r T) / (1 - r), and the same step again leads to the mirror-free ratio S_0 / (T - S_0):

    S / (T - S) + 1 = (S_0 / (T - S_0) + 1) / (1 - r).

All of these compare mean correct logits, and equal correct logits need not be worth the same: a cosine's runner-up is
close behind. So we also ask which *one-hot* circuit would do as well. Weight w on the right class, 0 on the p - 1
others, has the loss ln(1 + (p - 1) e^-w), so a loss L is worth

    w = ln(p - 1) - ln(e^L - 1).

w_total is what the train loss is worth. w_gen is what the trigonometric part alone is worth, less what memorised pairs
lend it, o_t - S_0, for this part of it is one-hot. These are the weights of Theorem D.4, whose circuits have equal
logits: w_total = w_gen + w_mem.

Ratios have a pole where memorisation adds nothing and no logarithm below 0, so ranks are taken of the shares o_t / T,
S / T, S_0 / T and w_gen / w_total, which rise with them and are finite as long as T and w_total are positive.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from grokbook.efficiency import held_out_logit, settled
from grokbook.statistics import size_at, slope

PAIR = ["modulus", "seed", "weight_decay", "train_size", "steps"]


def mixtures(history: pd.DataFrame) -> pd.DataFrame:
    """A row a run of modular addition: `efficiency.settled`, and the quantities of the module's docstring.

    history: as `results.load` returns, with a column modulus. Added: r, T, S, S_0, w_gen, w_total; ratio (o_t / o_m),
    held_out_ratio, mirror_free_ratio, weight_ratio (w_gen / w_mem); share, held_out_share, mirror_free_share,
    weight_share.
    """
    ends = settled(history)
    r = ends["train_size"] / ends["modulus"] ** 2
    train = ends["trig_logit"] + ends["mem_logit"]
    held_out = held_out_logit(ends, ends["modulus"])
    mirror_free = (held_out - r * train) / (1 - r)
    total = one_hot_weight(ends["train_loss"], ends["modulus"])
    lent = (ends["trig_logit"] - mirror_free) * ends["modulus"] / (ends["modulus"] - 1)
    gen = one_hot_weight(ends["trig_test_loss"], ends["modulus"]) - lent
    ends = ends.assign(r=r, T=train, S=held_out, S_0=mirror_free, w_gen=gen, w_total=total)
    parts = {"": (ends["trig_logit"], train), "held_out_": (held_out, train), "mirror_free_": (mirror_free, train)}
    for name, (part, whole) in (parts | {"weight_": (gen, total)}).items():
        ends[f"{name}ratio"], ends[f"{name}share"] = part / (whole - part), part / whole
    return ends


def one_hot_weight(loss: Float[ArrayLike, " run"], modulus: Float[ArrayLike, " run"]) -> Any:
    """The w at which a logit of w on the right class and 0 on the p - 1 others has this cross-entropy; 0 at ln p."""
    return np.log(np.asarray(modulus, float) - 1) - np.log(np.expm1(loss))


def lookup_ratio(train_size: float, modulus: int, mirrors: bool = False) -> float:
    """The paper's ratio o_t / o_m for a network that has stored D pairs and knows nothing else.

    mirrors: it has also stored their mirrors (b, a); then up to terms of order 1 / p. Raises ValueError unless
    0 < D < p^2.
    """
    r = train_size / modulus**2
    if not 0 < r < 1:
        raise ValueError(f"train_size is {train_size}; it must be between 0 and p^2 = {modulus**2}, both excluded")
    return (1 - r) ** -2 - 1 if mirrors else r / (1 - r)


def rank_correlation(table: pd.DataFrame, column: str) -> float:
    """Spearman's rank correlation of a column with train size over all rows; nan when either is constant."""
    if table[column].nunique() < 2 or table["train_size"].nunique() < 2:
        return float("nan")
    return float(spearmanr(table["train_size"], table[column]).statistic)


def norm_buckets(table: pd.DataFrame, count: int = 6) -> pd.Series:
    """The number, from 0, of each run's parameter norm among `count` buckets in equal ratios: Figure 10's colours."""
    return pd.cut(np.log(table["parameter_norm"]), count, labels=False)


def rises(table: pd.DataFrame, column: str, by: list[str] | pd.Series) -> tuple[int, int]:
    """Within each group `by`: at how many steps to the next train size the mean of a column rises, and of how many.

    Source: "each line shows", Figure 10.
    """
    up = steps = 0
    for _, group in table.groupby(by, observed=True):
        change = np.diff(group.groupby("train_size")[column].mean())
        up, steps = up + int((change > 0).sum()), steps + len(change)
    return up, steps


def decades(table: pd.DataFrame, column: str = "ratio") -> float:
    """Orders of magnitude between the least and the largest positive value of a column; nan when none is positive."""
    positive = table.loc[table[column] > 0, column]
    return float(np.log10(positive.max() / positive.min())) if len(positive) else float("nan")


def ratio_slope(table: pd.DataFrame, column: str = "weight_ratio") -> float:
    """d ln(ratio) / d ln D over the runs with a positive ratio, by least squares. ValueError without two sizes."""
    used = table[table[column] > 0]
    return slope(np.log(used["train_size"].to_numpy(float)), np.log(used[column].to_numpy(float)))


def effective_kappa(ratio_slope: float, gamma: float, q: float = 2) -> float:
    """The kappa at which Theorem D.4 has the ratio of weights go as D^ratio_slope, when P_mem goes as D^gamma.

    From ratio_slope = gamma s with s = q kappa / (q - kappa): kappa = q s / (q + s), below q for every s > 0.
    Raises ValueError unless all are positive.
    """
    if not (ratio_slope > 0 and gamma > 0 and q > 0):
        raise ValueError(f"ratio_slope is {ratio_slope}, gamma {gamma}, q {q}; all must be positive")
    s = ratio_slope / gamma
    return q * s / (q + s)


def largest_steps(table: pd.DataFrame) -> tuple[float, float]:
    """The largest rise and the largest fall of test accuracy from one train size to the next, as shares of its range.

    Medians over curves (a seed and a weight decay each) of three sizes or more whose range is at least one half; nan
    when there is none.
    """
    found = []
    for _, curve in table.groupby(["seed", "weight_decay"]):
        values = curve.groupby("train_size")["test_accuracy"].mean()
        change = values.diff().dropna() / (values.max() - values.min())
        if len(values) >= 3 and values.max() - values.min() >= 0.5:
            found.append((max(change.max(), 0), max(-change.min(), 0)))
    rise, fall = np.median(found, axis=0) if found else (np.nan, np.nan)
    return float(rise), float(fall)


def twins(table: pd.DataFrame) -> pd.DataFrame:
    """Pairs of runs that are alike in the columns PAIR and differ in their start. table: one task and model a modulus.

    Columns of the one from a trained network end in _trained, of the one from random weights in _fresh. `gain` is
    ln(train loss, fresh) - ln(train loss, trained): positive when the trained start ends lower, as Appendix A.4 says it
    does "in all the runs"."""
    if table.empty:
        return table
    trained = table["start"] != ""
    pairs = table[trained].merge(table[~trained], on=PAIR, suffixes=("_trained", "_fresh"))
    return pairs.assign(gain=np.log(pairs["train_loss_fresh"]) - np.log(pairs["train_loss_trained"]))


def break_even(pairs: pd.DataFrame, column: str = "train_loss") -> float:
    """The size at which both of a pair of `twins` end with the same `column`, in equations; below, random weights end
    lower. The mean logarithm of their ratio over seeds is joined by straight lines over ln D. Raises ValueError when it
    does not climb through zero. pairs: of one modulus, model and weight decay."""
    gain = (pairs[f"{column}_fresh"] / pairs[f"{column}_trained"]).apply(np.log).groupby(pairs["train_size"]).mean()
    return size_at(gain, 0.0)
