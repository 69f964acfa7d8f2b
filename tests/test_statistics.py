"""Statistics: recovered on data made with known answers, exact on cases small enough to count."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grokbook.statistics import bootstrap, climbs, isologit_slope, permutation_test, size_at, slope, transition

SIZES = np.geomspace(100, 1000, 12)


@settings(deadline=None, max_examples=30)
@given(st.floats(150, 700), st.floats(0.1, 1.0))
def test_transition_recovers_a_logistic_curve(size: float, width: float) -> None:
    scale = width * np.log(10) / (2 * np.log(9))
    found = transition(SIZES, 1 / (1 + (size / SIZES) ** (1 / scale)))
    assert found.size == pytest.approx(size, rel=1e-3)
    assert found.width == pytest.approx(width, rel=1e-2)


def test_transition_counts_in_factors_of_ten_from_a_tenth_to_nine_tenths() -> None:
    sizes = np.geomspace(10, 1000, 81)
    found = transition(sizes, 1 / (1 + (100 / sizes) ** 2))
    low, high = 100 * 9**-0.5, 100 * 9**0.5
    assert found.width == pytest.approx(np.log10(high / low), rel=1e-3)


def test_a_step_is_located_between_its_two_sizes() -> None:
    found = transition(SIZES, SIZES > 400)
    assert SIZES[SIZES <= 400].max() < found.size < SIZES[SIZES > 400].min()
    assert found.width < np.log10(SIZES[1] / SIZES[0])


@pytest.mark.parametrize("accuracy", [np.full(12, 0.2), np.full(12, 0.9)])
def test_no_transition_is_refused(accuracy: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"accuracy runs from .* it must pass one half"):
        transition(SIZES, accuracy)
    with pytest.raises(ValueError, match=r"accuracy is \[1\.  0\.4 0\. \] at sizes .*; it must rise with size"):
        transition(np.array([10, 20, 40]), np.array([1.0, 0.4, 0.0]))
    with pytest.raises(ValueError, match="sizes are"):
        transition(SIZES[:2], np.array([0.0, 1.0]))


def test_bootstrap_of_a_mean_has_the_textbook_width_and_draws_whole_groups() -> None:
    values = np.random.default_rng(1).normal(size=200)
    table = pd.DataFrame({"seed": np.arange(200).repeat(3), "value": values.repeat(3)})
    low, high = bootstrap(table, lambda rows: rows["value"].mean())
    expected = 2 * 1.96 * values.std() / np.sqrt(200)  # repeating each row thrice adds no information
    assert high - low == pytest.approx(expected, rel=0.1)
    assert low < values.mean() < high


def test_bootstrap_needs_two_groups() -> None:
    with pytest.raises(ValueError, match="1 group"):
        bootstrap(pd.DataFrame({"seed": [0, 0], "value": [1, 2]}), lambda rows: 0.0)


def spread(table: np.ndarray) -> float:
    return float(np.ptp(table.mean(axis=0)))


def test_permutation_test_counts_all_relabellings_of_a_small_case() -> None:
    # Two blocks, two labels, one order: of 4 relabellings the 2 that keep the blocks aligned score as much.
    assert permutation_test([[0, 1], [0, 1]], spread) == 0.5
    assert permutation_test(np.tile([0.0, 1.0, 2.0], (3, 1)), spread) == pytest.approx(6 / 6**3)


def test_permutation_test_counts_the_observed_whatever_its_sign() -> None:
    apart, aligned = [[0, 1], [1, 0]], [[0, 1], [0, 1]]  # they score 0 and -1; of 4 relabellings 2 are like each
    assert permutation_test(apart, lambda rows: -spread(rows)) == 0.5
    assert permutation_test(aligned, lambda rows: -spread(rows)) == 1
    assert permutation_test(aligned, lambda rows: -1.0, most=3) == 1  # from a sample


def test_the_first_block_may_stay_where_only_relative_labels_count() -> None:
    table = np.random.default_rng(3).normal(loc=[0, 0.5, 1], size=(3, 3))
    assert permutation_test(table, spread, relative=True) == pytest.approx(permutation_test(table, spread))
    ordered = np.tile(np.arange(5.0), (3, 1))  # 120^3 relabellings, of which 120^2 differ
    assert permutation_test(ordered, spread, relative=True) == pytest.approx(1 / 400)


def test_permutation_test_is_level_under_exchangeable_labels() -> None:
    generator = np.random.default_rng(0)
    p = [permutation_test(generator.normal(size=(3, 3)), spread) for _ in range(200)]
    assert np.mean(np.array(p) <= 0.1) < 0.17
    assert 0.35 < np.mean(p) < 0.65


def test_sampled_and_complete_permutation_tests_agree() -> None:
    table = np.random.default_rng(3).normal(size=(3, 4)) + np.linspace(0, 1.5, 4)
    complete, sampled = permutation_test(table, spread, most=10**6), permutation_test(table, spread, most=4000)
    assert sampled == pytest.approx(complete, abs=0.03)


def test_slope_of_a_line() -> None:
    assert slope([1, 2, 4], [3, 1, -3]) == pytest.approx(-2)
    with pytest.raises(ValueError, match="x is"):
        slope([1, 1], [0, 1])


@settings(deadline=None)
@given(st.floats(-0.5, 0.8), st.floats(0.1, 2))
def test_isologit_slope_recovers_a_power_law(of_size: float, of_logit: float) -> None:
    generator = np.random.default_rng(0)
    size, logit = generator.uniform(100, 5000, 40), generator.uniform(10, 90, 40)
    table = pd.DataFrame(
        {"train_size": size, "correct_logit": logit, "parameter_norm": 3 * size**of_size * logit**of_logit}
    )
    assert isologit_slope(table) == pytest.approx(of_size, abs=1e-9)


def test_isologit_slope_needs_sizes_and_logits_that_vary_apart() -> None:
    table = pd.DataFrame({"train_size": [1, 2, 4], "correct_logit": [1, 2, 4], "parameter_norm": [1, 2, 3]})
    with pytest.raises(ValueError, match="vary apart"):
        isologit_slope(table)


def test_climbs_takes_the_first_rise_and_continues_its_ends_only_so_far() -> None:
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 2.0, 1.0, 5.0])
    assert climbs(x, y, 1.0) == pytest.approx(0.5)
    assert climbs(x, y, 4.0) == pytest.approx(2.75)
    assert size_at(pd.Series(y, np.exp(x)), 4.0) == pytest.approx(np.exp(2.75))
    assert climbs(x, y, 5.4) == pytest.approx(3.1)
    assert climbs(x, y, -0.2) == pytest.approx(-0.1)
    for height in (-2.0, 9.0):
        with pytest.raises(ValueError, match=f"height is {height:g}"):
            climbs(x, y, height)
    with pytest.raises(ValueError, match="does not climb"):
        climbs(x[:1], y[:1], 0.0)
