"""Which circuit gets the weight: Theorem D.4, made exact and computable (Section 3 and Appendix D).

Circuits with the same logits on the training set enter the training loss only through S = sum_i w_i. A circuit of
parameter norm P_i, scaled to weight w_i, has norm w_i^(1/kappa) P_i, so the loss of Equation 6 is

    L(w) = train_loss(S) + alpha/q sum_i P_i^q w_i^(q/kappa),    w_i >= 0.

At a fixed S the best split costs alpha/q E^q S^(q/kappa), with E the *effective norm* of the mixture (chapter 04):

    kappa < q:   w_i = S P_i^(-s) / sum_j P_j^(-s),   E = (sum_j P_j^(-s))^(-1/s),   s = q kappa / (q - kappa)
    kappa >= q:  all of S on one circuit of minimal norm,   E = min_j P_j.

What is left is one dimension, the total S. It is not convex when kappa > q, and S = 0 can win. The exponent s has no
bound as kappa tends to q, so everything is computed from logarithms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_expit, logsumexp

TrainLoss = Callable[[Any], Any]
Norms = Float[ArrayLike, " circuit"]
Weights = Float[ArrayLike, "*batch circuit"]


@dataclass(frozen=True)
class CrossEntropy:
    """log(1 + (n_classes - 1) exp(-S)): the cross-entropy when every circuit is one-hot on the right class."""

    n_classes: int

    def __post_init__(self) -> None:
        if not float(self.n_classes).is_integer() or self.n_classes < 2:
            raise ValueError(f"n_classes is {self.n_classes}; it must be a whole number of at least 2")

    def __call__(self, total: ArrayLike) -> Any:
        """The loss in nats at a total weight S; any shape, elementwise."""
        return -log_expit(np.asarray(total, dtype=float) - np.log(self.n_classes - 1))

    def log_pull(self, total: ArrayLike) -> Any:
        """log(-dL/dS): how strongly the loss pulls S up, finite where the slope itself would underflow."""
        return log_expit(np.log(self.n_classes - 1) - np.asarray(total, dtype=float))


PAPER_LOSS = CrossEntropy(113)  # the 113 labels of Table 1


def cross_entropy(n_classes: int) -> CrossEntropy:
    """The training loss as a callable of the total weight S. Raises ValueError for fewer than 2 classes."""
    return CrossEntropy(n_classes)


def loss(
    weights: Weights, norms: Norms, kappa: float | Norms, alpha: float, q: float = 2, train_loss: TrainLoss = PAPER_LOSS
) -> Float[np.ndarray, "*batch"]:
    """Equation 6. kappa may differ between circuits (chapter 06). Raises ValueError outside the model's domain."""
    penalty = (allocated_norms(weights, norms, kappa) ** _number("q", q)).sum(-1)
    return np.asarray(train_loss(np.sum(weights, -1, dtype=float)) + _number("alpha", alpha) / q * penalty)


def allocated_norms(weights: Weights, norms: Norms, kappa: float | Norms) -> Float[np.ndarray, "*batch circuit"]:
    """The norm w_i^(1/kappa) P_i of each circuit; for kappa < q an optimum has it go as P_i^(-kappa/(q-kappa)). Raises
    ValueError unless kappa is one number, or one a circuit, and no weight is negative."""
    P, w, powers = _list("norms", norms), np.asarray(weights, dtype=float), 1 / _positive("kappa", kappa)
    if powers.shape not in ((), P.shape):
        raise ValueError(f"kappa has shape {powers.shape}; it must be one number, or {P.size} as norms")
    if w.shape[-1:] != P.shape or not (w >= 0).all():
        raise ValueError(f"weights are {w}; none may be negative or NaN, the last axis must have length {P.size}")
    return w**powers * P


def log_split(norms: Norms, kappa: float, q: float = 2) -> Float[np.ndarray, " circuit"]:
    """Logarithm of each circuit's best share of the total weight; -inf is no weight. The choice made in Theorem D.4.

    Raises ValueError for norms, kappa or q that are not positive and finite, as do the functions below.
    """
    P, kappa, q = _list("norms", norms), _number("kappa", kappa), _number("q", q)
    if kappa >= q:
        return np.where(np.arange(P.size) == P.argmin(), 0.0, -np.inf)
    # (P_i / P_min)^(-s). log1p keeps the digits when norms are nearly tied, where a large s makes most of them.
    scores = -q * kappa / (q - kappa) * np.log1p((P - P.min()) / P.min())
    return scores - logsumexp(scores)


def effective_norm(norms: Norms, kappa: float, q: float = 2) -> float:
    """The norm E of the one circuit that costs, at every total weight, what the best mixture costs."""
    log_share = log_split(norms, kappa, q).max()
    return float(np.min(norms) * np.exp(log_share * (q - kappa) / (q * kappa)))  # share of the best: (E / P_min)^s


