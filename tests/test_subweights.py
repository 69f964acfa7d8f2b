"""The subweight simulation against Figure 2's captions, the paper's formulas, gradient flow and itself run in bulk."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, minimize

from grokbook.subweights import PENALTIES, TABLE_1, SubweightConfig, grokking_step, simulate, simulate_many

configs = st.builds(
    SubweightConfig,
    P_g=st.floats(0.3, 4),
    P_m=st.floats(0.3, 4),
    kappa=st.floats(0.6, 4),
    alpha=st.floats(1e-4, 2e-2),
    w_g1=st.sampled_from([0.0, 0.3, -0.3]),
    w_g2=st.floats(1e-3, 1.5),
    w_m1=st.sampled_from([0.0, 0.2]),
    w_m2=st.floats(1e-3, 1.5),
    q=st.integers(2, 500),
    learning_rate=st.floats(1e-3, 3e-2),
    penalty=st.sampled_from(sorted(PENALTIES)),
)

# Where a weight sits so near 0 that a step overshoots the penalty's curvature, runs are chaotic: rounding decides.
calm = st.builds(
    SubweightConfig,
    P_g=st.floats(0.5, 3),
    P_m=st.floats(0.5, 3),
    kappa=st.floats(0.8, 1.5),
    alpha=st.floats(1e-4, 6e-3),
    w_g1=st.sampled_from([0.0, 0.3, -0.3]),
    w_g2=st.floats(1e-3, 1.5),
    w_m2=st.floats(1e-3, 1.5),
    q=st.integers(2, 500),
    learning_rate=st.floats(1e-3, 2e-2),
    penalty=st.sampled_from(["alpha", "half-alpha"]),
)


def at(history, step):
    return history.set_index("step").loc[step]


def test_table_1_is_the_papers():
    same = dict(P_m=2, kappa=1.2, alpha=0.005, w_g1=0, w_m1=0, w_m2=1, q=113, learning_rate=0.01, penalty="alpha")
    assert asdict(TABLE_1["a"]) == dict(P_g=1, w_g2=0.005, **same)
    assert asdict(TABLE_1["b"]) == dict(P_g=4, w_g2=0.005, **same)
    assert asdict(TABLE_1["c"]) == dict(P_g=1, w_g2=1, **same)


def test_figure_2a_groks_when_its_caption_says():
    history = simulate(TABLE_1["a"])
    assert list(history.step) == list(range(10_001))
    passes = {level: int(history.step[history.w_g > level].iloc[0]) for level in (0.05, 0.15, 1.1)}
    assert passes == {
        0.05: pytest.approx(2500, abs=40),
        0.15: pytest.approx(3000, abs=40),
        1.1: pytest.approx(4000, abs=40),
    }
    assert at(history, 5000).w_g == pytest.approx(3.8, abs=0.05)
    assert at(history, 10_000).w_g == pytest.approx(7.1, abs=0.05)
    assert history.train_loss.iloc[1000] < 0.15 and history.test_loss.iloc[1000] > 6  # memorised, worse than chance
    assert history.test_loss.iloc[-1] < 0.1
    assert grokking_step(history) == pytest.approx(5010, abs=5)
    # "Total parameter norm falls due to C_gen's higher efficiency."
    assert history.parameter_norm.iloc[-1] < 0.6 * history.parameter_norm.max()


def test_figure_2b_test_loss_never_falls_below_chance():
    history = simulate(TABLE_1["b"])
    assert history.test_loss.iloc[500:].min() > np.log(113)
    assert np.isnan(grokking_step(history))
    # "it never grows" is not so: the optimum has w_g/w_m = 1/8, and the weight gets there
    assert at(history, 10_000).w_g == pytest.approx(0.756, abs=0.002)
    assert at(history, 10_000).w_m == pytest.approx(6.05, abs=0.005)


def test_figure_2c_shows_no_grokking():
    history = simulate(TABLE_1["c"])
    assert (history.w_g >= history.w_m).all() and np.isnan(grokking_step(history))
    assert (np.diff(history.test_loss) < 0).all()
    assert at(history, 500).test_loss == pytest.approx(0.811, abs=0.002)
    assert at(history, 500).train_loss == pytest.approx(0.050, abs=0.001)
    assert history.test_loss.iloc[-1] == pytest.approx(0.079, abs=0.001)
    assert history.train_loss.iloc[-1] == pytest.approx(0.032, abs=0.001)


@pytest.mark.parametrize(("panel", "ratio"), [("a", 8), ("b", 1 / 8), ("c", 8)])
def test_the_end_of_each_panel_is_theorem_d4s_optimum(panel, ratio):
    config = TABLE_1[panel]
    end = simulate(config, steps=30_000).iloc[-1]
    assert end.w_g / end.w_m == pytest.approx(ratio, rel=0.01)

    def objective(w):
        loss = np.log1p((config.q - 1) * np.exp(-w.sum()))
        return loss + config.alpha * (np.abs(w) ** (2 / config.kappa) @ np.square([config.P_g, config.P_m]))

    best = minimize(objective, [3.0, 3.0], bounds=[(0, 20)] * 2, tol=1e-14)
    np.testing.assert_allclose([end.w_g, end.w_m], best.x, rtol=0.01)


def test_only_one_reading_of_the_weight_decay_reproduces_figure_2():
    """Appendix C prints no alpha at all, Equation 6 has alpha/2: neither has C_gen growing by step 2500 and winning."""
    halved, printed = (simulate(replace(TABLE_1["a"], penalty=name)) for name in ("half-alpha", "as-printed"))
    assert at(halved, 2500).w_g < 0.005 and 3500 < halved.step[halved.w_g > 0.05].iloc[0] < 5500
    assert at(printed, 10_000).w_g == pytest.approx(0.455, abs=0.002)
    assert at(printed, 10_000).w_m == pytest.approx(0.057, abs=0.001)
    assert printed.train_loss.iloc[-1] > 4


def test_one_step_is_the_gradient_of_the_printed_loss():
    """An independent route: SymPy differentiates Appendix C's formula in the four subweights."""
    symbols = sympy.symbols("g1 g2 m1 m2", positive=True)
    g1, g2, m1, m2 = symbols
    config = SubweightConfig(P_g=1.3, P_m=0.7, kappa=1.7, alpha=0.02, w_g1=0.4, w_g2=0.9, w_m1=1.1, w_m2=0.3, q=11)
    correct = sympy.exp(g1 * g2 + m1 * m2)
    norms = (config.P_g * (g1 * g2) ** (1 / config.kappa), config.P_m * (m1 * m2) ** (1 / config.kappa))
    loss = -sympy.log(correct / ((config.q - 1) + correct)) + config.alpha * sum(norm**2 for norm in norms)
    start = dict(zip(symbols, (config.w_g1, config.w_g2, config.w_m1, config.w_m2), strict=True))
    new = {s: start[s] - config.learning_rate * float(sympy.diff(loss, s).subs(start)) for s in symbols}
    row = simulate(config, steps=1).iloc[1]
    assert row.w_g == pytest.approx(new[g1] * new[g2], rel=1e-13)
    assert row.w_m == pytest.approx(new[m1] * new[m2], rel=1e-13)


