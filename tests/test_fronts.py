"""Fronts: recovered on runs whose front is known at every time, in either unit of time."""

from typing import cast

import numpy as np
import pandas as pd
import pytest

from grokbook import fronts, results
from grokbook.training import log_spaced

SIZES = np.geomspace(120, 900, 10).round().astype(int)


def sweep(
    size: float = 300,
    width: float = 0.4,
    power: float = 0.0,
    seeds: int = 3,
    decays: tuple[float, ...] = (0.5, 1.0, 2.0),
    clock: float = 1.0,
    noise: float = 0.05,
) -> pd.DataFrame:
    """Runs whose accuracy follows the logistic front D*(seed, decay, t) = size * decay^power * (1 - exp(-t'/clock))
    with t' the decay time, and D* times exp(noise * normal) by seed."""
    generator, scale = np.random.default_rng(0), width / (2 * np.log10(9))
    steps = np.array(log_spaced(20_000, per_decade=15))
    tables = []
    for seed in range(seeds):
        shift = np.exp(noise * generator.normal())
        for decay in decays:
            front = size * shift * decay**power * -np.expm1(-1e-3 * decay * steps / clock)
            for kept in SIZES:
                accuracy = 1 / (1 + (front / kept) ** (1 / scale))
                tables.append(
                    pd.DataFrame({"step": steps, "mirror_free_accuracy": accuracy, "test_accuracy": accuracy}).assign(
                        run=f"{seed} {decay} {kept}",
                        modulus=53,
                        train_size=kept,
                        weight_decay=decay,
                        learning_rate=1e-3,
                        steps=20_000,
                        seed=seed,
                        converged=True,
                        train_accuracy=1.0,
                        test_loss=10 * (1 - accuracy),
                    )
                )
    return pd.concat(tables, ignore_index=True)


def test_a_front_is_found_for_each_seed_and_weight_decay() -> None:
    found = fronts.fronts(fronts.snapshot(sweep(noise=0.0, power=0.1)))
    assert len(found) == 9
    assert found["size"].to_numpy() == pytest.approx(300 * found["weight_decay"] ** 0.1, rel=1e-3)
    assert found["width"].to_numpy() == pytest.approx(0.4, rel=1e-2)
    assert fronts.trend(found) == pytest.approx(0.1, rel=1e-2)
    assert fronts.factor(found) == pytest.approx(4**0.1, rel=1e-3)


def test_half_way_and_at_equal_decay_time_the_front_is_where_it_was() -> None:
    table = sweep(noise=0.0, clock=4.0)
    early = fronts.fronts(fronts.snapshot(table, fronts.half))
    expected = 300 * -np.expm1(-1e-3 * early["weight_decay"] * 10_000 / 4)
    assert early["size"].to_numpy() == pytest.approx(expected, rel=5e-3)
    time = fronts.shared_decay_time(table)
    assert time == pytest.approx(10)
    alike = fronts.fronts(fronts.snapshot(table, fronts.decay_time(time)))
    assert fronts.factor(alike) == pytest.approx(1, abs=5e-3)
    assert fronts.factor(fronts.fronts(fronts.snapshot(table))) > 1.05


def test_speed_is_what_the_front_gained_in_the_last_factor_of_two() -> None:
    moved = fronts.speed(sweep(noise=0.0, clock=4.0, seeds=1))
    time = 1e-3 * 20_000 * np.array([0.5, 1, 2]) / 4
    assert moved.to_numpy() == pytest.approx(np.log(np.expm1(-time) / np.expm1(-time / 2)), abs=5e-3)


def test_runs_that_end_early_and_sweeps_without_a_front_are_left_out() -> None:
    table = sweep(seeds=1)
    assert set(fronts.snapshot(table, fronts.decay_time(15))["weight_decay"]) == {1.0, 2.0}
    assert fronts.fronts(fronts.snapshot(sweep(seeds=1, size=5000))).empty
    few = table[table["train_size"].isin(SIZES[4:6])]
    assert fronts.fronts(fronts.snapshot(few)).empty


