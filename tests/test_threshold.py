"""Predictions and measurements of D_crit, on invented networks whose D_crit is known."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from grokbook import fronts
from grokbook.tasks import add
from grokbook.threshold import (
    MATCHED,
    balance,
    crossing,
    evidence,
    interval,
    measured,
    memorisers,
    pick,
    points,
    predicted,
    with_mirrors,
)

STEPS = np.array([0, 10, 100, 500, 1000, 2500, 4000, 4500, 5000])
PRICE, GAMMA, CURRENCY = 3.0, 0.3, 0.4  # norm = PRICE D^GAMMA (-ln loss)^CURRENCY


def history(run: str, seed: int, size: int, accuracy: float = 1.0, **settings) -> pd.DataFrame:
    """A run whose numbers do not change over its steps: its mean correct logit is 50 on train pairs and 50 times its
    accuracy on test pairs, split as Chapter 2's corollary has it."""
    r = size / 53**2
    row = {
        "run": run,
        "task": "add",
        "modulus": 53,
        "model": "ModelConfig(d_model=64, d_head=32, d_mlp=256)",
        "weight_decay": 1.0,
        "learning_rate": 1e-3,
        "steps": 5000,
        "start": "",
        "random_labels": False,
        "converged": True,
        "train_accuracy": 1.0,
        "mirror_free_accuracy": accuracy,
        "test_accuracy": accuracy,
        "train_loss": 1e-7,
        "correct_logit": 50.0,
        "trig_logit": 50 * (r + (1 - r) * accuracy),
        "mem_logit": 50 * (1 - r) * (1 - accuracy),
        "parameter_norm": 25.0,
        "seed": seed,
        "train_size": size,
    }
    return pd.DataFrame({"step": STEPS, **(row | settings)})


def memorising(seed: int, size: int, decay: float, loss: float, **settings) -> pd.DataFrame:
    norm = PRICE * size**GAMMA * (-np.log(loss)) ** CURRENCY
    settings |= {"parameter_norm": norm, "train_loss": loss, "weight_decay": decay, "random_labels": True}
    return history(f"mem-{seed}-{size}-{decay}", seed, size, **settings)


def networks(critical: Callable[[int], float], forgets_at: Callable[[int], float], decay: float = 1.0, seeds: int = 3):
    """Histories with D_crit = critical(seed) by their norms, and a front at forgets_at(seed)."""
    tables = []
    for seed in range(seeds):
        tables += [
            memorising(seed, size, other, loss=other * 6e-8)
            for size in (100, 200, 400, 800)
            for other in (0.5, decay, 2.0)
        ]
        norm = PRICE * critical(seed) ** GAMMA * (-np.log(decay * 9e-8)) ** CURRENCY
        same = {"weight_decay": decay, "train_loss": decay * 9e-8, "parameter_norm": norm}
        start = history(f"start-{seed}", seed, 53**2, **same, test_accuracy=np.nan)
        tables.append(start)
        for size in (100, 160, 250, 400, 640):
            accuracy = 1 / (1 + (forgets_at(seed) / size) ** 6)
            settings = {"start": f"start-{seed}", "weight_decay": decay}
            tables.append(history(f"cut-{seed}-{size}", seed, size, accuracy, **settings))
    return tables


def test_runs_are_sorted_by_labels_and_start() -> None:
    tables = networks(lambda _: 300, lambda _: 300)
    half_learned = history("half", 0, 53**2, test_accuracy=np.nan, train_accuracy=0.9)
    generalises = history("passes", 0, 2000, 0.99)
    memorises = history("fails", 0, 500, 0.1)
    slow = history("slow", 0, 53**2, test_accuracy=np.nan, train_loss=1e-3)
    after = history("after", 0, 300, start="slow")
    of = evidence([*tables, *tables, half_learned, generalises, memorises, slow, after])
    assert len(of.mem) == 3 * 4 * 3  # seeds, sizes, weight decays; given twice, counted once
    assert set(of.gen["run"]) == {"start-0", "start-1", "start-2", "passes"}
    assert set(of.start["run"]) == {"start-0", "start-1", "start-2"}
    assert of.forgetting["run"].nunique() == 15
    assert (of.forgetting["start"] != "").all()


@pytest.mark.parametrize("decay", [0.5, 1.0, 2.0])
def test_crossing_at_equal_loss_is_exact_on_a_power_law(decay: float) -> None:
    of = evidence(networks(lambda _: 300, lambda _: 300, decay))
    assert crossing(of.mem, of.gen, "loss") == pytest.approx(300, rel=1e-9)
    # at equal weight decay the lower loss of the memorising networks is not discounted
    confidence = np.log(decay * 6e-8) / np.log(decay * 9e-8)
    assert crossing(of.mem, of.gen, "weight decay") == pytest.approx(300 * confidence ** (-CURRENCY / GAMMA), rel=1e-9)


