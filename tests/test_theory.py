"""Theorem D.4's closed form against numerical minimisation that knows nothing of the theorem."""

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from grokbook.theory import (
    allocated_norms,
    critical_size,
    cross_entropy,
    effective_norm,
    log_split,
    loss,
    optimal_total,
    optimal_weights,
)

settings.register_profile("theory", max_examples=500, derandomize=True, deadline=None, database=None)
settings.load_profile("theory")

sizes = st.integers(1, 4)
log_alphas = st.floats(-6, 0)
classes = st.sampled_from([2, 3, 10, 113])


def unit(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, n)


# kappa < q: the loss is convex, and its minimum is where its gradient vanishes. Newton steps on all weights at once,
# in u = log w with steps of at most 1, from an equal split; nothing of the closed form is used.
def minimise_interior(norms, kappa, alpha, q, n_classes):
    power, cost = q / kappa, alpha / q * norms**q

    def gradient_and_hessian(u):
        w = np.exp(u)
        total = w.sum()
        pull = expit(np.log(n_classes - 1) - total)
        push = power * cost * w ** (power - 1)
        return w * (push - pull), np.diag(w * (power - 1) * push) + pull * (1 - pull) * np.outer(w, w)

    u = np.zeros(norms.size)
    gradient, hessian = gradient_and_hessian(u)
    for _ in range(300):
        scale = 1 / np.sqrt(np.diag(hessian))
        step = -scale * np.linalg.solve(scale[:, None] * hessian * scale, scale * gradient)
        if np.abs(step).max() < 1e-9:
            return np.exp(u + step)
        step /= max(1, np.abs(step).max())
        slope, before = gradient @ step, u
        for _ in range(40):  # not past the bottom by more than it was above it
            u = before + step
            gradient, hessian = gradient_and_hessian(u)
            if gradient @ step <= 0.9 * abs(slope):
                break
            step, slope = step / 2, slope / 2
    raise AssertionError("the numerical minimisation did not converge")


@st.composite
def mixtures(draw, gaps):
    """Problems with kappa = q - gap whose weights stay within a factor of 400 of one another."""
    q = draw(st.floats(0.5, 4))
    kappa = max(q - draw(gaps), 0.4 * q)
    noise = unit(draw(st.integers(0, 10**6)), draw(sizes))
    tied = draw(st.booleans())
    if tied and noise.size > 1:
        noise[1] = noise[0]
    norms = draw(st.floats(0.3, 3)) * np.exp(3 * noise * (q - kappa) / (q * kappa))
    return norms, kappa, 10 ** draw(log_alphas), q, draw(classes)


def check_mixture(problem):
    norms, kappa, alpha, q, n_classes = problem
    found = optimal_weights(norms, kappa, alpha, q, cross_entropy(n_classes))
    assume(found.min() > 1e-9 and found.max() < 1e6)  # where Newton in doubles can follow
    np.testing.assert_allclose(found, minimise_interior(norms, kappa, alpha, q, n_classes), rtol=1e-6)


@given(mixtures(st.floats(0.01, 3.9)))
def test_mixture_is_the_numerical_minimum(problem):
    check_mixture(problem)


@given(mixtures(st.floats(1e-4, 1e-3)))
def test_mixture_within_a_thousandth_of_q(problem):
    check_mixture(problem)


