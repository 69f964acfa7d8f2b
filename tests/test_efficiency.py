"""Efficiency: exact on runs made from the model itself, and each estimator told apart from the one it improves on."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grokbook import results
from grokbook.circuits import centre, logit_table, trig_metrics
from grokbook.efficiency import (
    MEASURED,
    bucket_slope,
    bucketed,
    circuits,
    gamma,
    generalising,
    held_out_logit,
    inverse_kappa,
    isologit_curves,
    memorising,
    nearest_sizes,
    plane,
    recorded,
    settled,
)
from grokbook.model import ModelConfig, init
from grokbook.statistics import isologit_slope
from grokbook.tasks import add

SIZES, DECAYS = (150, 300, 600, 1200, 2400), (0.5, 1, 2, 3)


def runs(of_size: float, of_logit: float, seeds: int = 3, spread: float = 0.0, sizes=SIZES) -> pd.DataFrame:
    """Runs with ln P = s + of_size ln D + of_logit ln o; with s, drawn for each seed and size, the logits fall."""
    generator = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        for size in sizes:
            s = spread * generator.normal()
            for decay in DECAYS:
                logit = 60 * np.exp(-0.1 * np.log(decay) - 2 * s)
                norm = 3 * np.exp(s) * size**of_size * logit**of_logit
                rows.append({"seed": seed, "train_size": size, "weight_decay": decay} | {"correct_logit": logit})
                rows[-1]["parameter_norm"] = norm
    return pd.DataFrame(rows)


@settings(deadline=None, max_examples=20)
@given(st.floats(-0.3, 0.6), st.floats(0.1, 1.5))
def test_the_model_is_recovered_exactly(of_size: float, of_logit: float) -> None:
    table = runs(of_size, of_logit)
    assert plane(table) == pytest.approx((of_size, of_logit), abs=1e-9)
    assert gamma(table) == plane(table).size
    assert inverse_kappa(table) == pytest.approx(of_logit, abs=1e-9)
    renamed = table.rename(columns={"correct_logit": "confidence"})
    assert gamma(renamed, "confidence") == pytest.approx(of_size, abs=1e-9)


def test_gamma_gives_each_seed_its_own_constant() -> None:
    """Seeds of larger norms whose runs happen to have larger train sets fool a plane without constants."""
    low, high = runs(0.0, 0.3, seeds=1, sizes=(150, 300)), runs(0.0, 0.3, seeds=1, sizes=(1200, 2400))
    table = pd.concat([low, high.assign(seed=1, parameter_norm=2 * high["parameter_norm"])])
    assert gamma(table) == pytest.approx(0, abs=1e-9)
    assert isologit_slope(table) > 0.2


def test_stripes_are_not_fooled_by_seeds_that_move_norm_and_logit_together() -> None:
    """Less efficient circuits end with larger norms and smaller logits: the pooled slope has the wrong sign."""
    table = runs(0.0, 0.3, seeds=5, spread=0.1)
    pooled = np.polyfit(np.log(table["correct_logit"]), np.log(table["parameter_norm"]), 1)[0]
    assert pooled < 0 < inverse_kappa(table) == pytest.approx(0.3)


def test_gamma_counts_a_seed_as_often_as_it_is_drawn() -> None:
    one, other = runs(0.1, 0.3, seeds=1), runs(0.4, 0.3, seeds=1).assign(seed=1)
    assert gamma(pd.concat([one, other])) == pytest.approx(0.25)
    assert gamma(pd.concat([one, other, other])) == pytest.approx(0.3)


def test_what_does_not_vary_is_refused() -> None:
    with pytest.raises(ValueError, match="must vary apart within seeds"):
        gamma(runs(0.3, 0.3, sizes=(400,)))
    with pytest.raises(ValueError, match="must vary within"):
        inverse_kappa(runs(0.3, 0.3)[lambda table: table["weight_decay"] == 1])
    with pytest.raises(ValueError, match="must be positive and vary"):
        bucketed(runs(0.3, 0.3).assign(correct_logit=50.0))


def test_a_plane_through_as_few_runs_as_it_has_numbers_is_refused() -> None:
    two_a_seed = runs(0.3, 0.3, seeds=2, spread=0.1).groupby("seed").nth([0, 7])
    with pytest.raises(ValueError, match="three more than there are seeds"):
        plane(two_a_seed)


def test_buckets_are_six_geometric_intervals() -> None:
    table = pd.DataFrame({"correct_logit": [1.0, 1.9, 2.1, 15.9, 17.0, 64.0]})
    np.testing.assert_allclose(bucketed(table)["bucket"], np.sqrt([2, 2, 8, 128, 512, 2048]))


def test_isologit_curves_average_logarithms_and_their_direction_is_exact_in_one_bucket() -> None:
    table = pd.DataFrame({"correct_logit": [10, 10.1, 10.2, 20], "train_size": [100, 100, 400, 400]})
    table["parameter_norm"] = [2.0, 8.0, 16.0, 5.0]
    curves = isologit_curves(table, count=2)
    assert curves["parameter_norm"].tolist() == pytest.approx([4, 16, 5])
    assert curves["runs"].tolist() == [2, 1, 1]
    assert bucket_slope(bucketed(table, 2)) == pytest.approx(1.0)  # a factor 4 in norm over a factor 4 in size


def test_nearest_sizes_are_near_in_ratio() -> None:
    mem, gen = runs(0, 1), runs(0, 1, sizes=(1500, 1900, 2700))
    assert sorted(nearest_sizes(mem, gen)["train_size"].unique()) == [1200, 2400]


def history(**last: float) -> pd.DataFrame:
    """One run: four measurements in the last fifth of its steps, `last` but for one spike, and zeros before."""
    table = pd.DataFrame({"run": "a", "step": [0, 79, 80, 90, 95, 100], "train_size": 40, "seed": 0, "converged": True})
    base = {"train_loss": 1e-7, "train_accuracy": 1.0, "mirror_free_accuracy": 1.0, "trig_logit": 49.9}
    for name, value in (base | {"mem_logit": 0.1, "parameter_norm": 20.0, "correct_logit": 50.0} | last).items():
        table[name] = [0, 0, value, 0.9 * value, value, value]
    return table


def test_settled_is_the_median_of_the_last_fifth() -> None:
    ends = settled(pd.concat([history(), history(parameter_norm=30.0).assign(run="b", seed=1)]))
    assert ends["parameter_norm"].tolist() == [20, 30]
    assert ends["seed"].tolist() == [0, 1] and ends["train_size"].tolist() == [40, 40]
    assert ends["confidence"].tolist() == pytest.approx([-np.log(1e-7)] * 2)


@pytest.mark.parametrize(
    "column, value", [("train_accuracy", 0.999), ("mirror_free_accuracy", 0.94), ("mem_logit", 1.0)]
)
def test_each_check_of_a_generalising_network_can_fail(column: str, value: float) -> None:
    assert generalising(settled(history()), 7).all()
    assert not generalising(settled(history(**{column: value})), 7).any()
    assert memorising(settled(history(**{column: value}))).all() == (column != "train_accuracy")


def test_a_table_of_the_train_set_is_not_generalising_however_large_its_share() -> None:
    """On 40 of 49 pairs with logit T: the proxies are rT and (1 - r)T, and nothing is left for the test equations."""
    table = settled(history(trig_logit=50 * 40 / 49, mem_logit=50 * 9 / 49))
    assert held_out_logit(table, 7).item() == pytest.approx(0, abs=1e-9)
    assert not generalising(table, 7).any()


def test_circuits_keeps_what_is_alone_and_counts_the_rest() -> None:
    mem = pd.concat([history(), history(train_accuracy=0.9).assign(run="b")])
    found = circuits(mem, history(), 7)
    assert (len(found.mem), len(found.gen)) == (1, 1)
    assert "p = 7" in found.scale and "C_mem 1 of 2 runs" in found.scale and "C_gen 1 of 1 runs" in found.scale


def test_the_modulus_of_what_is_recorded_is_the_tables_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "recorded", lambda name: set() if name.endswith("-113") else {"key"})
    monkeypatch.setattr(results, "load", lambda name: history().assign(modulus=7))
    assert recorded()[7].scale.startswith("p = 7: ")


def test_circuits_keeps_the_same_runs_at_half_of_their_steps() -> None:
    half = history(parameter_norm=10.0).assign(step=lambda t: t["step"] / 2)
    just_after = history(parameter_norm=1.0).tail(3).assign(step=[52, 53, 54])
    run = pd.concat([half, just_after, history(parameter_norm=20.0)])
    found = circuits(run, run, 7)
    for kept, norm in ((found.mem_half, 10), (found.mem, 20), (found.gen_half, 10), (found.gen, 20)):
        assert kept["parameter_norm"].item() == norm


def test_held_out_logit_is_the_mean_over_the_test_equations() -> None:
    p, task = 7, add(7)
    params = init(ModelConfig(8, 4, 16), task, [0])
    train, test = task.split(20, 0)
    table = pd.DataFrame([trig_metrics(params, task, train) | {"train_size": 20}])
    correct = centre(logit_table(params)[0]).reshape(p * p, p).gather(1, task.label[:, None])[:, 0]
    assert held_out_logit(table, p).item() == pytest.approx(correct[test].mean().item(), abs=1e-6)


def test_measured_columns_are_the_histories_own() -> None:
    assert {"train_loss", "parameter_norm", "trig_share"} <= set(MEASURED)
    assert not {"step", "seed", "train_size", "converged", "run"} & set(MEASURED)
