"""Gradient descent on pairs of subweights, many runs side by side: what `subweights` and `many_circuits` share."""

import numpy as np
from jaxtyping import Float


def descend(
    first: Float[np.ndarray, "circuit run"],
    second: Float[np.ndarray, "circuit run"],
    rate: Float[np.ndarray, "*run"],
    q: Float[np.ndarray, "*run"],
    slope: Float[np.ndarray, "circuit run"],
    exponent: Float[np.ndarray, "*run"],
    steps: int,
    every: int = 1,
) -> Float[np.ndarray, "t circuit run"]:
    """The circuits' weights w = first * second at steps 0, every, 2 every, ..., for `steps` of `rate` down

        log(1 + (q-1) e^-S) + the penalty whose slope is slope |w|^exponent sign(w),   S the sum of a run's weights.

    At w = 0 the penalty has slope 0, and a weight that a step would carry across zero stops there (why: module
    `subweights`). A run that overflows goes on as NaN.
    """
    weights = np.empty((steps // every + 1, *first.shape))
    with np.errstate(all="ignore"):
        for step in range(steps + 1):
            w = first * second
            if step % every == 0:
                weights[step // every] = w
            odds = (q - 1) * np.exp(-w.sum(0))
            size = np.abs(w)
            penalty_slope = slope * np.sign(w) * np.where(size > 0, size, 1) ** exponent
            move = rate * (penalty_slope - odds / (1 + odds))
            new_first, new_second = first - move * second, second - move * first
            crossed = new_first * new_second * w < 0
            if crossed.any():
                flipped = new_first * first < 0
                new_first[crossed & flipped] = 0
                new_second[crossed & ~flipped] = 0
            first, second = new_first, new_second
    return weights


def whole(name: str, value: float, least: int) -> int:
    """A number of steps, which may come as a float. Raises ValueError unless it is a whole number, `least` or more."""
    if not float(value).is_integer() or value < least:
        raise ValueError(f"{name} is {value}; it must be a whole number, {least} or more")
    return int(value)