# kappa >= q. In y = w^(q/kappa) weight decay is linear and the loss smooth up to y = 0: minimise from many starts.
def minimise_from_many_starts(norms, kappa, alpha, q, n_classes):
    power, cost = q / kappa, alpha / q * norms**q

    def value_and_gradient(y):
        w = y ** (1 / power)
        total = w.sum()
        pull = expit(np.log(n_classes - 1) - total)
        value = np.log1p((n_classes - 1) * np.exp(-total)) + cost @ y
        return value, cost - pull / power * y ** (1 / power - 1)

    best_y, least = np.zeros(norms.size), np.log(n_classes)
    directions = [np.eye(norms.size)[i] for i in range(norms.size)] + [np.full(norms.size, 1 / norms.size)] * (
        norms.size > 1
    )
    for direction in directions:
        reach = np.log(n_classes) / (cost @ direction) * np.geomspace(1e-6, 1, 300)
        totals = ((reach[:, None] * direction) ** (1 / power)).sum(1)
        along = np.log1p((n_classes - 1) * np.exp(-totals)) + cost @ direction * reach
        unit_y, unit = reach[along.argmin()], along.min()

        def scaled(z, unit_y=unit_y, unit=unit):
            value, gradient = value_and_gradient(unit_y * z)
            return value / unit, unit_y * gradient / unit

        options = {"ftol": 1e-15, "gtol": 1e-12, "maxiter": 500}
        end = minimize(scaled, direction, jac=True, method="L-BFGS-B", bounds=[(0, None)] * norms.size, options=options)
        if end.fun * unit < least:
            best_y, least = end.x * unit_y, end.fun * unit
    return best_y ** (1 / power), least


@st.composite
def contests(draw, gaps):
    """Problems with kappa = q + gap, half of them with the two best circuits tied."""
    q = draw(st.floats(0.5, 3))
    norms = 0.3 + 1.5 * np.abs(unit(draw(st.integers(0, 10**6)), draw(sizes)))
    if draw(st.booleans()) and norms.size > 1:
        norms[np.argsort(norms)[1]] = norms.min()
    return norms, q + draw(gaps), 10 ** draw(log_alphas), q, draw(classes)


def check_contest(problem):
    norms, kappa, alpha, q, n_classes = problem
    train_loss = cross_entropy(n_classes)
    found = optimal_weights(norms, kappa, alpha, q, train_loss)
    numerical, least = minimise_from_many_starts(norms, kappa, alpha, q, n_classes)
    value = loss(found, norms, kappa, alpha, q, train_loss)
    assert value <= least * (1 + 1e-12)
    assert found[norms > norms.min()].sum() == 0
    at_zero = np.log(n_classes)
    if value < at_zero * (1 - 1e-6):  # otherwise no weight and some weight are as good to rounding
        total = golden_section(numerical.sum(), norms.min(), kappa, alpha, q, n_classes)
        np.testing.assert_allclose(found.sum(), total, rtol=1e-6)


def golden_section(near, norm, kappa, alpha, q, n_classes):
    """The best total of one circuit from loss values alone, in 34 digits, within a tenth of a first guess."""
    with mpmath.workdps(34):
        power, cost = mpmath.mpf(q) / mpmath.mpf(kappa), mpmath.mpf(alpha) / q * mpmath.mpf(norm) ** mpmath.mpf(q)

        def value(total):
            return mpmath.log1p((n_classes - 1) * mpmath.exp(-total)) + cost * total**power

        low, high = mpmath.mpf(near) * 0.9, mpmath.mpf(near) * 1.1
        ratio = (mpmath.sqrt(5) - 1) / 2
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        at_left, at_right = value(left), value(right)
        while (high - low) > 1e-9 * low:
            if at_left < at_right:
                high, right, at_right = right, left, at_left
                left = high - ratio * (high - low)
                at_left = value(left)
            else:
                low, left, at_left = left, right, at_right
                right = low + ratio * (high - low)
                at_right = value(right)
        assert near * 0.9 < low < near * 1.1 * (1 - 1e-6)
        return float(low)


@given(contests(st.floats(0.01, 3)))
def test_winner_is_the_numerical_minimum(problem):
    check_contest(problem)


@given(contests(st.floats(0, 1e-3)))
def test_winner_within_a_thousandth_of_q(problem):
    check_contest(problem)


@given(contests(st.just(0.0)))
@settings(max_examples=100)
def test_winner_at_kappa_equal_to_q(problem):
    check_contest(problem)


