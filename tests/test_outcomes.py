"""How runs end: histories drawn by hand, whose plateaus, outcomes and spikes are known."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grokbook.outcomes import OUTCOMES, departures, loss_range, outcomes, plateaus, smoothed, spikes
from grokbook.training import log_spaced

STEPS = np.array(log_spaced(40_000, per_decade=30))


def history(marks: dict[float, float], run: str = "a", converged: bool = True, **columns: object) -> pd.DataFrame:
    """A run that memorises at step 100, whose accuracy goes in straight lines in ln(step) through `marks`, with the
    norm falling as accuracy rises."""
    at, accuracy = np.log(list(marks)), list(marks.values())
    curve = np.interp(np.log(np.maximum(STEPS, 1)), at, accuracy)
    table = pd.DataFrame({"step": STEPS, "mirror_free_accuracy": curve})
    table = table.assign(run=run, train_size=280, seed=0, converged=converged, train_loss=1e-7)
    table = table.assign(train_accuracy=(STEPS >= 100).astype(float), parameter_norm=25 - 5 * curve)
    return table.assign(**columns)


REST = {1: 0, 1000: 0, 2000: 0.5, 8000: 0.5, 12_000: 1.0, 40_000: 1.0}


def test_a_rest_of_a_factor_of_four_is_one_plateau() -> None:
    (found,) = plateaus(history(REST))
    assert 1700 < found.begin <= 2100
    assert 7000 <= found.end < 9000
    assert found.level == pytest.approx(0.5, abs=0.05)


def test_a_rest_of_less_than_the_factor_is_none() -> None:
    short = {1: 0, 1000: 0, 2000: 0.5, 3000: 0.5, 4000: 1.0}
    assert plateaus(history(short)) == []
    assert len(plateaus(history(short), factor=1.2)) == 1
    with pytest.raises(ValueError, match="factor is 1; it must be above 1"):
        plateaus(history(short), factor=1)


@pytest.mark.parametrize("level", [0.05, 0.99])
def test_resting_at_an_extreme_is_no_plateau(level: float) -> None:
    assert plateaus(history({1: level, 40_000: level})) == []


def test_a_climb_in_log_time_is_no_plateau() -> None:
    assert plateaus(history({1: 0, 100: 0, 40_000: 1.0})) == []


def test_two_plateaus_come_in_order_and_apart() -> None:
    twice = {1: 0, 300: 0, 400: 0.3, 1600: 0.3, 2000: 0.7, 20_000: 0.7, 30_000: 1}
    one, two = plateaus(history(twice))
    assert one.end < two.begin
    assert (one.level, two.level) == (pytest.approx(0.3, abs=0.05), pytest.approx(0.7, abs=0.05))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=len(STEPS), max_size=len(STEPS)), st.floats(1.05, 4))
def test_every_plateau_keeps_its_definition(values: list[float], factor: float) -> None:
    run = history(REST).assign(mirror_free_accuracy=values)
    found = plateaus(run, factor)
    for rest in found:
        there = smoothed(run)[(run["step"] >= rest.begin) & (run["step"] <= rest.end)]
        assert rest.end >= factor * rest.begin
        assert there.between(0.2, 0.95).all()
        assert (there - rest.level).abs().max() <= 0.0501
    assert all(one.end < two.begin for one, two in pairwise(found))


def test_one_measurement_on_a_spike_ends_no_plateau_and_decides_no_outcome() -> None:
    run = history({1: 0, 1000: 0, 2000: 0.5, 40_000: 0.5})
    run.loc[run["step"].isin(STEPS[[-1, -12]]), "mirror_free_accuracy"] = 0.0
    assert len(plateaus(run)) == 1
    assert outcomes(run)["outcome"].tolist() == ["semi-grokked"]
    assert spikes(run) == 2


def test_outcomes_by_accuracy_and_convergence() -> None:
    ends = {"memorised": 0.1, "semi-grokked": 0.5, "grokked": 1.0}
    table = pd.concat(
        [history({1: 0, 1000: 0, 2000: level, 40_000: level}, run=name) for name, level in ends.items()]
        + [history({1: 0, 1000: 0, 2000: level}, run=f"{level}", converged=False) for level in (0.1, 0.5, 1.0)]
    )
    found = outcomes(table)
    assert found["outcome"].tolist() == ["memorised", "semi-grokked", "grokked", "moving", "moving", "grokked"]
    assert set(found["outcome"]) <= set(OUTCOMES)
    assert found["accuracy"].tolist() == pytest.approx([0.1, 0.5, 1.0] * 2)


def test_outcomes_tell_when() -> None:
    row = outcomes(history(REST)).iloc[0]
    assert row["memorised_at"] == STEPS[STEPS >= 100][0]
    assert 1000 < row["left_at"] < row["half_at"] <= STEPS[STEPS >= 2000][0]
    assert np.isinf(outcomes(history({1: 0, 40_000: 0.1})).iloc[0]["half_at"])


def test_only_a_plateau_that_is_left_upwards_is_transient() -> None:
    stays = history({1: 0, 1000: 0, 2000: 0.5, 40_000: 0.5}, run="stays")
    falls = history({1: 0, 1000: 0, 2000: 0.5, 8000: 0.5, 12_000: 0.0}, run="falls")
    found = outcomes(pd.concat([history(REST, run="left"), stays, falls])).set_index("run")
    assert found["plateaus"].tolist() == [1, 1, 1]
    assert found["transient"].to_dict() == {"left": 1, "stays": 0, "falls": 0}


@pytest.mark.parametrize(("top", "transient"), [(0.59, 0), (0.61, 1)])
def test_a_transient_plateau_leads_ten_points_higher(top: float, transient: int) -> None:
    dips = {1: 0, 1999: 0, 2000: 0.5, 8000: 0.5, 8001: 0, 12_000: 0, 12_001: top, 40_000: top}
    assert outcomes(history(dips))["transient"].item() == transient


def test_a_departure_says_where_to_and_how_the_norm_fell() -> None:
    run = history(REST)
    early, late = run["step"].clip(1, 3500).pow(-0.7), run["step"].clip(3500, 8000).pow(-0.1)  # at rest from 2000 on
    decay = early * late
    run["parameter_norm"] = 25 * decay * (run["step"] / 8000).clip(lower=1) ** -0.4
    (row,) = departures(run).to_dict("records")
    assert row["to"] == 1.0
    assert 10_000 < row["arrived"] < 13_000
    assert row["fall_on_plateau"] == pytest.approx(0.1, abs=0.02)
    assert row["fall_after"] == pytest.approx(0.4, abs=0.05)


def test_loss_range_looks_at_the_last_factor_of_four_only() -> None:
    run = history(REST)
    assert loss_range(run) == pytest.approx(1)
    late = run["step"] >= 10_000
    assert loss_range(run.assign(train_loss=np.where(late, 1e-7, 1.0))) == pytest.approx(1)
    alternating = np.where(np.arange(len(run)) % 2, 1e-7, 3e-7)
    assert loss_range(run.assign(train_loss=alternating)) == pytest.approx(3)