def optimal_total(norm: float, kappa: float, alpha: float, q: float = 2, train_loss: TrainLoss = PAPER_LOSS) -> float:
    """The S >= 0 that minimises train_loss(S) + alpha/q norm^q S^(q/kappa); 0 where no weight at all is best.

    For `cross_entropy` the global minimum, to rounding. Any other train_loss must be finite at 0 and never negative
    (subtract its bound); it is searched on a grid of totals, so minima narrower than the grid can be missed.
    """
    q = _number("q", q)
    power = q / _number("kappa", kappa)
    log_cost = float(np.log(_number("alpha", alpha) / q) + q * np.log(_number("norm", norm)))

    def objective(log_total: float) -> float:
        return float(train_loss(np.exp(log_total)) + np.exp(min(log_cost + power * log_total, 700)))

    at_zero = float(train_loss(0.0))
    if isinstance(train_loss, CrossEntropy):
        log_total = _log_balance(train_loss, power, log_cost)
        wins = power >= 1 or objective(log_total) < at_zero  # convex from power 1 on: the balance is the minimum
    else:
        log_total = _log_search(objective, at_zero, power, log_cost)
        wins = objective(log_total) < at_zero
    return float(np.exp(log_total)) if wins else 0.0


def optimal_weights(
    norms: Norms, kappa: float, alpha: float, q: float = 2, train_loss: TrainLoss = PAPER_LOSS
) -> Float[np.ndarray, " circuit"]:
    """The weights that minimise Equation 6: the best total times the best split. Theorem D.4, with its constant.

    Ties for kappa >= q have many optima (for kappa > q any one of the circuits of least norm, for kappa = q any mixture
    of them): the first is chosen. Raises ValueError for norms, kappa, alpha or q that are not positive and finite.
    """
    total = optimal_total(effective_norm(norms, kappa, q), kappa, alpha, q, train_loss)
    return total * np.exp(log_split(norms, kappa, q))


def critical_size(sizes: Float[ArrayLike, " size"], mem_norms: Float[ArrayLike, " size"], gen_norm: float) -> float:
    """The dataset size where memorising comes to cost `gen_norm`: D_crit of Section 4, linear in log D and log norm.

    NaN when the curve does not rise through it. Raises ValueError unless sizes increase.
    """
    x, gap = np.log(_list("sizes", sizes)), np.log(_list("mem_norms", mem_norms) / _number("gen_norm", gen_norm))
    if x.shape != gap.shape or not (np.diff(x) > 0).all():
        raise ValueError(f"sizes are {np.asarray(sizes)}; they must increase, and be as many as mem_norms, {gap.size}")
    for i in np.flatnonzero((gap[:-1] <= 0) & (gap[1:] > 0)):
        return float(np.exp(np.interp(0, gap[i : i + 2], x[i : i + 2])))
    return float("nan")


def _log_balance(train_loss: CrossEntropy, power: float, log_cost: float) -> float:
    """log S of the one interior local minimum: the pull of the loss equals the push of weight decay. -inf: none.

    surplus = log(pull) - log(push) is concave in log S, so it has at most two zeros, and the right one is the minimum.
    """

    def surplus(log_total: float) -> float:
        return float(train_loss.log_pull(np.exp(log_total)) + (1 - power) * log_total - log_cost - np.log(power))

    def log_steepness(log_total: float) -> float:  # zero where `surplus` is at its top
        return float(log_total + log_expit(np.exp(log_total) - np.log(train_loss.n_classes - 1)) - np.log1p(-power))

    left = brentq(log_steepness, -800, 700, xtol=1e-14) if power < 1 else 0.0
    right = left + 1
    while power >= 1 and surplus(left) <= 0 and left > -1e9:
        left, right = 2 * left - 1, left
    if surplus(left) <= 0:
        return -np.inf
    while surplus(right) > 0:
        right += 1
    return brentq(surplus, left, right, xtol=1e-15, rtol=1e-15)


def _log_search(objective: Callable[[float], float], at_zero: float, power: float, log_cost: float) -> float:
    ceiling = (np.log(max(at_zero, 1e-300)) - log_cost) / power  # beyond it weight decay alone exceeds the loss at 0
    grid = np.concatenate([ceiling - np.geomspace(60, 1e-9, 2000), [ceiling]])
    values = [objective(t) for t in grid]
    if not 0 <= at_zero < np.inf or min(values) < 0:
        raise ValueError(f"train_loss is {at_zero} at 0 and falls to {min(values)}; it must be finite, never negative")
    best = int(np.argmin(values))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    return float(minimize_scalar(objective, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x)


def _positive(name: str, value: ArrayLike) -> np.ndarray:
    array = np.asarray(value, dtype=float)
    if not (np.isfinite(array).all() and (array > 0).all()):
        raise ValueError(f"{name} is {array}; it must be positive and finite")
    return array


def _number(name: str, value: float) -> float:
    if np.ndim(value):
        raise ValueError(f"{name} is {value}; it must be one number")
    return float(_positive(name, value))


def _list(name: str, values: ArrayLike) -> np.ndarray:
    array = _positive(name, values)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} have shape {array.shape}; they must be a list of at least one number")
    return array