def test_table_1_by_hand():
    """P = (1, 2), kappa = 1.2: weights go as P^-3, norms as P^-1.5, and the effective norm is (1 + 1/8)^(-1/3)."""
    weights = optimal_weights([1, 2], 1.2, 0.01)
    assert weights[0] / weights[1] == pytest.approx(8, rel=1e-13)
    taken = allocated_norms(weights, [1, 2], 1.2)
    assert taken[0] / taken[1] == pytest.approx(2**1.5, rel=1e-13)
    assert effective_norm([1, 2], 1.2) == pytest.approx((9 / 8) ** (-1 / 3), rel=1e-14)
    total = weights.sum()
    balance = 112 / (112 + np.exp(total)) - 0.01 / 1.2 * (9 / 8) ** (-2 / 3) * total ** (2 / 1.2 - 1)
    assert balance == pytest.approx(0, abs=1e-13)


def test_linear_penalty_has_a_closed_form():
    """kappa = q: S = log(n-1) + log(1/A - 1) while that is positive, and 0 from A = (n-1)/n on."""
    for cost in (1e-6, 0.1, 0.5, 0.98):
        assert optimal_total(1, 2, 2 * cost) == pytest.approx(np.log(112) + np.log(1 / cost - 1), rel=1e-12)
    assert optimal_total(1, 2, 2 * 112 / 113 * (1 + 1e-9)) == 0
    assert 0 < optimal_total(1, 2, 2 * 112 / 113 * (1 - 1e-9)) < 1e-6


@given(st.floats(0.01, 20), st.floats(1e-4, 1e4), st.floats(0.3, 6))
@settings(max_examples=100)
def test_weight_is_global_minimum_over_a_fine_grid(norm, alpha, kappa):
    best = optimal_total(norm, kappa, alpha)
    ceiling = (2 * np.log(113) / alpha / norm**2) ** (kappa / 2)
    grid = np.concatenate([[0], np.geomspace(1e-9, 1, 2000) * ceiling])[:, None]
    assert loss([best], [norm], kappa, alpha) <= loss(grid, [norm], kappa, alpha).min() + 1e-12


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9, 1e-13])
def test_no_overflow_at_the_boundary(gap):
    norms = np.array([1e-3, 1.0, 1.0, 1e3])
    share = np.exp(log_split(norms, 2 - gap, 2))
    assert share[0] == 1 and np.isfinite(effective_norm(norms, 2 - gap))
    assert log_split(norms, 2 - gap)[1] == pytest.approx(np.log(1e-3) * 2 * (2 - gap) / gap, rel=1e-2)
    assert np.exp(log_split([1, 1], 2 - gap)) == pytest.approx([0.5, 0.5], abs=1e-15)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=6), st.floats(0.2, 1.99), st.floats(0.01, 100))
@settings(max_examples=100)
def test_effective_norm_is_the_cost_of_the_best_split(norms, kappa, total):
    split = total * np.exp(log_split(norms, kappa))
    cost = np.sum(np.power(norms, 2) * split ** (2 / kappa))
    assert cost == pytest.approx(effective_norm(norms, kappa) ** 2 * total ** (2 / kappa), rel=1e-10)
    assert effective_norm(norms, kappa) <= min(norms)
    shares = allocated_norms(split, norms, kappa) ** 2 / cost  # a circuit's share of weight and of weight decay agree
    np.testing.assert_allclose(shares, split / split.sum(), rtol=1e-9, atol=1e-300)


def test_ties():
    for kappa in (2, 3):
        weights = optimal_weights([3, 1, 2, 1], kappa, 0.01)
        assert list(weights > 0) == [False, True, False, False]
        other = weights[[0, 3, 2, 1]]
        assert loss(weights, [3, 1, 2, 1], kappa, 0.01) == loss(other, [3, 1, 2, 1], kappa, 0.01)
        mixed = (weights + other) / 2
        excess = loss(mixed, [3, 1, 2, 1], kappa, 0.01) - loss(weights, [3, 1, 2, 1], kappa, 0.01)
        assert abs(excess) < 1e-15 if kappa == 2 else excess > 1e-3


