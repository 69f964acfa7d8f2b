"""The time to grok: recovered from invented times, cut off where a real run would be."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from grokbook.delay import fit_delay, times_to_half

SIZES = np.repeat(np.arange(230, 330, 10), 40)


def invented(coefficients: list[float], spread: float, seed: int = 0) -> np.ndarray:
    x = (SIZES - SIZES.mean()) / (np.ptp(SIZES) / 2)
    noise = np.random.default_rng(seed).normal(size=len(SIZES))
    return np.exp(np.polynomial.polynomial.polyval(x, coefficients) + spread * noise)


def test_without_censoring_it_is_least_squares() -> None:
    steps = invented([9.0, -1.0], 0.5)
    found = fit_delay(SIZES, steps, np.ones(len(SIZES), bool), degree=1)
    slope, _ = np.polyfit((SIZES - found.centre) / found.unit, np.log(steps), 1)
    assert found.coefficients[1] == pytest.approx(slope, rel=1e-4)
    residual = np.log(steps) - np.log(found.median(SIZES))
    assert found.spread == pytest.approx(residual.std(), rel=1e-3)
    of_log = norm.logpdf(residual, scale=residual.std()).sum()
    assert found.log_likelihood == pytest.approx(of_log - np.log(steps).sum())


@pytest.mark.parametrize("curvature", [0.0, 0.6])
def test_the_truth_is_recovered_though_slow_runs_are_cut_off(curvature: float) -> None:
    steps, end = invented([9.5, -1.2, curvature], 0.5), 20_000
    seen = steps <= end
    assert 0.2 < seen.mean() < 0.8
    found = fit_delay(SIZES, np.minimum(steps, end), seen, degree=2)
    assert found.coefficients == pytest.approx([9.5, -1.2, curvature], abs=0.15)
    assert found.spread == pytest.approx(0.5, abs=0.06)
    naive = np.polyfit((SIZES - found.centre) / found.unit, np.log(np.minimum(steps, end)), 1)[0]
    assert naive > -1.0 > found.coefficients[1]  # taking the end for the time to grok hides the growth


def test_more_freedom_is_never_less_likely_and_curvature_is_found_when_it_is_there() -> None:
    for curvature, needed in ((0.0, False), (1.0, True)):
        steps = invented([9.0, -1.0, curvature], 0.4, seed=2)
        seen = steps <= 30_000
        line, bent = (fit_delay(SIZES, np.minimum(steps, 30_000), seen, degree) for degree in (1, 2))
        gain = 2 * (bent.log_likelihood - line.log_likelihood)
        assert gain >= -1e-6
        assert (gain > 6.6) == needed  # the 1% point of chi-squared with one degree of freedom


def test_a_constant_between_two_sets_is_not_taken_for_a_bend() -> None:
    apart = SIZES > 280
    steps = invented([9.0, -1.0], 0.3) * np.where(apart, np.exp(1.5), 1.0)
    seen = steps <= 20_000
    bent, shifted = (fit_delay(SIZES, np.minimum(steps, 20_000), seen, 2, apart=of) for of in (None, apart))
    assert bent.shift == 0
    assert shifted.shift == pytest.approx(1.5, abs=0.15)
    assert shifted.coefficients == pytest.approx([9.0, -1.0, 0.0], abs=0.15)
    assert abs(bent.coefficients[2]) > 2 * abs(shifted.coefficients[2])


def test_times_are_read_off_histories_and_the_unfinished_are_censored() -> None:
    steps, half = [0, 100, 400, 1000], [0.0, 0.2, 0.6, 1.0]
    runs = {"gets there": half, "does not": [0.0, 0.1, 0.2, 0.3]}
    tables = [pd.DataFrame({"run": key, "step": steps, "mirror_free_accuracy": curve}) for key, curve in runs.items()]
    found = times_to_half(pd.concat(tables).assign(train_size=280, seed=1)).set_index("run")
    assert found.loc["gets there", ["steps", "seen"]].tolist() == [400, True]
    assert found.loc["does not", ["steps", "seen"]].tolist() == [1000, False]


def test_too_few_runs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"degree is 2; it needs more than 3 runs that grokked, .* has 3, at 3"):
        fit_delay([1, 2, 3], [10, 20, 30], [True] * 3, degree=2)
    with pytest.raises(ValueError, match=r"steps are .*; all must be positive and finite"):
        fit_delay([1, 2, 3, 4], [0, 20, 30, 40], [True] * 4, degree=1)


def test_one_size_has_the_geometric_mean_as_its_median() -> None:
    found = fit_delay([100] * 3, [10, 20, 40], [True] * 3, degree=0)
    assert found.median([100]).item() == pytest.approx(20)
