"""The verdicts on D_crit turn when the tables do."""

import numpy as np
import pandas as pd
import pytest
from test_agreement import fine, memories, runs_at
from test_threshold import networks

from grokbook.claims import CLAIMS, VERDICTS
from grokbook.claims.hysteresis import twice
from grokbook.claims.threshold import CLOSE, FAR, name, per_seed, place
from grokbook.fronts import end
from grokbook.threshold import evidence, points

MODEL = "ModelConfig(d_model={}, d_head=16, d_mlp=128)"


def table(factor: np.ndarray | float = 1.0, rows: int = 10, moduli: int = 2, low: float = 100) -> pd.DataFrame:
    predicted = np.geomspace(low, 400, rows)
    return pd.DataFrame(
        {
            "task": "add",
            "modulus": [(23, 31, 53)[i % moduli] for i in range(rows)],
            "model": [MODEL.format(32 * (1 + i % 2)) for i in range(rows)],
            "weight_decay": 1.0,
            "seeds": 3,
            "measured": predicted * factor,
            "loss": predicted,
        }
    )


def test_close_everywhere_is_confirmed() -> None:
    found = place(table(0.9))
    assert found.verdict == "confirmed"
    assert "0.90 on average" in found.measured
    assert found.scale == "10 conditions: p = 23, 31; add; widths 32, 64; 3 seeds"


@pytest.mark.parametrize(
    "points",
    [
        table(rows=6),
        table(1 / (CLOSE + 0.05)),
        table(np.r_[np.ones(9), FAR + 0.1]),
        table(np.where(np.arange(10) % 2, 1.45, 0.68), low=300),
    ],
)
def test_each_condition_of_the_rule_counts(points: pd.DataFrame) -> None:
    found = place(points)
    assert found.verdict == "partly"
    assert found.reason.count(": no") >= 1


def test_what_still_moves_is_not_confirmed() -> None:
    assert place(table(0.9), table(0.88)).verdict == "confirmed"
    assert "settled" not in place(table(0.9)).reason
    assert place(table(0.9), table(0.9).assign(loss=np.nan)).verdict == "partly"  # no front at half of the time
    found = place(table(0.9), table(0.8))
    assert found.verdict == "partly" and "settled: no" in found.reason and "0.80 on average" in found.measured


def test_far_off_or_unrelated_is_not_confirmed() -> None:
    assert place(table(0.6)).verdict == "not confirmed"
    assert place(table(1.7)).verdict == "not confirmed"
    reversed_order = table(1.0).assign(measured=table(1.0)["loss"].to_numpy()[::-1])
    assert place(reversed_order).verdict == "not confirmed"


def test_the_worst_condition_is_named() -> None:
    points = table(np.r_[np.ones(9), 1.4])
    assert "worst add at p = 31, width 64, weight decay 1, 1.40" in place(points).measured
    assert name(points, 0) == "add at p = 23, width 32, weight decay 1"


def test_too_few_conditions_are_not_testable() -> None:
    assert place(table(rows=2)).verdict == "not testable here"
    assert place(table(moduli=1)).verdict == "not testable here"
    assert place(pd.DataFrame()).verdict == "not testable here"
    assert place(table().assign(loss=np.nan)).verdict == "not testable here"


def test_verdict_of_networks_from_their_histories() -> None:
    of = evidence(networks(lambda _: 300, lambda _: 290))
    assert points(of, end)["loss"].tolist() == pytest.approx([300])
    assert place(points(of, end)).verdict == "not testable here"  # one condition


def test_seeds() -> None:
    varied, same = memories(0.1), memories(1e-3)
    assert per_seed(fine(1.0, noise=0.01), varied).verdict == "confirmed"
    found = per_seed(fine(1.0, noise=0.01), same)
    assert found.verdict == "partly" and "less than 0.5" in found.reason
    assert "not tested" in per_seed(fine(1.0, noise=0.01), varied[varied["seed"] < 2]).reason
    assert per_seed(fine(-1.0), varied).verdict == "not confirmed"
    assert per_seed(fine(0.05, noise=0.1), varied).verdict == "not confirmed"
    assert per_seed(fine(1.0, seeds=3), varied).verdict == "not testable here"  # six networks
    assert per_seed(fine(1.0, seeds=1), varied).verdict == "not testable here"


def test_both_sides() -> None:
    kept = runs_at(100, "key")
    assert twice(kept, runs_at(210, ""), "").verdict == "confirmed"
    assert twice(kept, runs_at(140, ""), "").verdict == "partly"
    moving = runs_at(210, "")
    early = moving["step"] < moving["step"].max() / 2 + 1
    late = moving.assign(
        mirror_free_accuracy=moving["mirror_free_accuracy"].where(~early, runs_at(300, "")["mirror_free_accuracy"])
    )
    found = twice(kept, late, "")
    assert found.verdict == "partly" and "settled: no" in found.reason
    assert twice(kept, runs_at(100, ""), "").verdict == "not confirmed"
    assert twice(kept, runs_at(1e6, ""), "").verdict == "not testable here"
    assert twice(kept, runs_at(210, "", seeds=1), "").verdict == "not testable here"  # an interval needs two seeds


def test_claims_are_judged_on_whatever_is_on_record() -> None:
    for key in ("D_crit", "D_crit by seed", "hysteresis"):
        found = CLAIMS[key].judge()
        assert found.verdict in VERDICTS
        assert found.measured and found.scale and found.reason
        assert CLAIMS[key].chapter == "12-predicting-the-threshold"
