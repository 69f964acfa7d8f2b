"""What is read off runs under other regularisers, on histories made to measure."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from grokbook.alternatives import BARE, OWN, described, fresh, grokking_share, kind, own_change, still_from, summary
from grokbook.experiments import EXPERIMENTS
from grokbook.results import described_by
from grokbook.training import TrainConfig

STEPS = np.array([0, *np.unique(np.geomspace(1, 4000, 60).round())])
BASE = TrainConfig("add", 23, 420, 4000)


def history(config: TrainConfig, fit: float = 100, grok: float = np.inf, top: float = 1.0, **columns) -> pd.DataFrame:
    """A run that fits its data at step `fit` and has `top` of the mirror-free answers from step `grok` on."""
    shape = {
        "step": STEPS,
        "train_accuracy": (STEPS >= fit).astype(float),
        "mirror_free_accuracy": np.where(STEPS >= grok, top, 0.0),
        "train_loss": 1 / (1 + STEPS),
        "parameter_norm": 30 - STEPS / 400,
        "l1_norm": 1000 + STEPS,
        "largest_weight": np.where(STEPS < fit, 1.0, 2.0),
        "run": config.key,
        **described_by(config),
        "converged": True,
    }
    return pd.DataFrame(shape | columns)


def table(runs: list[tuple[TrainConfig, dict]]) -> pd.DataFrame:
    return described(pd.concat([history(config, **how) for config, how in runs], ignore_index=True))


def test_every_run_of_the_experiment_has_a_kind_and_every_kind_has_runs() -> None:
    assert {kind(config) for config in EXPERIMENTS["regularisers"].runs("small")} == {*OWN, *BARE}
    with pytest.raises(ValueError, match=r"config has \('l1', 'sgd'\)"):
        kind(replace(BASE, regulariser="l1", optimiser="sgd"))


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ({"grok": 500}, "grokked"),
        ({"grok": 150}, "at once"),
        ({"grok": 500, "top": 0.6}, "in part"),
        ({}, "memorised"),
        ({"fit": np.inf}, "not fitted"),
    ],
)
def test_outcomes(how: dict, outcome: str) -> None:
    found = summary(table([(BASE, how)])).iloc[0]
    assert found["outcome"] == outcome
    assert np.isfinite(found["right_at"]) == (outcome in ("grokked", "at once"))


def test_times_are_the_first_measured_steps_and_norms_are_compared_from_the_fit_on() -> None:
    found = summary(table([(BASE, {"fit": 100, "grok": 500})])).iloc[0]
    assert found["fitted_at"] == STEPS[STEPS >= 100].min() and found["right_at"] == STEPS[STEPS >= 500].min()
    assert found["l1_norm_change"] == pytest.approx(np.log((1000 + 4000) / (1000 + found["fitted_at"])))
    assert found["parameter_norm_change"] < 0
    assert found["largest_weight_change"] == 0


def test_standstill() -> None:
    run = history(BASE)
    assert still_from(run) == np.inf
    halted = run.assign(parameter_norm=np.where(STEPS < 1000, run["parameter_norm"], 20.0))
    assert still_from(halted) == STEPS[STEPS >= 1000].min()
    assert still_from(run.assign(parameter_norm=20.0)) == 0


def test_the_best_strength_on_the_largest_train_set_counts() -> None:
    strong = [(replace(BASE, weight_decay=3.0, seed=s), {"grok": 500}) for s in range(3)]
    weak = [(replace(BASE, weight_decay=0.3, seed=s), {"grok": 500} if s == 0 else {}) for s in range(3)]
    scarce = [(replace(BASE, weight_decay=9.0, train_size=100), {"grok": 500})]
    runs = fresh(table([*strong[:2], (strong[2][0], {}), *weak, *scarce]))
    assert len(runs) == 6
    assert grokking_share(runs)["weight decay"] == pytest.approx(2 / 3)


def test_own_norm_is_that_of_the_kind() -> None:
    start = replace(BASE, train_size=529, regulariser="l1")
    l1 = replace(start, train_size=100, start=start)
    bare = replace(l1, regulariser="decoupled", weight_decay=0.0)
    found = own_change(table([(l1, {}), (bare, {}), (start, {})]))
    assert found["kind"].tolist() == ["L1 penalty"]
    assert found["own"].iloc[0] == pytest.approx(np.log(5000 / 1000))
    assert found["loss"].iloc[0] == pytest.approx(-np.log(4001))
