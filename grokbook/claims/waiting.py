"""The time to grok against the size of the train set (Section 5.3), judged on runs from scratch (chapter 10).

The paper calls its rise as D falls "super-exponential", after another paper's figure. ln t is modelled as a polynomial
in D with normal noise, runs that have not grokked counted as longer (module `delay`); the rise is exponential on a line
and super-exponential when the line bends upward. The rule was made when the fits, but not their intervals, were known.
"""

from functools import partial

import numpy as np
import pandas as pd

from grokbook import results
from grokbook.claims.verdict import Claim, Finding
from grokbook.delay import fit_delay, times_to_half
from grokbook.statistics import bootstrap

NAMES = "semi-grokking", "key-frequencies"  # the same network on smaller and on larger sets


def recorded() -> pd.DataFrame:
    """`times_to_half` of both experiments, with a column experiment. Raises ValueError when nothing is recorded."""
    tables = [times_to_half(results.load(name)).assign(experiment=name) for name in NAMES if results.recorded(name)]
    if not tables:
        raise ValueError(f"nothing is recorded of {' and '.join(NAMES)}")
    return pd.concat(tables, ignore_index=True)


def coefficient(times: pd.DataFrame, degree: int) -> float:
    """The highest coefficient of the polynomial of ln t, per ten equations."""
    size, steps, seen = (times[name].to_numpy() for name in ("train_size", "steps", "seen"))
    fit = fit_delay(size.astype(float), steps.astype(float), seen, degree)
    return float(fit.coefficients[degree] * (10 / fit.unit) ** degree)


def super_exponential(times: pd.DataFrame) -> Finding:
    """Confirmed when the line bends upward with the whole bootstrap interval over seeds; partly when the slope is shown
    to be negative and a bend neither way; otherwise not confirmed."""
    bounds = [bootstrap(times, partial(coefficient, degree=k), draws=200) for k in (1, 2)]
    rise, bend = (coefficient(times, degree) for degree in (1, 2))
    slow, fast = np.exp(-np.array(bounds[0]))
    measured = f"ten equations fewer take {np.exp(-rise):.2f} [{fast:.2f}, {slow:.2f}] times as long; "
    measured += f"bend {bend:+.4f} [{bounds[1][0]:+.4f}, {bounds[1][1]:+.4f}]"
    sizes, seeds = times["train_size"], times.groupby("experiment")["seed"].nunique()
    scale = f"p = 23, D = {sizes.min()} to {sizes.max()}, {times['seen'].sum()} of {len(times)} runs got there, "
    scale += " and ".join(f"{count} seeds of {name}" for name, count in seeds.items())
    if bounds[1][0] > 0:
        reason = "ln t bends upward; a power law, or a threshold below, would do the same"
        return Finding("confirmed", measured, scale, reason)
    if bounds[0][1] < 0 and bounds[1][1] > 0:
        return Finding("partly", measured, scale, "the rise is exponential at least; a bend is not shown")
    return Finding("not confirmed", measured, scale, "no rise that is exponential or more")


def now() -> Finding:
    """The finding on whatever is on record."""
    try:
        return super_exponential(recorded())
    except ValueError as error:
        return Finding("not testable here", "no fit", "none", str(error))


CLAIMS = {
    "Section 5.3, time": Claim(
        "Section 5.3, Section 7",
        "The time to grok rises super-exponentially as the train set shrinks.",
        "after Power et al. (2021), Figure 1",
        "10-semi-grokking",
        now,
    )
}