def test_losses_are_softmax_cross_entropies_of_the_lookup_tables():
    """A brute-force twin with explicit logits: label 0 is right, label 1 is what C_mem says on the test set."""
    config = SubweightConfig(q=7, w_g1=1.5, w_g2=0.8, w_m1=0.5, w_m2=1.2, P_g=1.4)
    row = simulate(config, steps=0).iloc[0]
    train, test = np.zeros(7), np.zeros(7)
    train[0] = row.w_g + row.w_m
    test[0], test[1] = row.w_g, row.w_m
    assert row.train_loss == pytest.approx(-np.log(np.exp(train)[0] / np.exp(train).sum()), rel=1e-14)
    assert row.test_loss == pytest.approx(-np.log(np.exp(test)[0] / np.exp(test).sum()), rel=1e-14)
    norm = np.hypot(row.w_g ** (1 / 1.2) * 1.4, row.w_m ** (1 / 1.2) * 2)
    assert row.parameter_norm == pytest.approx(norm) and row.weight_decay == pytest.approx(0.005 * norm**2)


def test_small_steps_follow_the_two_scalar_equations():
    """Gradient flow keeps w_c2^2 - w_c1^2, which leaves dw/dt = -L'(w) sqrt(4 w^2 + w_c2(0)^4)."""
    config = TABLE_1["a"]
    exponent = 2 / config.kappa - 1
    slope = config.alpha * 2 / config.kappa * np.square([config.P_g, config.P_m])
    speed = np.array([config.w_g2, config.w_m2]) ** 4

    def flow(_, w):
        pull = -1 / (1 + np.exp(w.sum()) / (config.q - 1))
        return -(pull + slope * np.abs(w) ** exponent) * np.sqrt(4 * w**2 + speed)

    times = np.array([10.0, 25.0, 40.0, 50.0, 80.0])
    expected = solve_ivp(flow, (0, 80), [0, 0], t_eval=times, rtol=1e-10, atol=1e-13).y
    errors = []
    for rate in (1e-2, 5e-3):
        rows = simulate(replace(config, learning_rate=rate), steps=round(80 / rate)).iloc[
            np.round(times / rate).astype(int)
        ]
        errors.append(np.abs(rows[["w_g", "w_m"]].to_numpy().T - expected).max())
    assert errors[0] < 0.05
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.2)  # Euler steps: half the step, half the error


