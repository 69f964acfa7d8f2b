"""The time to grok against the size of the train set (Section 5.3), judged on runs from scratch (chapter 10).

The paper calls its rise as D falls "super-exponential", after another paper's figure. ln t is modelled as a polynomial
in D with normal noise, runs that have not grokked counted as longer (module `delay`); the rise is exponential on a line
and super-exponential when the line bends upward. The rule was made when the fits, but not their intervals, were known;
that one experiment alone must show the bend was added when a reader saw that only two together did.
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
    """`times_to_half` of both experiments, with columns experiment and modulus; of the first one alone where the second
    has another modulus. Raises ValueError when nothing is recorded."""
    tables = {name: results.load(name) for name in NAMES if results.recorded(name)}
    if not tables:
        raise ValueError(f"no run is recorded of {' or '.join(NAMES)}; the time to grok needs one of them")
    one, *_ = (table["modulus"].iloc[0] for table in tables.values())
    alike = {name: table for name, table in tables.items() if table["modulus"].iloc[0] == one}
    times = [times_to_half(table).assign(experiment=name, modulus=one) for name, table in alike.items()]
    return pd.concat(times, ignore_index=True)


def coefficient(times: pd.DataFrame, degree: int) -> float:
    """The highest coefficient of the polynomial of ln t, per ten equations."""
    size, steps, seen = (times[name].to_numpy() for name in ("train_size", "steps", "seen"))
    fit = fit_delay(size.astype(float), steps.astype(float), seen, degree)
    return float(fit.coefficients[degree] * (10 / fit.unit) ** degree)


def bound(times: pd.DataFrame, degree: int) -> tuple[float, float]:
    """The 95% interval of `coefficient`, whole seeds drawn; of everything there is when too few runs got there."""
    try:
        return bootstrap(times, partial(coefficient, degree=degree), draws=200)
    except ValueError:
        return -np.inf, np.inf


def likelihoods(times: pd.DataFrame) -> dict[str, float]:
    """The log-likelihoods of three laws: a line in D, the same with a bend, and a power of D (a line in ln D)."""
    size, steps, seen = (times[name].to_numpy() for name in ("train_size", "steps", "seen"))
    laws = {"line": (size, 1), "with a bend": (size, 2), "power of D": (np.log(size), 1)}
    return {law: fit_delay(x, steps, seen, degree).log_likelihood for law, (x, degree) in laws.items()}


def super_exponential(times: pd.DataFrame) -> Finding:
    """Confirmed when the line bends upward with the whole bootstrap interval over seeds, in all times together and in
    those of one experiment alone (two sets at other sizes can bend a line by being joined); partly
    when the slope is shown to be negative and no bend downward; otherwise not confirmed."""
    bounds = [bound(times, degree) for degree in (1, 2)]
    rise, bend = (coefficient(times, degree) for degree in (1, 2))
    slow, fast = np.exp(-np.array(bounds[0]))
    measured = f"ten equations fewer take {np.exp(-rise):.2f} [{fast:.2f}, {slow:.2f}] times as long; "
    measured += f"bend {bend:+.4f} [{bounds[1][0]:+.4f}, {bounds[1][1]:+.4f}]"
    sets = {str(name): rows for name, rows in times.groupby("experiment")}
    alone = {name: bound(rows, 2) if len(sets) > 1 else bounds[1] for name, rows in sets.items()}
    if len(alone) > 1:
        each = (f"{name} [{low:+.4f}, {high:+.4f}]" for name, (low, high) in alone.items())
        measured += f", alone {' and '.join(each)}"
    measured += "; ln likelihood " + ", ".join(f"{law} {value:.1f}" for law, value in likelihoods(times).items())
    sizes, seeds = times["train_size"], times.groupby("experiment")["seed"].nunique()
    scale = f"p = {times['modulus'].iloc[0]}, D = {sizes.min()} to {sizes.max()}, "
    scale += f"{times['seen'].sum()} of {len(times)} runs got there, "
    scale += " and ".join(f"{count} seeds of {name}" for name, count in seeds.items())
    if bounds[1][0] > 0 and any(low > 0 for low, _ in alone.values()):
        reason = "ln t bends upward; a power law, or a threshold below, would do the same"
        return Finding("confirmed", measured, scale, reason)
    if bounds[0][1] < 0 and bounds[1][1] > 0:
        reason = "the rise is exponential at least; "
        joined = "only the sets together show a bend, and no set alone"
        return Finding("partly", measured, scale, reason + (joined if bounds[1][0] > 0 else "a bend is not shown"))
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