def test_other_losses_and_the_trivial_optimum():
    """A quadratic loss has a closed form; a loss that grows with the weight leaves none."""
    assert optimal_total(2, 2, 0.1, 2, lambda s: (s - 3) ** 2) == pytest.approx(2.9, rel=1e-6)
    assert list(optimal_weights([1, 2], 1.2, 0.1, 2, lambda s: 1 + s)) == [0, 0]
    same = optimal_weights([1, 2], 3, 0.1, 2, lambda s: np.log1p(112 * np.exp(-s)))
    np.testing.assert_allclose(same, optimal_weights([1, 2], 3, 0.1), rtol=1e-6)


def test_cross_entropy_against_mpmath():
    for total in (-30, 0, 4.7, 80, 800):
        exact = mpmath.log1p(112 * mpmath.exp(-mpmath.mpf(total)))
        assert float(cross_entropy(113)(total)) == pytest.approx(float(exact), rel=1e-13)
        pull = (
            -mpmath.diff(lambda s: mpmath.log1p(112 * mpmath.exp(-s)), total)
            if total < 80
            else 112 * mpmath.exp(-total)
        )
        assert cross_entropy(113).log_pull(total) == pytest.approx(float(mpmath.log(pull)), rel=1e-9)


@given(st.floats(0.1, 2), st.floats(20, 2000), st.floats(0.5, 50))
@settings(max_examples=50)
def test_critical_size_of_a_power_law_is_exact(slope, size, norm):
    sizes = np.geomspace(5, 8000, 40)
    assert critical_size(sizes, norm * (sizes / size) ** slope, norm) == pytest.approx(size, rel=1e-9)
    assert np.isnan(critical_size(sizes, norm * (1 + sizes), norm))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: optimal_weights([1, 0], 1, 1), "norms"),
        (lambda: optimal_weights([1, np.nan], 1, 1), "norms"),
        (lambda: optimal_weights([[1, 2]], 1, 1), "norms"),
        (lambda: optimal_weights([], 1, 1), "norms"),
        (lambda: optimal_weights([1, 2], 0, 1), "kappa"),
        (lambda: optimal_weights([1, 2], np.inf, 1), "kappa"),
        (lambda: optimal_weights([1, 2], 1, 0), "alpha"),
        (lambda: optimal_weights([1, 2], 1, -1), "alpha"),
        (lambda: optimal_weights([1, 2], 1, 1, q=0), "q is"),
        (lambda: optimal_weights([1], 1, 1, train_loss=lambda s: -s), "train_loss"),
        (lambda: optimal_weights([1], 1, 1, train_loss=lambda s: np.inf), "train_loss"),
        (lambda: cross_entropy(1), "n_classes"),
        (lambda: cross_entropy(2.5), "n_classes"),
        (lambda: cross_entropy(np.nan), "n_classes is nan; it must be a whole number"),
        (lambda: cross_entropy(np.inf), "n_classes is inf; it must be a whole number"),
        (lambda: optimal_weights([1, 2], [1.2, 1.3], 0.01), "kappa is .*; it must be one number"),
        (lambda: optimal_weights([1, 2], 1.2, [0.01]), "alpha is .*; it must be one number"),
        (lambda: loss([1, 1], [1, 2], [1.2, 1.3, 1.4], 0.01), r"kappa has shape \(3,\); it must be one number, or 2"),
        (lambda: loss([1, 1], [1, 2], [[1.2], [1.3]], 0.01), r"kappa has shape \(2, 1\); it must be one number, or 2"),
        (lambda: allocated_norms([-1, 1], [1, 2], 1.2), "weights are .*; none may be negative"),
        (lambda: allocated_norms([1, np.nan], [1, 2], 1.2), "weights are .*; none may be negative or NaN"),
        (lambda: allocated_norms([1], [1, 2], 1.2), "the last axis must have length 2"),
        (lambda: loss([1, -1], [1, 2], 1, 1), "weights"),
        (lambda: loss([1, 2, 3], [1, 2], 1, 1), "weights"),
        (lambda: loss(1.0, [1], 1, 1), "weights"),
        (lambda: critical_size([2, 1], [1, 2], 1), "sizes"),
    ],
)
def test_bad_input_is_refused_by_name(call, named):
    with pytest.raises(ValueError, match=named):
        call()