@settings(max_examples=25, deadline=None)
@given(st.lists(calm, min_size=1, max_size=4))
def test_many_at_once_equal_one_at_a_time(many):
    together = simulate_many(many, steps=600, every=50)
    assert list(together.step.unique()) == list(range(0, 601, 50))
    for run, config in enumerate(many):
        alone = simulate(config, steps=600).iloc[::50].reset_index(drop=True)
        mine = together[together.run == run].drop(columns="run").reset_index(drop=True)
        assert list(alone.columns) == list(mine.columns)
        assert (mine.step == alone.step).all()
        np.testing.assert_allclose(mine.to_numpy(), alone.to_numpy(), rtol=1e-9, atol=1e-11)


@settings(max_examples=60, deadline=None)
@given(configs)
def test_weights_stay_on_their_side_of_zero_and_finite(config):
    history = simulate(config, steps=400)
    assert np.isfinite(history.to_numpy()).all()
    for weight, start in (("w_g", config.w_g1 * config.w_g2), ("w_m", config.w_m1 * config.w_m2)):
        reached = history[weight].to_numpy()
        negative_until = int(np.argmax(reached >= 0)) if (reached >= 0).any() else len(reached)
        assert negative_until == 0 or start < 0
        assert (reached[negative_until:] >= 0).all()


def test_a_negative_weight_costs_what_the_positive_one_does_and_is_pulled_up():
    plus, minus = SubweightConfig(w_g1=0.4, w_g2=0.5), SubweightConfig(w_g1=-0.4, w_g2=0.5)
    down = simulate(minus, steps=2_000)
    assert down.weight_decay[0] == simulate(plus, steps=0).weight_decay[0]
    rising = down.w_g[: int((down.w_g > 0).argmax()) + 1]
    assert down.w_g[0] == -0.2 and (np.diff(rising) > 0).all() and down.w_g.iloc[-1] > 0
    # penalty and cross-entropy both push a negative weight up: one step, by the formulas
    odds = 112 * np.exp(0.2)
    slope = -odds / (1 + odds) - 0.005 * 2 / 1.2 * 0.2 ** (2 / 1.2 - 1)
    first, second = -0.4 - 0.01 * slope * 0.5, 0.5 - 0.01 * slope * -0.4
    assert down.w_g[1] == pytest.approx(first * second, rel=1e-13)


def memorised(kappa):
    """The weight at which C_mem alone, at Table 1(a)'s other values, balances loss against weight decay."""
    return brentq(lambda w: 112 / (112 + np.exp(w)) - 0.005 * 2 / kappa * 4 * w ** (2 / kappa - 1), 3, 20)


