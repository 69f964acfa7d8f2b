"""Comparisons of predicted with measured sizes, on tables with known answers."""

import numpy as np
import pandas as pd
import pytest
from test_threshold import history, networks

from grokbook.agreement import (
    agreement,
    both_sides,
    by_seed,
    centred,
    deviations,
    errors,
    exchanged_seeds,
    gap,
    memory_by_seed,
    pooled,
    seed_slope,
)
from grokbook.fronts import end
from grokbook.threshold import CONDITION, evidence

PREDICTED = np.array([100.0, 200, 300, 400, 800])


def conditions(factor: np.ndarray | float) -> pd.DataFrame:
    return pd.DataFrame({"measured": PREDICTED * factor, "loss": PREDICTED, "logit": np.nan})


def test_agreement_of_a_constant_factor() -> None:
    found = agreement(conditions(0.8))
    assert found.bias == pytest.approx(0.8)
    assert found.spread == pytest.approx(1)
    assert found.worst == pytest.approx(1.25)
    assert found.correlation == pytest.approx(1)
    assert found.conditions == 5


def test_agreement_sees_the_worst_condition_and_leaves_out_what_is_not_predicted() -> None:
    points = conditions(np.array([1, 1, 1, 2, 1.0]))
    assert agreement(points).worst == pytest.approx(2)
    assert errors(points).argmax() == 3
    points.loc[3, "loss"] = np.nan
    assert agreement(points) == pytest.approx((1, 1, 1, 1, 4))
    with pytest.raises(ValueError, match="points has 0 rows with a prediction at equal logit"):
        agreement(points, "logit")


def test_by_seed_predicts_from_the_start_of_each_run() -> None:
    tables = networks(lambda seed: 250 + 50 * seed, lambda seed: 150 + 20 * seed)
    found = by_seed(evidence(tables), end)
    assert found["seed"].tolist() == [0, 1, 2]
    assert found["predicted"].tolist() == pytest.approx([250, 300, 350])
    assert found["size"].tolist() == pytest.approx([150, 170, 190], rel=2e-3)
    assert found["norm"].is_monotonic_increasing
    assert by_seed(evidence(tables)._replace(mem=evidence(tables).mem.iloc[:0]), end).empty


def memories(spread: float, power: float = 0.3, seeds: int = 8) -> pd.DataFrame:
    """Memorising networks whose norm goes as D^power, by seed dearer or cheaper by a factor e^(spread z)."""
    z = np.linspace(-1, 1, seeds)
    rows = [
        {"modulus": 23, "model": "m", "seed": seed, "train_size": size, "weight_decay": decay}
        | {"parameter_norm": size**power * decay**-0.1 * np.exp(spread * z[seed])}
        for seed in range(seeds)
        for size in (80, 130, 210)
        for decay in (1.0, 2.0)
    ]
    return pd.DataFrame(rows)


def test_memory_by_seed_is_what_was_put_in() -> None:
    found = memory_by_seed(memories(0.02))
    z = np.linspace(-1, 1, 8)[found["seed"]]
    np.testing.assert_allclose(found["norm"], 0.02 * z * np.sqrt(8 / 7), atol=1e-12)
    np.testing.assert_allclose(found["size"], -found["norm"] / 0.3, rtol=1e-9)
    assert len(found) == 48 and memory_by_seed(memories(0.02, seeds=1)).empty


def test_deviations_have_the_variance_within_groups() -> None:
    rng = np.random.default_rng(0)
    group = pd.Series(np.repeat(np.arange(20_000), 3))
    found = deviations(pd.Series(rng.normal(size=60_000) * 0.3) + 5.0 * group, [group])
    assert (found**2).mean() == pytest.approx(0.09, rel=0.03)
    assert deviations(pd.Series([1.0]), [pd.Series([0])]).isna().all()


def fine(slope: float, noise: float = 0.0, seeds: int = 6) -> pd.DataFrame:
    """Two families, the first at two weight decays, whose D* follow the predictions of their seeds with `slope`."""
    generator, rows = np.random.default_rng(1), []
    for task, decay, level in (("add", 1.0, 5.0), ("add", 2.0, 6.0), ("subtract", 1.0, 5.5)):
        for seed in range(seeds):
            x = 0.1 * np.sin(3.0 * seed + len(task))
            size = np.exp(level + slope * x + noise * generator.normal())
            condition = dict(zip(CONDITION, (task, 23, "m", decay), strict=True))
            rows.append(condition | {"seed": seed, "size": size, "predicted": np.exp(5 + x)})
    return pd.DataFrame(rows)


def test_slope_between_seeds_ignores_differences_between_conditions() -> None:
    table = centred(fine(0.7))
    assert len(table) == 12  # weight decays of one family are averaged
    assert seed_slope(table) == pytest.approx(0.7)
    assert table.groupby("task")["size"].mean().abs().max() < 1e-12
    assert exchanged_seeds(table, draws=500) < 0.01


def test_a_family_of_one_seed_says_nothing() -> None:
    assert centred(fine(1.0, seeds=1)).empty


def test_exchanged_seeds_find_nothing_where_there_is_nothing_and_stay_within_families() -> None:
    assert exchanged_seeds(centred(fine(0.0, noise=0.1)), draws=500) > 0.05
    # a slope between families only must not count
    table = pd.DataFrame({"task": ["a"] * 4 + ["b"] * 4, "modulus": 23, "model": "m", "seed": [*range(4)] * 2})
    table["predicted"] = np.repeat([0.0, 1.0], 4)
    table["size"] = table["predicted"] + np.tile([0.0, 0.1, 0.2, 0.3], 2)
    assert exchanged_seeds(table, draws=200) == 1


def runs_at(place: float, start: str, seeds: int = 3) -> pd.DataFrame:
    sizes = (50, 80, 130, 200, 320, 500)
    tables = [
        history(f"{start}-{seed}-{size}", seed, size, 1 / (1 + (place * (1 + 0.1 * seed) / size) ** 8), start=start)
        for seed in range(seeds)
        for size in sizes
    ]
    return pd.concat(tables, ignore_index=True)


def test_both_sides_and_their_gap() -> None:
    kept, fresh = runs_at(100, "key"), runs_at(200, "")
    ratio, low, high = gap(kept, fresh)
    assert ratio == pytest.approx(2, rel=0.01)
    assert low <= ratio <= high
    found = both_sides(kept, fresh, (1.0, 5.0, 50.0))
    assert len(found) == 4  # no run reaches the last
    sizes = found.set_index(["side", "decay_time"])["size"]
    assert sizes["from scratch", 5.0] / sizes["ungrokking", 5.0] == pytest.approx(2, rel=0.01)
    assert 100 <= sizes["ungrokking", 1.0] <= 120
    with pytest.raises(ValueError, match="must pass one half"):
        gap(kept, runs_at(1e6, ""))
    more = pd.concat([fresh, runs_at(900, "other").assign(seed=7)])
    assert gap(kept, more) == (ratio, low, high)  # of seeds that both have
    with pytest.raises(ValueError, match=r"share the seeds \[0\]"):
        gap(kept, runs_at(200, "", seeds=1))
    with pytest.raises(ValueError, match="shot has no runs"):
        pooled(pd.DataFrame())
