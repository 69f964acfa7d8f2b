"""Many circuits: against the two-circuit simulation, test points counted one by one, and the predicted steps."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from grokbook.claims import many
from grokbook.many_circuits import Circuit, ManyConfig, leaders, records, rises, settled, simulate, stairs
from grokbook.subweights import TABLE_1
from grokbook.subweights import simulate as simulate_two

LADDER = ManyConfig((Circuit(3, 1, 0), Circuit(2, 0.05, 0.4), Circuit(1.3, 0.003, 0.7), Circuit(0.8, 1e-5, 1)))


@pytest.mark.parametrize("panel", TABLE_1)
@pytest.mark.parametrize("kappa", [1.2, 3.0])
def test_two_circuits_are_the_papers_simulation(panel: str, kappa: float) -> None:
    two = replace(TABLE_1[panel], kappa=kappa)
    circuits = Circuit(two.P_g, two.w_g2, 1), Circuit(two.P_m, two.w_m2, 0)
    many_rows = simulate([ManyConfig(circuits, kappa=kappa)], steps=2500)
    two_rows = simulate_two(two, steps=2500)
    for ours, theirs in (("w_1", "w_g"), ("w_2", "w_m")):
        np.testing.assert_allclose(many_rows[ours], two_rows[theirs], rtol=1e-11)  # processors round powers differently
    for column in ("train_loss", "test_loss", "parameter_norm"):
        np.testing.assert_allclose(many_rows[column], two_rows[column], rtol=1e-11)
    np.testing.assert_array_equal(many_rows["test_accuracy"] == 1, two_rows["w_g"] > two_rows["w_m"])


def test_losses_and_accuracy_are_those_of_a_test_set_counted_point_by_point() -> None:
    circuits = Circuit(2, 0.7, 0.35), Circuit(1, 0.5, 0.8), Circuit(1.5, 0.9, 0.1)
    config = ManyConfig(circuits, q=7)
    rows = simulate([config], steps=900, every=100)
    points = (np.arange(100) + 0.5) / 100
    for _, row in rows.iloc[1:].iterrows():
        w = row[["w_1", "w_2", "w_3"]].to_numpy(float)
        losses, right = [], []
        for u in points:
            logits = np.zeros(7)  # label 0 is right, label i is the wrong one of circuit i
            for i, circuit in enumerate(circuits):
                logits[0 if u < circuit.coverage else i + 1] += w[i]
            losses.append(np.log(np.exp(logits).sum()) - logits[0])
            right.append(logits[0] > np.delete(logits, 0).max())
        assert row["test_loss"] == pytest.approx(np.mean(losses))
        assert row["test_accuracy"] == pytest.approx(np.mean(right))
        assert row["train_loss"] == pytest.approx(np.log1p(6 * np.exp(-w.sum())))
        assert row["parameter_norm"] ** 2 == pytest.approx(sum(w ** (2 / 1.2) * np.array([2, 1, 1.5]) ** 2))


def test_runs_side_by_side_are_runs_alone() -> None:
    other = ManyConfig(LADDER.circuits[::-1], kappa=1.7, alpha=0.01)
    both = simulate([LADDER, other], steps=300, every=10)
    alone = simulate([other], steps=300, every=10)
    pd.testing.assert_frame_equal(both[both["run"] == 1].reset_index(drop=True).assign(run=0), alone)


def test_a_ladder_of_circuits_is_a_staircase_at_the_predicted_steps() -> None:
    history = simulate([LADDER], steps=20_000, every=20)
    found = stairs(history)
    assert found["test_accuracy"].tolist() == pytest.approx([0, 0.4, 0.7, 1])
    np.testing.assert_allclose(found["begin"].iloc[1:], rises(LADDER), rtol=0.2)
    assert found["end"].iloc[-1] == 20_000 and (found["begin"].iloc[1:].to_numpy() > found["end"].iloc[:-1]).all()
    assert leaders(history) == records(LADDER) == [1, 2, 3, 4]


def test_at_kappa_two_the_prediction_is_close() -> None:
    config = ManyConfig((Circuit(3, 1, 0), Circuit(1, 0.005, 1)), kappa=2)
    (predicted,) = rises(config)
    length = 2 * np.log(200)  # the formula's limit: the rate of growth is the difference of the two prices' slopes
    assert predicted == pytest.approx(length / (2 * 0.01 * 0.005 * (3**2 - 1)))
    assert stairs(simulate([config], steps=16_000, every=10))["begin"].iloc[1] == pytest.approx(predicted, rel=0.02)


def test_the_prediction_is_continuous_at_kappa_two() -> None:
    below, at = (rises(replace(LADDER, kappa=kappa)) for kappa in (2 - 1e-6, 2))
    np.testing.assert_allclose(below, at, rtol=1e-4)


def test_settled_is_where_gradient_descent_comes_to_rest() -> None:
    fast = ManyConfig(tuple(replace(circuit, w2=1.0) for circuit in LADDER.circuits[:2]))
    end = simulate([fast], steps=6000, every=6000).iloc[-1]
    total, pull = settled(fast, [1, 2])
    assert end["w_1"] + end["w_2"] == pytest.approx(total, rel=1e-3)
    assert pull == pytest.approx(112 * np.exp(-total) / (1 + 112 * np.exp(-total)))


def test_records_are_more_efficient_than_everything_faster() -> None:
    circuits = [Circuit(P, w2, 0) for P, w2 in ((2, 1e-2), (3, 1), (2.5, 1e-3), (1, 1e-4), (4, 1e-1))]
    assert records(ManyConfig(tuple(circuits))) == [2, 1, 4]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Circuit(0, 1, 0), "P is 0; it must be positive"),
        (lambda: Circuit(1, -1, 0), "w2 is -1"),
        (lambda: Circuit(1, 1, 1.5), "coverage is 1.5; it must lie between 0 and 1"),
        (lambda: ManyConfig(()), "circuits is empty"),
        (lambda: replace(LADDER, q=4), "q is 4; 4 circuits need"),
        (lambda: replace(LADDER, q=float("nan")), "q is nan; 4 circuits need"),
        (lambda: replace(LADDER, q=float("inf")), "q is inf; 4 circuits need"),
        (lambda: replace(LADDER, kappa=0), "kappa is 0"),
        (lambda: replace(LADDER, penalty="none"), "penalty is 'none'"),
        (lambda: rises(replace(LADDER, kappa=3)), "kappa is 3; it must be at most 2"),
        (lambda: simulate([LADDER, ManyConfig(LADDER.circuits[:2])]), "configs have"),
        (lambda: simulate([]), "configs have"),
        (lambda: settled(LADDER, [0]), r"learned is \[0\]; allowed are one or more of 1 to 4"),
        (lambda: settled(LADDER, []), r"learned is \[\]; allowed are"),
        (lambda: simulate([LADDER], every=0), "every is 0; it must be a whole number, 1 or more"),
        (lambda: simulate([LADDER], steps=1.5), "steps is 1.5; it must be a whole number, 0 or more"),
        (lambda: simulate([LADDER], steps=float("nan")), "steps is nan"),
    ],
)
def test_bad_input_is_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_whole_floats_are_numbers_of_steps() -> None:
    pd.testing.assert_frame_equal(simulate([LADDER], 1e2, every=20.0), simulate([LADDER], 100, every=20))


def test_a_run_that_diverges_says_so() -> None:
    with pytest.raises(FloatingPointError, match="run 0 diverged"):
        simulate([replace(LADDER, learning_rate=1e4)], steps=200)


def networks(seeds: int, keys_from: str) -> pd.DataFrame:
    """Invented networks with 11 frequencies, 4 of them keys: the highest at the start, near the top, or any."""
    generator, tables = np.random.default_rng(1), []
    weight = {"highest": 50.0, "near the top": 1.2, "anywhere": 0.0}[keys_from]
    for seed in range(seeds):
        share = generator.permutation(11) / 55
        order = np.argsort(-(weight * (share * 55 / 10) + generator.normal(size=11)))
        is_key = np.isin(np.arange(11), order[:4])
        tables.append(
            pd.DataFrame({"seed": seed, "frequency": np.arange(1, 12), "initial_share": share, "is_key": is_key})
        )
    return pd.concat(tables).sample(frac=1, random_state=0)


@pytest.mark.parametrize(
    ("keys_from", "seeds", "verdict"),
    [
        ("highest", 20, "confirmed"),
        ("near the top", 40, "partly"),
        ("anywhere", 20, "not confirmed"),
        ("highest", 5, "not testable here"),
    ],
)
def test_the_verdict_on_key_frequencies_follows_the_data(keys_from: str, seeds: int, verdict: str) -> None:
    finding = many.key_frequencies(networks(seeds, keys_from), "invented")
    assert finding.verdict == verdict, finding
    if keys_from == "highest":
        assert "100% of a network's keys" in finding.measured and "mean rank 0.15" in finding.measured


def test_without_keys_nothing_can_be_said() -> None:
    table = networks(20, "highest").assign(is_key=False)
    assert many.key_frequencies(table, "invented").verdict == "not testable here"


def test_staircases_in_every_order_of_efficiency() -> None:
    assert many.staircase().verdict == "not testable here"
