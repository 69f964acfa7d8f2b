"""How long it takes to grok, as a function of the train size, when some runs have not grokked yet (Section 5.3).

A run that had not grokked when it was last looked at is not left out, which would make small train sets look fast, and
is not counted as having grokked then: it says only that its time is longer ("censored"). The model is

    ln t = c_0 + c_1 x + c_2 x^2 + ... + spread * normal,    x the train size, shifted and scaled,

so a straight line is exponential growth as the train size falls, and c_2 > 0 growth faster than that.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.optimize import minimize
from scipy.special import log_ndtr

from grokbook.outcomes import first_step


class Delay(NamedTuple):
    """ln t = sum over k of coefficients[k] x^k (+ shift) + spread * normal, with x = (D - centre) / unit."""

    coefficients: np.ndarray
    spread: float
    log_likelihood: float
    centre: float
    unit: float
    shift: float

    def median(self, size: Iterable[float]) -> np.ndarray:
        """The median steps to grok at each train size, of runs that are not set apart."""
        x = (np.asarray(size, float) - self.centre) / self.unit
        return np.exp(np.polynomial.polynomial.polyval(x, self.coefficients))


def times_to_half(table: pd.DataFrame) -> pd.DataFrame:
    """A row a run of a table such as `results.load` returns: run, train_size, seed, and steps, until half of the
    mirror-free test equations were right; where they never were, not `seen`, how long the run was watched."""
    rows = []
    for key, run in table.groupby("run", sort=False, observed=True):
        half = first_step(run, "mirror_free_accuracy", 0.5)
        seen = bool(np.isfinite(half))
        steps = half if seen else float(run["step"].max())
        rows.append((key, run["train_size"].iloc[0], run["seed"].iloc[0], steps, seen))
    return pd.DataFrame(rows, columns=["run", "train_size", "seed", "steps", "seen"])


def fit_delay(
    size: Float[np.ndarray, "run"],
    steps: Float[np.ndarray, "run"],
    seen: Bool[np.ndarray, "run"],
    degree: int,
    apart: Bool[np.ndarray, "run"] | None = None,
) -> Delay:
    """The polynomial in the train size that makes the times to grok most likely, log-normal about it.

    steps: when a run grokked, or, where `seen` is False, when it was last looked at without having done so (censored).
    apart: runs whose ln t may differ from the others' by one constant, `shift`.
    In the parameters coefficients / spread and 1 / spread the likelihood is concave, so the maximum found is the only
    one. Raises ValueError unless more than degree + 1 runs were seen to grok, at more than `degree` different sizes,
    and all steps are positive and finite.
    """
    size, steps, seen = np.asarray(size, float), np.asarray(steps, float), np.asarray(seen, bool)
    if not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError(f"steps are {steps}; all must be positive and finite")
    if seen.sum() <= degree + 1 or len(np.unique(size[seen])) <= degree:
        sizes = len(np.unique(size[seen]))
        need = f"it needs more than {degree + 1} runs that grokked, at more than {degree} sizes"
        raise ValueError(f"degree is {degree}; {need}, and has {seen.sum()}, at {sizes}")
    centre, unit = float(size.mean()), float(np.ptp(size) / 2) or 1.0
    design = np.vander((size - centre) / unit, degree + 1, increasing=True)
    if apart is not None:
        design = np.c_[design, np.asarray(apart, float)]
    log_t = np.log(steps)

    def minus_log_likelihood(theta: np.ndarray) -> tuple[float, np.ndarray]:
        """With its gradient; -d/dz is z where a run was seen, and the hazard of the normal distribution elsewhere."""
        scaled = np.exp(theta[-1]) * log_t
        z = scaled - design @ theta[:-1]
        log_density, log_survival = -(z**2) / 2 - np.log(2 * np.pi) / 2, log_ndtr(-z)
        terms = np.where(seen, log_density + theta[-1] - log_t, log_survival)
        slope = np.where(seen, z, np.exp(log_density - log_survival))
        return -float(terms.sum()), np.r_[-slope @ design, slope @ scaled - seen.sum()]

    start = np.r_[np.linalg.lstsq(design[seen], log_t[seen], rcond=None)[0], 0.0]
    end = minimize(minus_log_likelihood, start, method="BFGS", jac=True, options={"gtol": 1e-7, "maxiter": 2000})
    spread = float(np.exp(-end.x[-1]))
    found = end.x[:-1] * spread
    shift = 0.0 if apart is None else float(found[-1])
    return Delay(found[: degree + 1], spread, -float(end.fun), centre, unit, shift)