def test_weight_decays_are_compared_on_the_same_seeds() -> None:
    found = fronts.fronts(fronts.snapshot(sweep()))
    lost = (found["seed"] == 1) & (found["weight_decay"] == 2)
    seeds_dropped = fronts.balanced(found[~lost])  # two seeds and three weight decays, or three seeds and two
    assert len(seeds_dropped) == 6 and seeds_dropped.groupby("seed")["weight_decay"].nunique().nunique() == 1
    rare = found[(found["weight_decay"] < 2) | (found["seed"] == 1)]
    kept = fronts.balanced(rare)
    assert set(kept["seed"]) == {0, 1, 2} and set(kept["weight_decay"]) == {0.5, 1.0}
    assert fronts.balanced(found).equals(found) and fronts.balanced(found.iloc[:0]).empty


def test_weight_decays_are_exchangeable_within_seeds_unless_they_order_the_fronts() -> None:
    ordered = fronts.fronts(fronts.snapshot(sweep(power=0.2)))
    assert cast(float, fronts.exchangeable(ordered)) <= 6 / 6**3 + 1e-12  # three decays, three seeds, all in one order
    generator = np.random.default_rng(1)
    mixed = ordered.assign(size=300 * np.exp(0.1 * generator.normal(size=9)))
    assert cast(float, fronts.exchangeable(mixed)) > 0.05
    assert fronts.exchangeable(ordered[ordered["seed"] == 0]) is None
    assert fronts.exchangeable(ordered[ordered["seed"] < 2]) is None  # at least 1/6 in any order


@pytest.mark.parametrize(("seeds", "decays"), [(2, 5), (2, 6), (3, 3)])
def test_exchangeable_gives_its_least_value_for_one_common_order(seeds: int, decays: int) -> None:
    rows = [(seed, 2.0**decay, 300 * 3.0 ** (3.0**decay)) for seed in range(seeds) for decay in range(decays)]
    value = fronts.exchangeable(pd.DataFrame(rows, columns=["seed", "weight_decay", "size"]))
    least = (1 / (decays * (decays - 1))) ** (seeds - 1)
    assert value is None if least >= 0.05 else value == pytest.approx(least)


def test_a_scale_in_words_counts_what_is_there() -> None:
    words = fronts.in_words(sweep(seeds=1, decays=(1.0,)))
    assert words == "p = 53, D' = 120 to 900, weight decay 1.0, 1 seed, 20,000 steps, 10 of 10 runs converged"


def test_a_run_is_replaced_by_the_longer_one_of_its_kind_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    table = sweep(seeds=2, decays=(0.5, 1.0)).assign(start="a start")
    of_three = table[(table["weight_decay"] == 1) & table["train_size"].isin(SIZES[:3]) & (table["seed"] == 0)]
    longer = of_three.assign(steps=50_000, step=3 * of_three["step"], run="longer " + of_three["run"])
    strange = longer.assign(run="strange " + longer["run"], start="another start")
    monkeypatch.setattr(results, "names", lambda *_: [])
    assert fronts.prolonged(table) is table
    monkeypatch.setattr(results, "names", lambda *_: ["long-ungrokking-113"])
    monkeypatch.setattr(fronts, "continuing", lambda name: pd.concat([longer, strange], ignore_index=True))
    found = fronts.prolonged(table)
    kept = set(table["run"]) - set(of_three["run"])
    assert set(found["run"]) == kept | set(longer["run"])
    assert len(found) == len(table)
    assert fronts.lengths(found) == "20,000 or 50,000 steps"


def test_runs_are_sorted_by_what_their_start_knew() -> None:
    everything = results.load_all("ungrokking")
    starts = pd.concat([results.load_starts(name) for name in results.names("ungrokking")])
    settled = starts[starts["step"] >= 0.8 * starts["steps"]].groupby("run", observed=True)["train_loss"].median()
    known, others = (fronts.continuing("ungrokking", known=side) for side in (True, False))
    assert set(known["run"]) | set(others["run"]) == set(everything["run"])
    assert settled[known["start"].unique()].max() < fronts.KNOWN <= settled[others["start"].unique()].min()


@pytest.mark.parametrize(
    ("change", "knows"),
    [({}, True), ({"train_loss": 2e-6}, False), ({"train_accuracy": 0.99}, False), ({"test_accuracy": 1.0}, False)],
)
def test_knowing_asks_for_the_whole_table_all_of_it_right_and_with_a_small_loss(change: dict, knows: bool) -> None:
    network = {"test_accuracy": np.nan, "train_accuracy": 1.0, "train_loss": 1e-7} | change
    assert fronts.knowing(pd.DataFrame([network])).tolist() == [knows]
