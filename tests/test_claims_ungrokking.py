"""Judges of ungrokking: invented sweeps that make each verdict, and the change that unmakes it."""

import pandas as pd
import pytest
from test_fronts import SIZES, sweep

from grokbook import fronts, results
from grokbook.claims import CLAIMS, judge, ungrokking_figures
from grokbook.claims import ungrokking as claims


def test_p2_wants_both_ends_a_narrow_front_that_rests_and_three_seeds() -> None:
    good = sweep(width=0.35)
    assert claims.at_all(claims.p2, {53: good}).verdict == "confirmed"
    assert "within 0.35 [0.35, 0.35] decades" in claims.p2(good).measured
    found = fronts.fronts(fronts.snapshot(good))
    low, high = claims.interval(found, claims.place) or (0, 0)
    assert low < claims.place(found) < high and f"[{low:.0f}, {high:.0f}]" in claims.p2(good).measured
    two = claims.at_all(claims.p2, {53: sweep(width=0.35, seeds=2)})
    assert two.verdict == "partly" and "fewer than 3 seeds" in two.reason
    moving = claims.p2(sweep(width=0.35, clock=12.0))
    assert moving.verdict == "partly" and "not settled" in moving.reason
    assert claims.p2(sweep(width=0.6, size=330)).verdict == "partly"
    assert claims.p2(sweep(width=1.3, size=330)).verdict == "not confirmed"  # and does not reach the ends
    assert claims.p2(good[good["train_size"] < 400]).verdict == "not confirmed"
    assert claims.p2(sweep(size=20)).verdict == "not confirmed"  # nothing is forgotten


def test_p3_is_confirmed_when_weight_decays_agree_and_no_order_is_seen() -> None:
    tables = []
    for seed in range(3):
        for i, decay in enumerate((0.5, 1.0, 1.5, 2.0)):  # each front shifted by a factor of its own
            one = sweep(300 * (1 + 0.02 * ((3 * seed + i) % 4 - 1.5)), noise=0, seeds=1, decays=(decay,))
            tables.append(one.assign(seed=seed, run=f"{seed}: " + one["run"]))
    finding = claims.at_all(claims.p3, {53: pd.concat(tables, ignore_index=True)})
    assert finding.verdict == "confirmed", finding
    assert "at equal decay time" in finding.measured


def test_p3_is_refuted_by_a_trend_and_partly_held_by_a_small_one() -> None:
    assert claims.p3(sweep(power=0.3)).verdict == "not confirmed"
    small = claims.p3(sweep(power=0.03))
    assert small.verdict == "partly" and "below a factor 1.25: yes" in small.reason
    assert "weight decays are exchangeable: no" in small.reason


def test_p3_with_one_seed_never_says_more_than_partly() -> None:
    same = claims.p3(sweep(seeds=1))
    assert same.verdict == "partly" and "no test with so few seeds" in same.reason
    assert "permutation" not in same.measured
    assert claims.p3(sweep(seeds=1, power=0.3)).verdict == "not confirmed"


def test_p3_says_where_its_test_could_not_have_failed() -> None:
    two = claims.p3(sweep(seeds=2, power=0.03, decays=(0.5, 1.0, 2.0)))
    assert two.verdict == "partly" and "no test with so few seeds" in two.reason and "permutation" not in two.measured


def test_p3_leaves_out_weight_decays_whose_front_still_moves_if_enough_remain() -> None:
    table = sweep(clock=1.5, decays=(0.1, 0.5, 1.0, 2.0))
    assert "weight decay 0.5, 1.0, 2.0," in claims.p3(table).scale
    assert claims.settled_decays(table) == [0.5, 1.0, 2.0]
    narrow = claims.p3(table[table["weight_decay"] != 0.5])  # those that rest span a factor of two only
    assert claims.settled_decays(table[table["weight_decay"] != 0.5]) == []
    assert "weight decay 0.1, 1.0, 2.0," in narrow.scale and "the fronts have settled: no" in narrow.reason
    assert narrow.verdict != "confirmed"


def test_p3_compares_weight_decays_at_the_sizes_that_all_of_them_have() -> None:
    table = sweep()
    alone = table[table["weight_decay"] == 1]
    alone = alone.assign(train_size=alone["train_size"] * 10, mirror_free_accuracy=0.4, run="more " + alone["run"])
    more = pd.concat([table, alone], ignore_index=True)
    assert fronts.factor(fronts.fronts(fronts.snapshot(more))) > 1.1  # where they count
    assert claims.p3(more) == claims.p3(table)


def test_p3_needs_two_weight_decays() -> None:
    assert claims.p3(sweep(decays=(1.0,))).verdict == "not testable here"


