"""The judge of the time to grok: laws that are straight, bent or absent, and runs that were stopped."""

import numpy as np
import pandas as pd
import pytest

from grokbook import results
from grokbook.claims import CLAIMS, VERDICTS
from grokbook.claims.waiting import bound, coefficient, likelihoods, recorded, super_exponential

SIZES = np.arange(240, 460, 20)


def times(bend: float, slope: float = -0.02, noise: float = 0.1, longest: float = np.inf) -> pd.DataFrame:
    """Runs with ln t = 8 + slope (D - 350) + bend (D - 350)^2 and a noise, of eight seeds; cut off at `longest`."""
    generator, rows = np.random.default_rng(0), []
    for seed in range(8):
        for size in SIZES:
            steps = np.exp(8 + slope * (size - 350) + bend * (size - 350) ** 2 + noise * generator.normal())
            row = {"experiment": "made", "modulus": 29, "train_size": size, "seed": seed}
            rows.append(row | {"steps": min(steps, longest), "seen": steps <= longest})
    return pd.DataFrame(rows)


def test_coefficients_are_per_ten_equations_and_censoring_does_not_bend_them() -> None:
    assert coefficient(times(0, noise=1e-3), 1) == pytest.approx(-0.2, rel=1e-2)
    assert coefficient(times(1e-4, noise=1e-3), 2) == pytest.approx(1e-2, rel=1e-2)
    assert coefficient(times(1e-4, longest=8000), 2) == pytest.approx(1e-2, rel=0.25)


@pytest.mark.parametrize(
    "table, verdict",
    [
        (times(1e-4), "confirmed"),
        (times(0, noise=0.5), "partly"),
        (times(-1e-4), "not confirmed"),
        (times(0, slope=0.02, noise=0.5), "not confirmed"),
    ],
)
def test_each_verdict(table: pd.DataFrame, verdict: str) -> None:
    found = super_exponential(table)
    assert found.verdict == verdict
    assert "times as long" in found.measured and "8 seeds of made" in found.scale and "p = 29, D = 240" in found.scale


def test_a_bend_that_only_two_sets_together_show_is_part_of_the_claim() -> None:
    steep, flat = times(0, slope=-0.04, noise=0.4), times(0, slope=-0.01, noise=0.4)
    steep = steep[steep["train_size"] < 350].assign(experiment="steep")
    both = pd.concat([steep, flat[flat["train_size"] >= 350]], ignore_index=True)
    found = super_exponential(both)
    assert found.verdict == "partly" and "only the sets together" in found.reason
    assert "alone made [" in found.measured and "and steep [" in found.measured
    bent = times(1e-4)
    halves = np.where(bent["train_size"] < 350, "one", "other")
    assert super_exponential(bent.assign(experiment=halves)).verdict == "confirmed"


def test_a_set_in_which_nothing_grokked_bounds_nothing() -> None:
    assert bound(times(0).assign(seen=False), 2) == (-np.inf, np.inf)


def test_a_power_law_is_the_likelier_where_it_is_the_law() -> None:
    made = times(0)
    noise = np.log(made["steps"]) - 8 + 0.02 * (made["train_size"] - 350)
    made["steps"] = np.exp(40 - 6 * np.log(made["train_size"]) + noise)
    found = likelihoods(made)
    assert found["power of D"] > found["line"] and found["with a bend"] > found["line"]


def test_the_claim_is_judged_on_what_is_recorded() -> None:
    assert CLAIMS["Section 5.3, time"].judge().verdict in VERDICTS
    assert set(recorded()["experiment"]) == {"semi-grokking", "key-frequencies"}


def test_times_of_one_modulus_are_judged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    load = results.load
    monkeypatch.setattr(results, "load", lambda name: load(name).assign(modulus=113 if "semi" in name else 23))
    assert set(recorded()["experiment"]) == {"semi-grokking"} and set(recorded()["modulus"]) == {113}
