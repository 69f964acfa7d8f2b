import numpy as np
import pandas as pd
import pytest

from grokbook.convergence import drift, stopped


def history(loss=lambda s: 1e-8 + 0 * s, norm=lambda s: 30 + 0 * s, accuracy=lambda s: 1 + 0 * s) -> pd.DataFrame:
    step = np.unique(np.geomspace(1, 10_000, 150).round())
    columns = {"step": step, "train_loss": loss(step), "parameter_norm": norm(step), "test_accuracy": accuracy(step)}
    return pd.DataFrame(columns)


def test_a_flat_run_has_converged_whatever_happened_before() -> None:
    early = history(norm=lambda s: np.where(s < 2500, 60.0, 30.0), accuracy=lambda s: (s > 2400).astype(float))
    assert drift(early) == pytest.approx((0, 0, 0))
    assert drift(early).converged


@pytest.mark.parametrize(
    "moving",
    [
        {"loss": lambda s: 1e-3 / s},  # halves when the step doubles: ln 2 between the halves
        {"norm": lambda s: 60 * s**-0.05},  # 3.4% a doubling
        {"accuracy": lambda s: np.clip(0.5 + 0.1 * np.log2(s / 5000), 0, 1)},
    ],
)
def test_a_drift_in_any_quantity_is_unconverged(moving: dict) -> None:
    assert not drift(history(**moving)).converged


@pytest.mark.parametrize(
    ("share", "converged"),
    [(0.98, True), (1.02, False), (-0.98, True), (-1.02, False)],
)
@pytest.mark.parametrize(
    "moved",
    [
        lambda by: {"loss": lambda s: np.exp(np.where(s < 5000, -9, -9 + 0.25 * by))},
        lambda by: {"norm": lambda s: np.where(s < 5000, 30, 30 * (1 + 0.02 * by))},
        lambda by: {"accuracy": lambda s: np.where(s < 5000, 0.5, 0.5 + 0.02 * by)},
    ],
)
def test_the_bound_on_a_drift_lies_where_it_is_said_to(moved, share: float, converged: bool) -> None:
    assert drift(history(**moved(share))).converged is converged


def test_drift_is_the_change_of_the_mean_in_log_time() -> None:
    moved = drift(history(loss=lambda s: 1 / s, norm=lambda s: s**0.1))
    assert moved.log_train_loss == pytest.approx(-np.log(2), abs=0.05)
    assert moved.parameter_norm == pytest.approx(2**0.1 - 1, abs=0.01)


def test_a_single_spike_does_not_count() -> None:
    spiked = history()
    spiked.loc[spiked["step"] == 10_000, "train_loss"] *= 10
    assert drift(spiked).converged


def test_runs_on_all_equations_are_judged_without_test_accuracy() -> None:
    assert drift(history(accuracy=lambda s: np.nan * s)).converged


def test_too_few_measurements_are_refused() -> None:
    with pytest.raises(ValueError, match="history has no measurement between steps 2500 and 5000"):
        drift(history()[lambda t: (t["step"] < 2500) | (t["step"] > 5000)])


def test_a_stopped_table_is_judged_as_if_nothing_came_later() -> None:
    late = history(accuracy=lambda s: (s > 5000).astype(float)).assign(run="late", converged=False)
    always = history(norm=lambda s: 60 * s**-0.05).assign(run="always", converged=False)
    before = stopped(pd.concat([late, always]), 4000)
    assert before["step"].max() <= 4000
    assert before.groupby("run")["converged"].first().to_dict() == {"late": True, "always": False}
    assert not stopped(late, 10_000)["converged"].any()
    with pytest.raises(ValueError, match="history has no measurement"):
        stopped(late, 1)
