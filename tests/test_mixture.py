"""The two circuits' strengths: against logit tables taken apart by hand, and on data with known answers."""

import numpy as np
import pandas as pd
import pytest
import torch

from grokbook import theory
from grokbook.circuits import centre, split_logits
from grokbook.mixture import (
    break_even,
    decades,
    effective_kappa,
    largest_steps,
    lookup_ratio,
    mixtures,
    norm_buckets,
    one_hot_weight,
    rank_correlation,
    ratio_slope,
    rises,
    twins,
)
from grokbook.step import losses
from grokbook.tasks import add


def proxies(table: torch.Tensor, train: torch.Tensor) -> tuple[float, float]:
    """o_t and o_m on the train pairs, as the paper defines them, and nothing else."""
    p = len(table)
    parts = [part.reshape(p * p, p).gather(1, add(p).label[:, None])[:, 0] for part in split_logits(centre(table))]
    return float(parts[0][train].mean()), float(parts[1][train].mean())


def history(rows: list[dict]) -> pd.DataFrame:
    common = {
        "modulus": 7,
        "train_loss": 0.1,
        "trig_test_loss": 0.1,
        "test_accuracy": 0.5,
        "parameter_norm": 20.0,
        "converged": True,
    }
    return pd.DataFrame([common | row for row in rows])


