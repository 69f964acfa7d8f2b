"""The verdicts of chapter 13 turn when the tables do."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_alternatives import BASE, STEPS, table

from grokbook import results
from grokbook.claims import CLAIMS, VERDICTS
from grokbook.claims.regularisers import forgetting, others, without
from grokbook.claims.regularisers_others import bounded, rounding, weaker_is_slower

OTHERS = (
    {"regulariser": "l1"},
    {"regulariser": "l2"},
    {"regulariser": "linf"},
    {"regulariser": "l2", "optimiser": "sgd"},
)
SIZES = (70, 105, 160, 240)


def seeds(config, how=None, count: int = 3):
    return [(replace(config, seed=seed), how or {}) for seed in range(count)]


def test_all_other_kinds_grok() -> None:
    groks, not_yet = {"grok": 500}, {}
    runs = [pair for change in OTHERS for pair in seeds(replace(BASE, **change), groks)]
    assert others(table(runs)).verdict == "confirmed"
    assert others(table(runs[3:])).verdict == "partly"  # one kind has no runs
    two = [*runs[3:], *seeds(replace(BASE, **OTHERS[0]), not_yet)]
    found = others(table(two))
    assert found.verdict == "partly" and "L1 penalty 0%" in found.measured and "3 of the 4" in found.reason
    none = [(config, {}) for config, _ in runs]
    assert others(table(none)).verdict == "not confirmed"
    assert others(table([pair for pair in runs if pair[0].seed < 2])).verdict == "partly"  # too few seeds
    assert others(table(seeds(BASE, groks))).verdict == "not testable here"


def test_without_weight_decay() -> None:
    decayed, bare = seeds(BASE, {"grok": 500}), replace(BASE, weight_decay=0.0)
    assert without(table(decayed + seeds(bare, {"grok": 3000}))).verdict == "confirmed"
    assert without(table(decayed + seeds(bare, {"grok": 400}))).verdict == "partly"
    none = without(table(decayed + seeds(bare)))
    assert none.verdict == "partly" and "harder: yes" in none.reason
    small, sgd = replace(bare, epsilon=1e-12), replace(bare, regulariser="l2", optimiser="sgd")
    found = without(table(decayed + seeds(bare) + seeds(small, {"grok": 3000}) + seeds(sgd)))
    assert found.verdict == "confirmed" and "nothing, small ε 100% of 3 runs" in found.measured
    assert without(table(decayed + seeds(bare) + seeds(small, {"grok": 3000})[:2] + seeds(sgd))).verdict == "partly"
    weak = seeds(replace(BASE, weight_decay=0.1))
    assert without(table(decayed + weak + seeds(bare))).verdict == "not testable here"
    assert "no run with weight decay" in without(table(seeds(bare))).reason
    assert without(table(decayed)).verdict == "not testable here"


def test_weaker_is_slower() -> None:
    def at(times: dict[float, float]) -> pd.DataFrame:
        runs = []
        for decay, time in times.items():
            for config, _ in seeds(replace(BASE, weight_decay=decay)):
                runs.append((config, {"grok": time * (1 + 0.05 * config.seed)}))
        return table(runs)

    found = weaker_is_slower(at({0.1: np.inf, 0.3: 3000, 1.0: 1000, 3.0: 400}))
    assert found.verdict == "confirmed" and "none at 0.1" in found.measured
    assert weaker_is_slower(at({0.1: 3500, 0.3: 1000, 1.0: 400, 3.0: 600})).verdict == "partly"
    assert weaker_is_slower(at({0.1: 400, 1.0: 1000, 3.0: 2000})).verdict == "not confirmed"
    assert weaker_is_slower(at({0.1: np.inf, 1.0: np.inf})).verdict == "not testable here"
    found = weaker_is_slower(
        at({0.1: 2400, 0.3: 900, 1.0: 300, 3.0: np.inf, 10.0: np.inf})
    )  # the trend turns above the paper's 1
    assert found.verdict == "partly" and "from 1 down the slope is -0.9" in found.reason


def test_one_seed_alone_carries_no_interval() -> None:
    strong, (one, *others) = seeds(BASE, {"grok": 500}), seeds(replace(BASE, weight_decay=0.1))
    found = weaker_is_slower(table([*strong, (one[0], {"grok": 3000}), *others]))
    assert found.verdict == "partly" and "no interval" in found.measured and "1 of 3 at 0.1" in found.reason


def forgetful(change: dict, threshold: float, top: float = 1.0):
    runs = []
    for seed in range(3):
        for size in SIZES:
            config = replace(BASE, seed=seed, train_size=size, **change)
            config = replace(config, start=replace(config, train_size=529))
            runs.append((config, {"fit": 0, "grok": 0, "top": top if size > threshold else 0.05}))
    return runs


def test_forgetting() -> None:
    ours = forgetful({}, 100) + forgetful(OTHERS[0], 80)
    kinds = ours + forgetful(OTHERS[1], 150)
    control = forgetful({"weight_decay": 0.0}, 0)
    found = forgetting(table(kinds + control))
    assert found.verdict == "confirmed" and "nothing 1.00 to 1.00" in found.measured
    assert forgetting(table(kinds + forgetful({"weight_decay": 0.0}, 100))).verdict == "partly"
    bare_sgd = {"weight_decay": 0.0, "regulariser": "l2", "optimiser": "sgd"}
    assert forgetting(table(kinds + control + forgetful(bare_sgd, 100))).verdict == "partly"
    assert forgetting(table(ours + forgetful(OTHERS[1], 1000))).verdict == "partly"
    assert forgetting(table(forgetful({}, 100) + forgetful(OTHERS[1], 1000))).verdict == "not confirmed"
    assert forgetting(table(forgetful({}, 100, 0.8) + forgetful(OTHERS[1], 100, 0.8) + control)).verdict == "partly"
    assert forgetting(table(forgetful({}, 100, 0.8) + forgetful(OTHERS[1], 100, 0.4))).verdict == "not confirmed"
    assert forgetting(table(forgetful({}, 100))).verdict == "not testable here"


def test_rounding() -> None:
    halted = {"parameter_norm": np.where(STEPS < 1000, 30 - STEPS / 400, 25.0)}
    usual, stable = replace(BASE, weight_decay=0.0, loss="cross-entropy"), replace(BASE, weight_decay=0.0)
    found = rounding(table(seeds(usual, halted) + seeds(stable, {"grok": 3000})))
    assert found.verdict == "confirmed" and "halt" in found.measured
    assert rounding(table(seeds(usual, halted) + seeds(stable))).verdict == "partly"
    assert rounding(table(seeds(usual) + seeds(stable, {"grok": 3000}))).verdict == "not confirmed"
    assert rounding(table(seeds(usual, halted) + seeds(stable, halted))).verdict == "not confirmed"
    assert rounding(table(seeds(usual))).verdict == "not testable here"
    assert rounding(table(seeds(usual) + seeds(stable))).verdict == "not testable here"


@pytest.mark.parametrize(("filled", "verdict"), [(1.0, "confirmed"), (0.4, "partly"), (1.3, "not confirmed")])
def test_bounded(filled: float, verdict: str) -> None:
    runs = []
    for decay in (1.0, 4.0):
        runs += seeds(replace(BASE, weight_decay=decay), {"largest_weight": filled / decay})
    assert bounded(table(runs).assign(converged=True)).verdict == verdict
    assert bounded(table(runs).assign(converged=False)).verdict == "not testable here"


def test_every_claim_of_the_chapter_is_judged_on_what_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    own = [claim for claim in CLAIMS.values() if claim.chapter == "13-other-regularisers"]
    assert len(own) == 6
    assert {claim.judge().verdict for claim in own} <= set(VERDICTS)
    monkeypatch.setattr(results, "recorded", lambda name: set())
    assert {claim.judge().verdict for claim in own} == {"not testable here"}
