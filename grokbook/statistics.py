"""The few statistics that the chapters on the evidence share: where a transition lies, how steep it is, how sure it is.

Accuracy against train size is described by the logistic curve of Chapter 6: a fraction of one half at the size D*, and
from 10% to 90% within `width` factors of ten. Intervals come from the bootstrap over whole seeds, because the runs of
one seed share their start and their data; tests from permuting labels, which assumes nothing about distributions.
"""

from collections.abc import Callable
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.optimize import least_squares

DECADES_PER_SCALE = 2 * np.log10(9)  # a logistic in ln D of scale s climbs from 10% to 90% within 2 s ln 9

LEVEL = 0.95  # of every interval
REACH = 1.5  # how far, as a factor, `climbs` continues a curve beyond its ends


class Transition(NamedTuple):
    """Where accuracy against train size passes one half (`size`, equations), and `width`: decades from 10% to 90%."""

    size: float
    width: float


def transition(sizes: Float[np.ndarray, "run"], accuracy: Float[np.ndarray, "run"]) -> Transition:
    """Fit the logistic curve 1 / (1 + (D* / D)^(1/s)) to accuracies by least squares: the best of a grid, refined.

    A transition narrower than the gap between two neighbouring sizes is only located within that gap, and its fitted
    width means no more than "narrower than the gap".
    Raises ValueError unless there are at least three different positive sizes, as many accuracies, and the accuracies
    lie on both sides of one half and rise (by a straight line through them).
    """
    sizes, accuracy = np.asarray(sizes, float), np.asarray(accuracy, float)
    if sizes.shape != accuracy.shape or len(np.unique(sizes)) < 3 or not (sizes > 0).all():
        raise ValueError(f"sizes are {sizes}; at least three different positive ones are needed, one for each accuracy")
    if not accuracy.min() < 0.5 < accuracy.max():
        raise ValueError(f"accuracy runs from {accuracy.min():.3g} to {accuracy.max():.3g}; it must pass one half")
    place, which, runs = np.unique(np.log(sizes), return_inverse=True, return_counts=True)
    means = np.bincount(which, accuracy) / runs  # to fit these, weighted, is to fit all runs
    if slope(np.log(sizes), accuracy) <= 0:
        raise ValueError(f"accuracy is {np.round(accuracy, 3)} at sizes {sizes}; it must rise with size")
    sharpest = np.log(np.diff(place).min() / 50)

    def misses(centre: np.ndarray, log_scale: np.ndarray) -> np.ndarray:
        steepness = np.exp(-log_scale)
        return np.sqrt(runs) * (1 / (1 + np.exp(-np.clip((place - centre) * steepness, -60, 60))) - means)

    grid = np.meshgrid(
        np.linspace(place[0], place[-1], 101), np.linspace(sharpest, np.log(2 * np.ptp(place)), 31), indexing="ij"
    )
    cost = (misses(*(axis[..., None] for axis in grid)) ** 2).sum(-1)
    best = np.argwhere(cost <= cost.min() + 1e-9)  # many, where the transition is narrower than the gap
    start = [axis[tuple(best[len(best) // 2])] for axis in grid]
    bounds = ([place[0], sharpest], [place[-1], np.log(100.0)])
    centre, log_scale = least_squares(lambda theta: misses(*theta), start, bounds=bounds).x
    return Transition(float(np.exp(centre)), float(DECADES_PER_SCALE * np.exp(log_scale)))


def bootstrap(
    table: pd.DataFrame,
    statistic: Callable[[pd.DataFrame], float],
    by: str = "seed",
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile interval of a statistic when whole groups (all rows of one seed) are drawn with replacement.

    Draws on which the statistic raises ValueError or is nan are left out. Raises ValueError with fewer than two groups,
    or when nothing is left.
    """
    groups = list(table.groupby(by, observed=True).indices.values())
    if len(groups) < 2:
        raise ValueError(f"by is {by!r}; the table has {len(groups)} group of it, an interval needs at least two")
    generator = np.random.default_rng(seed)
    found: dict[tuple[int, ...], float] = {}  # few seeds give few different draws: five seeds 126
    values = []
    for _ in range(draws):
        chosen = tuple(sorted(generator.integers(len(groups), size=len(groups)).tolist()))
        if chosen not in found:
            try:
                rows = np.concatenate([groups[i] for i in chosen])
                found[chosen] = statistic(table.take(rows).reset_index(drop=True))
            except ValueError:
                found[chosen] = np.nan
        values.append(found[chosen])
    values = [value for value in values if np.isfinite(value)]
    if not values:
        raise ValueError("statistic is defined on no draw; there is nothing to make an interval from")
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def climbs(x: Float[np.ndarray, "point"], y: Float[np.ndarray, "point"], height: float) -> float:
    """Where the broken line through the points (x, y), x rising, first climbs through `height`.

    Its end pieces are continued by ln REACH. Raises ValueError when it does not.
    """
    for i in range(len(x) - 1):
        rise = y[i + 1] - y[i]
        place = x[i] + (height - y[i]) / rise * (x[i + 1] - x[i]) if rise > 0 else np.nan
        low = x[i] - (np.log(REACH) if i == 0 else 0)
        high = x[i + 1] + (np.log(REACH) if i == len(x) - 2 else 0)
        if low <= place <= high:
            return float(place)
    raise ValueError(f"height is {height:.3g}; the curve through {np.round(y, 3)} does not climb through it")


def size_at(means: pd.Series, height: float) -> float:
    """The size at which `means`, a number for each size of the index, `climbs` through `height`: linear in ln size."""
    return float(np.exp(climbs(np.log(means.index.to_numpy(float)), means.to_numpy(float), height)))


def permutation_test(
    table: Float[np.ndarray, "block label"],
    statistic: Callable[[np.ndarray], float],
    most: int = 20_000,
    seed: int = 0,
    relative: bool = False,
) -> float:
    """The share of relabellings, each block's values permuted on their own, whose statistic is at least the observed.

    All of them when there are at most `most`, otherwise a random sample of `most` (with the observed one counted in).
    A large value says that the labels (such as weight decays, within the blocks that are seeds) may as well be
    exchanged. relative: the statistic is the same when all blocks are relabelled alike, so the first block can stay as
    it is. Raises ValueError unless there are two labels at least and all values are finite.
    """
    table = np.asarray(table, float)
    if table.ndim != 2 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise ValueError(f"table has shape {table.shape}; it must be [block, label], finite, with at least two labels")
    observed = statistic(table)
    observed -= 1e-12 * abs(observed)  # relabellings that score the same may round differently
    labels = table.shape[1]
    orders = list(permutations(range(labels))) if labels <= 6 else None
    still, moved = table[: int(relative)], table[int(relative) :]
    if orders is not None and len(orders) ** len(moved) <= most:
        found = [
            statistic(np.vstack([still, *(row[list(o)] for row, o in zip(moved, choice, strict=True))]))
            for choice in product(orders, repeat=len(moved))
        ]
        return float(np.mean(np.array(found) >= observed))
    generator = np.random.default_rng(seed)
    found = [statistic(np.vstack([still, generator.permuted(moved, axis=1)])) for _ in range(most - 1)]
    return float((1 + np.sum(np.array(found) >= observed)) / most)


def slope(x: Float[np.ndarray, "point"], y: Float[np.ndarray, "point"]) -> float:
    """The least-squares slope of y on x. Raises ValueError when x does not vary."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) < 2 or np.ptp(x) == 0:
        raise ValueError(f"x is {x}; a slope needs two different values")
    centred = x - x.mean()
    return float(centred @ (y - y.mean()) / (centred @ centred))


def isologit_slope(table: pd.DataFrame) -> float:
    """d ln(parameter norm) / d ln(train size) at a fixed correct logit: how fast a circuit loses efficiency.

    table: a row a run, columns train_size, parameter_norm, correct_logit (all positive). The least-squares plane
    ln P = a + b ln D + c ln o; returns b, which is 0 for a circuit whose efficiency does not depend on the data.
    Raises ValueError when the sizes, or the logits, do not vary. Source: Section 5.1, Figure 3.
    """
    logs = [np.log(table[name].to_numpy(float)) for name in ("train_size", "correct_logit", "parameter_norm")]
    design = np.column_stack([np.ones(len(table)), *logs[:2]])
    if np.linalg.matrix_rank(design) < 3:
        raise ValueError(f"table has {len(table)} runs whose sizes and logits do not vary apart; no slope is defined")
    return float(np.linalg.lstsq(design, logs[2], rcond=None)[0][1])