def test_crossing_at_equal_logit_uses_the_logit() -> None:
    of = evidence(networks(lambda _: 300, lambda _: 300))
    mem = of.mem.assign(correct_logit=of.mem["parameter_norm"] ** 2 / of.mem["train_size"] ** (2 * GAMMA))
    gen = of.gen.assign(correct_logit=2 * mem["correct_logit"].max())
    expected = (gen["parameter_norm"].iloc[0] / gen["correct_logit"].iloc[0] ** 0.5) ** (1 / GAMMA)
    line = np.log(mem["parameter_norm"]) - 0.5 * np.log(mem["correct_logit"]) - GAMMA * np.log(mem["train_size"])
    assert np.allclose(line, 0)
    with pytest.raises(ValueError, match="does not climb"):
        crossing(mem, gen.assign(parameter_norm=1.0), "logit")
    gen = gen.assign(parameter_norm=gen["parameter_norm"] * (300 / expected) ** GAMMA)
    assert crossing(mem, gen, "logit") == pytest.approx(300, rel=1e-9)


def test_crossing_refuses_several_weight_decays_and_none() -> None:
    of = evidence(networks(lambda _: 300, lambda _: 300))
    for gen in (pd.concat([of.gen, of.gen.assign(weight_decay=3.0)]), of.gen.iloc[:0]):
        with pytest.raises(ValueError, match=r"gen has the weight decays .*must have one"):
            crossing(of.mem, gen)


def test_predicted_interval_holds_the_seeds() -> None:
    of = evidence(networks(lambda seed: 250 + 50 * seed, lambda _: 300))
    value, low, high = predicted(of.mem, of.gen)
    assert value == pytest.approx((250 * 300 * 350) ** (1 / 3), rel=1e-9)
    assert 249.9 < low < value < high < 350.1


def test_one_seed_has_no_interval() -> None:
    more = evidence(networks(lambda _: 300, lambda _: 300))
    assert np.isnan(predicted(more.mem[more.mem["seed"] == 0], more.gen)[1:]).all()  # of one circuit is not enough
    of = evidence(networks(lambda _: 300, lambda _: 300, seeds=1))
    assert np.isnan(interval(of.gen, lambda rows: rows["seed"].mean())).all()
    row = points(of, fronts.end).iloc[0]
    assert row["seeds"] == 1 and row["loss"] == pytest.approx(300) and np.isnan(row["loss_low"])


def test_points_compare_each_condition_with_its_own_networks() -> None:
    pieces = networks(lambda _: 300, lambda _: 200)
    other = [
        table.assign(task="subtract", run=table["run"] + "-s") for table in pieces if not table["random_labels"][0]
    ]
    other = [table.assign(start=table["start"].where(table["start"] == "", table["start"] + "-s")) for table in other]
    other = [table.assign(parameter_norm=table["parameter_norm"] * 1.2**GAMMA) for table in other]
    of = evidence([*pieces, *other])
    found = points(of, fronts.end).set_index("task")
    assert found["measured"].tolist() == pytest.approx([200, 200], rel=1e-3)
    assert found.loc["add", "loss"] == pytest.approx(300)
    assert found.loc["subtract", "loss"] == pytest.approx(360)  # on the same random labels
    assert {f"{name}{end}" for name in MATCHED for end in ("", "_low", "_high")} < set(found.columns)
    assert points(of._replace(gen=of.gen[of.gen["task"] == "add"]), fronts.end)["task"].tolist() == ["add"]
    assert points(of, fronts.decay_time(100)).empty  # no run is so long


def test_measured_by_the_generalised_share_of_the_logit_agrees_where_it_is_the_accuracy() -> None:
    of = evidence(networks(lambda _: 300, lambda seed: 200.0 + seed))
    by_accuracy, by_balance = (
        measured(of.forgetting, fronts.end),
        measured(balance(of.forgetting), fronts.end, "balance"),
    )
    assert by_balance["size"].tolist() == pytest.approx(by_accuracy["size"].tolist())
    assert by_accuracy["size"].tolist() == pytest.approx([200, 201, 202], rel=1e-3)
    assert fronts.place(by_accuracy) == pytest.approx(201, rel=1e-3)


def test_with_mirrors_counts_different_unordered_pairs() -> None:
    task = add(31)
    sizes = []
    for seed in range(40):
        pairs, _ = task.split(300, seed)
        unordered = {tuple(sorted((int(task.x[i]), int(task.y[i])))) for i in pairs}
        sizes.append(len(unordered))
    assert with_mirrors(float(np.mean(sizes)), 31) == pytest.approx(300, rel=0.01)
    assert with_mirrors(2.0, 113) == pytest.approx(2, rel=1e-3)
    with pytest.raises(ValueError, match="size is 500; it must be from 0"):
        with_mirrors(500, 31)


def test_pick_takes_all_conditions_together() -> None:
    table = pd.DataFrame({"a": [1, 1, 2], "b": [1, 2, 2]})
    assert pick(table, {"a": 1, "b": 2}).index.tolist() == [1]


def test_memorisers_serve_every_task_and_weight_decay_of_their_modulus_and_model() -> None:
    rows = [(31, "narrow", 1.0), (31, "narrow", 2.0), (31, "tiny", 1.0), (29, "narrow", 1.0)]
    mem = pd.DataFrame(rows, columns=["modulus", "model", "weight_decay"]).assign(task="add")
    condition = {"task": "multiply", "modulus": 31, "model": "narrow", "weight_decay": 2.0}
    assert memorisers(mem, condition).index.tolist() == [0, 1]