def test_means_on_train_and_held_out_pairs_come_back_from_the_two_proxies() -> None:
    p, size = 7, 20
    table = torch.randn(p, p, p, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    train, held_out = add(p).split(size, 0)
    trig, mem = proxies(table, train)
    correct = centre(table).reshape(p * p, p).gather(1, add(p).label[:, None])[:, 0]
    found = mixtures(
        history([{"run": "a", "step": s, "train_size": size, "trig_logit": trig, "mem_logit": mem} for s in (2, 3, 4)])
    ).iloc[0]
    T, S, r = float(correct[train].mean()), float(correct[held_out].mean()), size / p**2
    assert (found["T"], found["S"]) == (pytest.approx(T), pytest.approx(S))
    assert found["ratio"] == pytest.approx((found["held_out_ratio"] + r) / (1 - r))
    assert found["share"] / (1 - found["share"]) == pytest.approx(found["ratio"])
    for name in ("held_out", "mirror_free"):
        share = found[f"{name}_share"]
        assert share / (1 - share) == pytest.approx(found[f"{name}_ratio"])
    assert found["held_out_ratio"] + 1 == pytest.approx((found["mirror_free_ratio"] + 1) / (1 - r))


@pytest.mark.parametrize("generalised", [0.0, 7.0])
def test_a_memoriser_that_ignores_order_beside_a_rule_is_told_apart(generalised: float) -> None:
    found = mixture_of(generalised, lambda offset: offset == 0)
    assert found["mirror_free_ratio"] == pytest.approx(generalised / 20, abs=0.05)
    assert found["held_out_ratio"] > generalised / 20 + 0.3
    assert found["weight_ratio"] == pytest.approx(generalised / 20, abs=0.05)
    assert found["w_total"] == pytest.approx(20 + generalised)


def test_a_cosine_s_large_logit_is_worth_little() -> None:
    found = mixture_of(20.0, lambda offset: torch.cos(2 * torch.pi * offset / 53))
    alone = 20 - np.log(sum(np.exp(20 * np.cos(2 * np.pi * t / 53)) for t in range(1, 53)))  # its lead over the others
    assert found["mirror_free_ratio"] == pytest.approx(1, abs=0.1)
    assert found["w_gen"] == pytest.approx(alone + np.log(52), abs=0.6)
    assert found["weight_ratio"] < 0.3


def mixture_of(height: float, rule) -> pd.Series:
    """A table of 900 pairs and their mirrors, logit 20 each, and `height` times a rule of the offset a + b - c."""
    p, size = 53, 900
    train, held_out = add(p).split(size, 1)
    stored = torch.cat([train, train % p * p + train // p]).unique()
    table = torch.zeros(p * p, p, dtype=torch.float64)
    table[stored, add(p).label[stored]] = 20.0
    offset = (add(p).label[:, None] - torch.arange(p)) % p
    table += height * rule(offset)
    trig, mem = proxies(table.view(p, p, p), train)
    alone = split_logits(centre(table.view(p, p, p)))[0].reshape(p * p, p)
    label = add(p).label
    row = {
        "run": "a",
        "modulus": p,
        "train_size": size,
        "trig_logit": trig,
        "mem_logit": mem,
        "train_loss": float(losses(table[None, train], label[None, train]).mean()),
        "trig_test_loss": float(losses(alone[None, held_out], label[None, held_out]).mean()),
    }
    return mixtures(history([row | {"step": s} for s in (2, 3)])).iloc[0]


@pytest.mark.parametrize("weight", [0.0, 3.0, 30.0])
def test_one_hot_weight_inverts_the_loss_of_a_one_hot_circuit(weight: float) -> None:
    assert one_hot_weight(theory.cross_entropy(113)(weight), 113) == pytest.approx(weight)


def test_spikes_and_the_first_four_fifths_do_not_count() -> None:
    values = [(10, 9.0), (79, 9.0), (80, 2.0), (85, 2.0), (90, 500.0), (100, 2.0)]
    rows = [{"run": "a", "step": s, "train_size": 20, "trig_logit": v, "mem_logit": 1.0} for s, v in values]
    assert mixtures(history(rows))["ratio"].tolist() == [2.0]


@pytest.mark.parametrize(("p", "size"), [(7, 5), (11, 60), (11, 120)])
def test_lookup_ratio_is_what_a_lookup_table_scores(p: int, size: int) -> None:
    train, _ = add(p).split(size, 1)
    table = torch.zeros(p * p, p, dtype=torch.float64)
    table[train, add(p).label[train]] = 20.0
    trig, mem = proxies(table.view(p, p, p), train)
    assert trig / mem == pytest.approx(lookup_ratio(size, p))


@pytest.mark.parametrize("size", [300, 1400])
def test_lookup_ratio_with_mirrors(size: int) -> None:
    p = 53
    train, _ = add(p).split(size, 1)
    stored = torch.cat([train, train % p * p + train // p]).unique()
    table = torch.zeros(p * p, p, dtype=torch.float64)
    table[stored, add(p).label[stored]] = 20.0
    trig, mem = proxies(table.view(p, p, p), train)
    assert trig / mem == pytest.approx(lookup_ratio(size, p, mirrors=True), rel=0.05)


@pytest.mark.parametrize("size", [0, 49])
def test_lookup_ratio_needs_a_held_out_pair(size: int) -> None:
    with pytest.raises(ValueError, match=f"train_size is {size}; it must be between 0 and"):
        lookup_ratio(size, 7)


def test_rank_correlation_ignores_how_fast_a_column_rises() -> None:
    table = pd.DataFrame({"train_size": [1, 2, 3, 4], "up": [0, 1, 10, 1e9], "down": [3, 2, 1, -5], "flat": 1})
    assert rank_correlation(table, "up") == pytest.approx(1)
    assert rank_correlation(table, "down") == pytest.approx(-1)
    assert np.isnan(rank_correlation(table, "flat"))
    # 1 - 6 sum d^2 / (n (n^2 - 1)) with one neighbouring swap: d = 1, 1, 0, 0
    assert rank_correlation(table.assign(up=[1, 0, 2, 3]), "up") == pytest.approx(1 - 12 / 60)


def test_norm_buckets_are_equal_ratios() -> None:
    norms = pd.DataFrame({"parameter_norm": [1.0, 1.9, 2.1, 3.9, 4.1, 8.0]})
    assert norm_buckets(norms, 3).tolist() == [0, 0, 1, 1, 2, 2]


def test_rises_counts_steps_within_groups() -> None:
    table = pd.DataFrame(
        {"group": list("aaaabb"), "train_size": [3, 1, 2, 2, 1, 2], "value": [0.0, 1.0, 2.0, 4.0, 5.0, 1.0]}
    )
    assert rises(table, "value", ["group"]) == (1, 3)  # a: 1, then the mean 3, then 0; b falls


def test_decades_leave_out_what_has_no_logarithm() -> None:
    assert decades(pd.DataFrame({"ratio": [-5.0, 0.01, 3.0, 1000.0]})) == pytest.approx(5)
    assert np.isnan(decades(pd.DataFrame({"ratio": [-1.0, -2.0]})))


def test_slope_of_a_power_law_is_found_beside_negative_ratios() -> None:
    sizes = np.array([100, 200, 400, 800, 800, 100])
    rho = 2e-6 * sizes**2.5
    rho[4], rho[5] = -40.0, -0.2
    assert ratio_slope(pd.DataFrame({"train_size": sizes, "weight_ratio": rho})) == pytest.approx(2.5)
    with pytest.raises(ValueError, match="two different values"):
        ratio_slope(pd.DataFrame({"train_size": sizes, "weight_ratio": -1.0}))


@pytest.mark.parametrize(("kappa", "gamma", "q"), [(0.5, 0.3, 2.0), (1.2, 0.2, 2.0), (1.9, 0.4, 2.0), (0.7, 1.0, 1.0)])
def test_effective_kappa_inverts_theorem_d4(kappa: float, gamma: float, q: float) -> None:
    def log_ratio(size: float) -> float:  # P_gen = 1, P_mem = size^gamma
        gen, mem = theory.log_split([1, size**gamma], kappa, q)
        return gen - mem

    measured = (log_ratio(3.0) - log_ratio(2.0)) / np.log(3 / 2)
    assert effective_kappa(measured, gamma, q) == pytest.approx(kappa)


def test_effective_kappa_stays_below_q_and_refuses_what_no_kappa_gives() -> None:
    assert 1.999 < effective_kappa(1e4, 0.2) < 2
    with pytest.raises(ValueError, match="ratio_slope is -1"):
        effective_kappa(-1, 0.2)


def curve(accuracies: list[float], seed: int = 0) -> pd.DataFrame:
    sizes = np.arange(1, len(accuracies) + 1)
    return pd.DataFrame({"seed": seed, "weight_decay": 1.0, "train_size": sizes, "test_accuracy": accuracies})


def test_largest_steps() -> None:
    assert largest_steps(curve([0, 0, 1, 1])) == (1, 0)
    assert largest_steps(curve([0, 0.25, 0.5, 0.75, 1])) == pytest.approx((0.25, 0))
    assert largest_steps(curve([0, 0.4, 0.2, 0.8])) == pytest.approx((0.75, 0.25))
    assert np.isnan(largest_steps(curve([0.1, 0.2, 0.3]))).all()  # too small a range to say
    both = pd.concat([curve([0, 0, 1, 1]), curve([0, 0.5, 1, 1], 1)])
    assert largest_steps(both) == pytest.approx((0.75, 0))


def test_twins_are_matched_and_compared() -> None:
    base = {"modulus": 53, "seed": 0, "weight_decay": 1.0, "steps": 10}
    rows = [(100, "key", 1.0), (100, "", 2.0), (200, "key", 3.0), (200, "", 1.5), (300, "key", 1.0), (400, "", 1.0)]
    table = pd.DataFrame([base | {"train_size": d, "start": s, "train_loss": loss} for d, s, loss in rows])
    assert twins(table).set_index("train_size")["gain"].to_dict() == {
        100: pytest.approx(np.log(2)),
        200: pytest.approx(-np.log(2)),
    }


def test_twins_break_even_where_their_ratio_passes_one() -> None:
    """A ratio of (D / 250)^0.7 but for a factor that averages out over the two seeds."""
    sizes, seeds = np.array([100, 200, 400, 100, 200, 400]), np.repeat([0, 1], 3)
    ratio = (sizes / 250) ** 0.7 * np.where(seeds == 0, 1.3, 1 / 1.3)
    pairs = pd.DataFrame({"train_size": sizes, "seed": seeds, "train_loss_trained": 2.0, "train_loss_fresh": 2 * ratio})
    assert break_even(pairs) == pytest.approx(250)
    with pytest.raises(ValueError, match="does not climb"):
        break_even(pairs.assign(train_loss_fresh=5.0))
