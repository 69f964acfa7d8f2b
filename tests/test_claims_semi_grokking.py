"""Judges of semi-grokking: invented runs that make each verdict, and the change of one of them that unmakes it."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from grokbook import results, threshold
from grokbook.claims import CLAIMS, counting, judge
from grokbook.claims import semi_grokking as claims
from grokbook.claims import semi_grokking_figures as figures
from grokbook.training import log_spaced

STEPS = np.array(log_spaced(40_000, per_decade=30))
MEMORY = {1: 0.0, 40_000: 0.02}
GROKS = {1: 0.0, 1000: 0.0, 3000: 1.0, 40_000: 1.0}
SEMI = {1: 0.0, 1000: 0.0, 3000: 0.6, 40_000: 0.6}
TRANSIENT = {1: 0.0, 1000: 0.0, 2000: 0.5, 8000: 0.5, 12_000: 1.0, 40_000: 1.0}


def sweep(*kinds: tuple[dict[float, float], int]) -> pd.DataFrame:
    """So many runs of each kind of accuracy curve, each of its own seed; the norm falls as accuracy rises."""
    tables = []
    for marks, count in kinds:
        for _ in range(count):
            seed = len(tables)
            curve = np.interp(np.log(np.maximum(STEPS, 1)), np.log(list(marks)), list(marks.values()))
            table = pd.DataFrame({"step": STEPS, "mirror_free_accuracy": curve, "parameter_norm": 25 - 5 * curve})
            table["test_accuracy"] = 0.5 + curve / 2
            table = table.assign(train_accuracy=(STEPS >= 100).astype(float), train_loss=1e-7)
            tables.append(table.assign(run=f"run {seed}", train_size=280, seed=seed, converged=True))
    return pd.concat(tables, ignore_index=True)


def test_the_recorded_runs_are_told_with_their_lengths() -> None:
    name = "semi-grokking"
    table = results.load(name)
    some = table[table["run"].isin(table["run"].unique()[:3])]
    last = sorted(some.groupby("run", observed=True)["step"].max())
    cut = some[(some["run"] != some["run"].iloc[0]) | (some["step"] <= 1000)]
    words = claims.in_words(name, cut)
    shortest = cut["step"][cut["run"] == some["run"].iloc[0]].max()
    assert f"1 of {shortest:,} steps and " in words and f" of {last[-1]:,} steps, " in words
    assert words.startswith("p = 23, D = ") and "3 runs of " in words


def test_p4_wants_two_converged_runs_of_different_seeds() -> None:
    two = sweep((MEMORY, 20), (SEMI, 2), (GROKS, 8))
    finding = claims.p4(two, "invented", 280.0)
    assert finding.verdict == "confirmed"
    assert "2 of 30 runs end converged at middling accuracy, of 2 of 30 seeds" in finding.measured
    assert "(95% interval, of seeds: 1% to 22%)" in finding.measured
    assert "from 60% to 60%, 2 below 80%" in finding.measured
    assert claims.p4(two.assign(seed=0), "invented", 280.0).verdict == "partly"
    assert claims.p4(sweep((MEMORY, 20), (SEMI, 1)), "invented", 280.0).verdict == "partly"


def test_p4_wants_them_where_the_circuits_cost_about_alike() -> None:
    two = sweep((MEMORY, 20), (SEMI, 2))
    verdicts = {critical: claims.p4(two, "invented", critical).verdict for critical in (100.0, 190.0, 400.0, 430.0)}
    assert verdicts == {100.0: "partly", 190.0: "confirmed", 400.0: "confirmed", 430.0: "partly"}
    unknown = claims.p4(two, "invented", float("nan"))
    assert unknown.verdict == "partly" and unknown.reason.endswith("not known")
    assert claims.p4(two, "invented", 100.0).reason.endswith("not tried, the closest set is 2.8 times that")
    tried = pd.concat([two, sweep((MEMORY, 1)).assign(run="there", train_size=120)], ignore_index=True)
    assert claims.p4(tried, "invented", 100.0).reason.endswith("within a factor 1.5: no")
    assert "1.4 to 1.4 times" in claims.p4(two, "invented", 200.0).measured


def test_the_tie_is_chapter_12s() -> None:
    known, table = threshold.recorded(), results.load("semi-grokking")
    condition = {name: table[name].iloc[0] for name in threshold.CONDITION}
    memory = known.mem[(known.mem["modulus"] == 23) & (known.mem["model"] == condition["model"])]
    assert claims.tie(table) == threshold.crossing(memory, threshold.pick(known.gen, condition))
    assert np.isnan(claims.tie(table.assign(modulus=24)))


def test_seeds_are_counted_where_something_was_found() -> None:
    few = sweep((MEMORY, 20), (SEMI, 1), (GROKS, 1))
    few["train_size"] = few["seed"].where(few["seed"] >= 20, 0) // 20 * 100 + 200  # the first twenty at another size
    assert "of 1 of 2 seeds run at such sizes" in claims.p4(few, "invented", 280.0).measured
    assert "of 0 of 20 seeds (95%" in claims.p4(sweep((MEMORY, 20)), "invented", 280.0).measured


def test_p4_without_any_needs_enough_runs_to_deny() -> None:
    assert counting.ABSENCE == 99  # 1 - 0.97^99 is just above 95%
    assert claims.p4(sweep((MEMORY, 49), (GROKS, 50)), "invented", 280.0).verdict == "not confirmed"
    assert claims.p4(sweep((MEMORY, 49), (GROKS, 49)), "invented", 280.0).verdict == "not testable here"


def test_p4_takes_no_run_that_still_moves_and_none_that_was_middling_from_the_start() -> None:
    moving = sweep((MEMORY, 96), (SEMI, 4))
    moving["converged"] = moving["seed"] < 96
    assert claims.p4(moving, "invented", 280.0).verdict == "not confirmed"
    early = sweep((MEMORY, 96), ({1: 0.0, 100: 0.0, 130: 0.6, 40_000: 0.6}, 4))
    assert claims.p4(early, "invented", 280.0).verdict == "not confirmed"


def test_p4_counts_rests_that_end_as_half_of_it() -> None:
    assert claims.p4(sweep((MEMORY, 20), (TRANSIENT, 3)), "invented", 280.0).verdict == "partly"


def test_figure_5_wants_both_kinds() -> None:
    assert figures.figure_5(sweep((MEMORY, 30), (SEMI, 2), (TRANSIENT, 3)), "invented").verdict == "confirmed"
    assert figures.figure_5(sweep((MEMORY, 30), (SEMI, 2)), "invented").verdict == "partly"
    assert figures.figure_5(sweep((MEMORY, 30), (TRANSIENT, 3)), "invented").verdict == "partly"
    assert figures.figure_5(sweep((MEMORY, 30), (GROKS, 3)), "invented").verdict == "not testable here"
    assert figures.figure_5(sweep((MEMORY, 80)), "invented").verdict == "not confirmed"
    one_seed = sweep((MEMORY, 30), (SEMI, 2)).assign(seed=0)
    assert figures.figure_5(one_seed, "invented").verdict == "not testable here"
    assert figures.figure_5(sweep((SEMI, 2), (TRANSIENT, 3)), "invented").verdict == "not testable here"


def test_figure_5_is_contradicted_by_a_share_that_cannot_be_three_percent() -> None:
    assert counting.share(1, 400)[1] < counting.PAPER_SHARE <= counting.share(6, 200)[1]


def test_shares_are_clopper_and_pearsons() -> None:
    low, high = counting.share(3, 50)
    assert low == pytest.approx(beta.ppf(0.025, 3, 48))
    assert high == pytest.approx(beta.ppf(0.975, 4, 47))


def test_figure_1c_wants_spikes_and_a_restless_loss_besides() -> None:
    calm = sweep((MEMORY, 20), (SEMI, 3))
    assert figures.figure_1c(calm, "invented").verdict == "partly"
    assert "at 60% to 60% of mirror-free pairs, 80% to 80% of all test pairs" in figures.figure_1c(calm, "").measured
    restless = calm.copy()
    restless.loc[restless["step"].isin(STEPS[[80, 90, 100, 110]]), "mirror_free_accuracy"] = 0.1
    assert figures.figure_1c(restless, "invented").verdict == "partly"
    restless["train_loss"] = np.where(np.arange(len(restless)) % 2, 1e-7, 3e-7)
    assert figures.figure_1c(restless, "invented").verdict == "confirmed"
    assert figures.figure_1c(sweep((MEMORY, 99)), "invented").verdict == "not confirmed"
    assert figures.figure_1c(sweep((MEMORY, 2)), "invented").verdict == "not testable here"


def test_figure_6_wants_the_norm_to_fall_as_accuracy_rises() -> None:
    runs = sweep((MEMORY, 20), (TRANSIENT, 5))
    assert figures.figure_6(runs, "invented").verdict == "confirmed"
    assert figures.figure_6(sweep((MEMORY, 20), (TRANSIENT, 4)), "invented").verdict == "not testable here"
    upward = 20 + 5 * runs["mirror_free_accuracy"]
    assert figures.figure_6(runs.assign(parameter_norm=upward), "invented").verdict == "not confirmed"
    some = runs.assign(parameter_norm=upward.where(runs["seed"] < 24, runs["parameter_norm"]))
    assert figures.figure_6(some, "invented").verdict == "partly"  # one of five goes all the way
    halfway = {step: 0.8 * accuracy for step, accuracy in TRANSIENT.items()}
    assert figures.figure_6(sweep((halfway, 5)), "invented").verdict == "partly"
    assert figures.figure_6(sweep((SEMI, 99)), "invented").verdict == "not confirmed"
    assert figures.figure_6(sweep((SEMI, 20)).assign(converged=False), "invented").verdict == "not testable here"
    sinks = {1: 0.0, 1000: 0.0, 2000: 0.6, 8000: 0.6, 12_000: 0.1, 40_000: 0.1}  # left, but downwards
    assert figures.figure_6(sweep((sinks, 99)).assign(converged=False), "invented").verdict == "not confirmed"
    assert figures.figure_6(sweep((SEMI, 2)), "invented").verdict == "not testable here"


def test_figure_6_compares_with_the_second_half_of_the_plateau() -> None:
    runs = sweep((MEMORY, 20), (TRANSIENT, 5))
    early = np.log(runs["step"].clip(2000, 3000) / 2000)  # falls on, faster than later, into the plateau
    late = np.log(runs["step"].clip(4000, 8000) / 4000)
    verdicts = []
    for extra in (early, late):
        falling = runs.assign(parameter_norm=runs["parameter_norm"] - 20 * extra)
        verdicts.append(figures.figure_6(falling, "invented").verdict)
    assert verdicts == ["confirmed", "not confirmed"]


def test_negative_logits_are_looked_for_in_the_runs_between_and_after_memorising() -> None:
    runs = sweep((MEMORY, 20), (SEMI, 4), (TRANSIENT, 1)).assign(correct_logit=40.0)
    lowest = {"not confirmed": 0.5, "partly": -1.0, "confirmed": -6.0}
    there = (runs["seed"] == 22) & (runs["step"] == STEPS[90])
    for verdict, value in lowest.items():
        finding = figures.negative_logits(runs.assign(mem_logit=np.where(there, value, 5.0)), "invented")
        assert finding.verdict == verdict and f"at least {value:+.2f} in 5 runs that" in finding.measured
    elsewhere = (runs["seed"] == 3) | (runs["step"] < 100)  # a run that memorised, and every run before it had
    finding = figures.negative_logits(runs.assign(mem_logit=np.where(elsewhere, -9.0, 5.0)), "invented")
    assert finding.verdict == "not confirmed" and "-9.00 in all 25" in finding.measured
    few = sweep((MEMORY, 20), (SEMI, 4)).assign(correct_logit=40.0, mem_logit=-9.0)
    assert figures.negative_logits(few, "invented").verdict == "not testable here"


def test_claims_are_judged_on_what_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = "P4", "Figure 1c", "Figure 5", "Figure 6", "Appendix B, negative logits"
    for key in keys:
        assert CLAIMS[key].chapter == "10-semi-grokking"
        assert judge(key).measured
    monkeypatch.setattr(results, "recorded", lambda name: set())
    assert {judge(key).verdict for key in keys} == {"not testable here"}