def test_figure_1b_wants_a_run_in_every_seed_that_keeps_its_train_answers() -> None:
    good = sweep()
    start = good["step"] == 0
    good.loc[start, ["test_accuracy", "mirror_free_accuracy"]] = 1.0
    assert claims.at_all(claims.figure_1b, {53: good}).verdict == "confirmed"
    kept = good.assign(mirror_free_accuracy=good["mirror_free_accuracy"].where(good["seed"] > 0, 1.0))
    assert claims.figure_1b(kept).verdict == "partly"
    assert claims.figure_1b(good.assign(train_accuracy=0.9)).verdict == "not confirmed"
    assert claims.figure_1b(good.assign(test_loss=1.0)).verdict == "not confirmed"  # better than guessing


def test_figure_4_wants_sharp_lines_on_top_of_each_other() -> None:
    assert claims.figure_4(sweep(width=0.35)).verdict == "confirmed"
    assert claims.figure_4(sweep(width=0.35, power=0.2)).verdict == "partly"
    assert claims.figure_4(sweep(width=1.2, power=0.5)).verdict == "not confirmed"


def test_lines_lie_apart_by_what_the_worst_two_do_at_their_worst_size() -> None:
    shot = pd.DataFrame({"train_size": [100, 200] * 6, "seed": [0] * 6 + [1] * 6, "accuracy": 0.5})
    shot["weight_decay"] = [0.5, 0.5, 1.0, 1.0, 2.0, 2.0] * 2
    worst = (shot["weight_decay"] == 2) & (shot["train_size"] == 200)
    shot.loc[worst, "accuracy"] = [0.7, 0.9]
    assert ungrokking_figures.apart(shot) == pytest.approx(0.3)


@pytest.mark.parametrize(("gap", "verdict"), [(0.09, "confirmed"), (0.11, "partly")])
def test_figure_4_allows_lines_a_tenth_apart(gap: float, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ungrokking_figures, "apart", lambda shot: gap)
    assert claims.figure_4(sweep(width=0.35)).verdict == verdict


def test_lines_are_compared_on_the_seeds_that_both_have() -> None:
    """A weight decay run for the one seed whose front is far off lies as near to the others as that seed's do."""
    table = sweep(width=0.35, noise=0.3)
    rare = table[(table["weight_decay"] > 0.5) | (table["seed"] == 1)]
    assert ungrokking_figures.apart(fronts.snapshot(table)) < 0.01
    assert ungrokking_figures.apart(fronts.snapshot(rare)) < 0.01


def test_figure_7_wants_middling_runs_that_are_converged() -> None:
    found = claims.figure_7(sweep(width=0.35))
    assert found.verdict == "confirmed" and "0.7 at D' = " in found.measured
    moving = claims.figure_7(sweep(width=0.35).assign(converged=False))
    assert moving.verdict == "partly" and "middling, converged: no" in moving.reason
    small = sweep(width=0.35)
    assert claims.figure_7(small[small["train_size"] > SIZES[-3]].assign(train_accuracy=0.5)).verdict == "not confirmed"


def test_moduli_must_agree() -> None:
    good, flat = sweep(width=0.35), sweep(size=20)
    both = claims.at_all(claims.p2, {53: good, 113: flat.assign(modulus=113)})
    assert both.verdict == "partly" and "p = 53" in both.scale and "p = 113" in both.scale


@pytest.mark.parametrize("key", claims.CLAIMS)
def test_claims_are_registered_and_judged_on_what_is_recorded(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CLAIMS[key] is claims.CLAIMS[key]
    tables: dict[int, pd.DataFrame] = {}
    monkeypatch.setattr(claims, "recorded", lambda: tables)
    assert judge(key).verdict == "not testable here"
    tables[53] = sweep(seeds=1).assign(start="a start")
    assert judge(key).scale.startswith("p = 53, D' = 120 to 900")


def test_recorded_long_runs_stand_in_the_place_of_the_short_ones() -> None:
    table = fronts.recorded()[113]
    followed, longer = fronts.prolonged(table), results.load_all("long-ungrokking")
    assert set(longer["run"]) <= set(followed["run"])
    assert followed["run"].nunique() == table["run"].nunique()
    assert "100,000 steps" in judge("Figure 7").scale and "100,000" not in judge("Figure 4").scale


def test_every_recorded_ungrokking_run_is_taken_up() -> None:
    """All but those that continue a network which does not know the whole table."""
    every, without = results.load_all("ungrokking"), fronts.continuing("ungrokking", known=False)
    found = fronts.recorded()
    assert {53, 113} <= found.keys()
    taken = set().union(*(table["run"] for table in found.values()))
    assert taken and taken == set(every["run"]) - set(without["run"])
    for modulus, table in found.items():
        assert (table["modulus"] == modulus).all()
        assert not table.duplicated(["run", "step"]).any()
        assert table[["weight_decay", "learning_rate", "steps"]].notna().all(axis=None)