@pytest.mark.parametrize("kappa", [2.5, 4.0])
def test_for_larger_kappa_c_mem_alone_is_a_trap(kappa):
    history = simulate(replace(TABLE_1["a"], kappa=kappa), steps=20_000)
    assert np.isnan(grokking_step(history)) and history.w_g.max() < 1e-3
    assert history.w_m.iloc[-1] == pytest.approx(memorised(kappa), rel=1e-3)


@pytest.mark.parametrize("kappa", [2.2, 3.0])
def test_the_trap_ends_where_theorem_d4s_ratio_says(kappa):
    """For kappa > 2 the split of case 2 is a pass between two minima: C_gen shrinks below it and grows above."""
    barrier = memorised(kappa) * 0.5 ** (2 * kappa / (kappa - 2))
    ends = {}
    for factor in (0.5, 2):
        g, m = np.sqrt(factor * barrier), np.sqrt(memorised(kappa))
        start = SubweightConfig(kappa=kappa, w_g1=g, w_g2=g, w_m1=m, w_m2=m)
        ends[factor] = simulate(start, steps=20_000).iloc[-1].w_g / (factor * barrier)
    assert ends[0.5] < 0.9 and ends[2] > 1.5


def test_kappa_two_ends_with_the_efficient_circuit_alone():
    end = simulate(replace(TABLE_1["a"], kappa=2.0), steps=100_000).iloc[-1]
    assert end.w_g > 5 and end.w_m < 1e-3  # Theorem D.4, case 1


def test_a_circuit_with_both_subweights_zero_stays_out():
    history = simulate(replace(TABLE_1["a"], w_g2=0.0), steps=3_000)
    assert (history.w_g == 0).all() and history.test_loss.iloc[-1] > 6


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("P_g", 0, "positive"),
        ("P_m", -1, "positive"),
        ("kappa", 0, "positive"),
        ("alpha", -0.1, "positive"),
        ("learning_rate", float("inf"), "positive and finite"),
        ("w_m2", float("nan"), "finite"),
        ("q", 1, "2 or more"),
        ("q", 2.5, "whole number"),
        ("q", float("nan"), "whole number"),
        ("q", float("inf"), "whole number"),
        ("penalty", "l2", "half-alpha"),
    ],
)
def test_settings_without_meaning_are_refused(name, value, allowed):
    with pytest.raises(ValueError, match=allowed) as error:
        replace(TABLE_1["a"], **{name: value})
    assert name in str(error.value) and str(value) in str(error.value)


def test_bad_steps_and_empty_lists_are_refused():
    with pytest.raises(ValueError, match="steps is -1"):
        simulate(TABLE_1["a"], steps=-1)
    with pytest.raises(ValueError, match="every is 0"):
        simulate_many([TABLE_1["a"]], every=0)
    with pytest.raises(ValueError, match="configs is empty"):
        simulate_many([])
    for steps in (1.5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"steps is {steps}; it must be a whole number, 0 or more"):
            simulate(TABLE_1["a"], steps=steps)


def test_whole_floats_are_numbers_of_steps():
    pd.testing.assert_frame_equal(simulate(TABLE_1["a"], steps=1e2), simulate(TABLE_1["a"], steps=100))
    whole = simulate_many([TABLE_1["a"]], steps=100, every=20)
    pd.testing.assert_frame_equal(simulate_many([TABLE_1["a"]], steps=1e2, every=20.0), whole)
    assert whole.step.tolist() == [0, 20, 40, 60, 80, 100]
    assert simulate_many([TABLE_1["a"]], steps=119, every=20).step.tolist() == whole.step.tolist()


def test_divergence_is_reported_with_its_run():
    wild = replace(TABLE_1["a"], learning_rate=50.0, kappa=0.6)
    with pytest.raises(FloatingPointError, match="learning_rate"):
        simulate(wild)
    with pytest.raises(FloatingPointError, match="run 1 diverged"):
        simulate_many([TABLE_1["a"], wild], steps=200)
