"""The simulation of Section 3 with more than two circuits: staircases of test accuracy (Section 5.3, Appendix A.1).

Circuit i has norm P_i at weight one, an initial subweight w2_i (its learning speed, as in module `subweights`), and a
coverage f_i: the test points are u in [0, 1], circuit i is right at u < f_i and beyond votes, with full confidence, for
a wrong label of its own. All circuits are right on the training set. With S the sum of the weights,

    train_loss     = log(1 + (q-1) e^-S)
    test loss at u = log(1 + (q-1-m) e^-R + sum over the m wrong circuits of e^(w_i-R)),   R the right circuits' weight

and u is answered rightly when R is above every wrong circuit's weight. A memoriser has f = 0, what generalises has
f = 1 (these two: module `subweights`). If one weight exceeds all others' sum, accuracy is that circuit's coverage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

import numpy as np
import pandas as pd
from jaxtyping import Float

from grokbook.descent import descend, whole
from grokbook.subweights import PENALTIES
from grokbook.theory import CrossEntropy, effective_norm, optimal_total


@dataclass(frozen=True)
class Circuit:
    """A circuit's norm P at weight one, its subweight w2 at step 0 (w1 starts at 0), and its coverage of the test set.

    Raises ValueError unless P and w2 are positive and finite and the coverage lies between 0 and 1.
    """

    P: float
    w2: float
    coverage: float

    def __post_init__(self) -> None:
        for name in ("P", "w2"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; it must be positive and finite")
        if not 0 <= self.coverage <= 1:
            raise ValueError(f"coverage is {self.coverage}; it must lie between 0 and 1")


@dataclass(frozen=True)
class ManyConfig:
    """One run's settings; the defaults are Table 1's. Raises ValueError where the model has no meaning."""

    circuits: tuple[Circuit, ...]
    kappa: float = 1.2
    alpha: float = 0.005
    q: int = 113
    learning_rate: float = 0.01
    penalty: str = "alpha"

    def __post_init__(self) -> None:
        for name in ("kappa", "alpha", "learning_rate"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; it must be positive and finite")
        if not self.circuits:
            raise ValueError("circuits is empty; at least one is needed")
        if not float(self.q).is_integer() or self.q <= len(self.circuits):
            raise ValueError(f"q is {self.q}; {len(self.circuits)} circuits need as many wrong labels and a right one")
        if self.penalty not in PENALTIES:
            raise ValueError(f"penalty is {self.penalty!r}; it must be one of {', '.join(PENALTIES)}")

    @property
    def decay(self) -> float:
        """The number that multiplies the squared norm."""
        return PENALTIES[self.penalty](self.alpha)


def simulate(configs: Sequence[ManyConfig], steps: int = 10_000, every: int = 1) -> pd.DataFrame:
    """Run settings with equally many circuits side by side; rows at steps 0, every, 2 every, ...

    Columns: run (place in configs), step, w_1, w_2, ..., train_loss and test_loss (nats), test_accuracy,
    parameter_norm. As in module `subweights`, a weight that a step would carry across zero stops there, and at zero the
    penalty has slope 0. Raises ValueError for unequal or no configs, FloatingPointError when a run diverges.
    """
    counts = {len(config.circuits) for config in configs}
    if len(counts) != 1:
        raise ValueError(f"configs have {sorted(counts)} circuits; all must have the same number")
    steps, every = whole("steps", steps, 0), whole("every", every, 1)
    kappa, rate, q, decay = (
        np.array([getattr(c, name) for c in configs], float) for name in ("kappa", "learning_rate", "q", "decay")
    )
    norms, second = (np.array([[getattr(c, n) for c in config.circuits] for config in configs]).T for n in ("P", "w2"))
    first, exponent, slope = np.zeros_like(second), 2 / kappa - 1, decay * 2 / kappa * norms**2  # [circuit, run]
    kept = np.arange(0, steps + 1, every)
    weights = descend(first, second, rate, q, slope, exponent, steps, every)
    if not np.isfinite(weights).all():
        run = int(np.argwhere(~np.isfinite(weights))[0, 2])
        raise FloatingPointError(f"run {run} diverged; lower its learning_rate ({configs[run]})")
    return pd.concat([_measured(c, i, kept, weights[:, :, i]) for i, c in enumerate(configs)], ignore_index=True)


def stairs(history: pd.DataFrame) -> pd.DataFrame:
    """The stretches of constant test accuracy of one run, in order. Columns: begin and end (steps), test_accuracy."""
    accuracy = history["test_accuracy"].to_numpy()
    first = np.flatnonzero(np.r_[True, accuracy[1:] != accuracy[:-1]])
    last = np.r_[first[1:], len(accuracy)] - 1
    step = history["step"].to_numpy()
    return pd.DataFrame({"begin": step[first], "end": step[last], "test_accuracy": accuracy[first]})


def leaders(history: pd.DataFrame) -> list[int]:
    """The circuits (numbered from 1) that have the largest weight of one run at some time, in the order they get it."""
    names = [name for name in history if str(name).startswith("w_")]
    w = history.loc[history["step"] > 0, names].to_numpy()
    leader = w.argmax(1) + 1
    return leader[np.r_[True, leader[1:] != leader[:-1]]].tolist()


def records(config: ManyConfig) -> list[int]:
    """The circuits (numbered from 1), fastest first, that are more efficient than every faster one.

    For kappa < q, speeds far enough apart and norms not too much alike they are the leaders in turn (chapter 14).
    """
    order = sorted(range(len(config.circuits)), key=lambda i: -config.circuits[i].w2)
    found: list[int] = []
    for i in order:
        if not found or config.circuits[i].P < config.circuits[found[-1] - 1].P:
            found.append(i + 1)
    return found


def settled(config: ManyConfig, learned: Sequence[int]) -> tuple[float, float]:
    """The total weight S and the pull F = -d train_loss / dS once the circuits `learned` (from 1) have settled.

    F is what lifts all others: while w_i is small it grows as w2_i^2/2 sinh(2 F t), t steps times the learning rate.
    Raises ValueError for circuits that the config does not have, or none.
    """
    if not learned or not all(1 <= i <= len(config.circuits) for i in learned):
        raise ValueError(f"learned is {list(learned)}; allowed are one or more of 1 to {len(config.circuits)}")
    norms = [config.circuits[i - 1].P for i in learned]
    loss = CrossEntropy(config.q)
    norm = effective_norm(norms, config.kappa)
    total = optimal_total(norm, config.kappa, 2 * config.decay, 2, loss)  # Equation 6 has alpha/2
    return total, float(np.exp(loss.log_pull(total)))


def rises(config: ManyConfig) -> list[float]:
    """Predicted steps at which each record after the first overtakes the one before it (chapter 14).

    From record i to record j, with t in steps and F from `settled` for all circuits that are no slower than i,

        t = (l + log((1 - a e^(-(m-1) l)) / (1 - a)) / (m-1)) / (2 learning_rate F),
        m = 2/kappa,  a = (P_j / P_i)^2,  l = 2 log(w2_i / w2_j).

    Derived for speeds far apart, and as if no later record came first; the time to learn the first circuit is left out.
    Raises ValueError above kappa = 2.
    """
    if config.kappa > 2:
        raise ValueError(f"kappa is {config.kappa}; it must be at most 2, above it others must pass a barrier")
    found, above, times = records(config), 2 / config.kappa - 1, [0.0]
    for i, j in pairwise(found):
        one, other = config.circuits[i - 1], config.circuits[j - 1]
        _, pull = settled(config, [k + 1 for k, c in enumerate(config.circuits) if c.w2 >= one.w2])
        a, length = (other.P / one.P) ** 2, 2 * np.log(one.w2 / other.w2)
        if above > 1e-9:
            length += (np.log1p(-a * np.exp(-above * length)) - np.log1p(-a)) / above
        else:
            length += a * length / (1 - a)
        times.append(times[-1] + float(length / (2 * config.learning_rate * pull)))
    return times[1:]


def _measured(config: ManyConfig, run: int, step: np.ndarray, w: Float[np.ndarray, "t circuit"]) -> pd.DataFrame:
    """Everything a run reports, from its weights alone."""
    norms, coverage = (np.array([getattr(c, name) for c in config.circuits]) for name in ("P", "coverage"))
    edges = np.unique(np.r_[0, coverage, 1])
    loss, accuracy = np.zeros(len(w)), np.zeros(len(w))
    for low, high in pairwise(edges):  # between two coverages all test points are alike
        right = coverage > low
        R, wrong = w[:, right].sum(1), w[:, ~right]
        odds = (config.q - 1 - wrong.shape[1]) * np.exp(-R) + np.exp(wrong - R[:, None]).sum(1)
        loss += (high - low) * np.log1p(odds)
        accuracy += (high - low) * (R > wrong.max(1, initial=0))
    columns = {"run": run, "step": step} | {f"w_{i + 1}": w[:, i] for i in range(w.shape[1])}
    columns |= {"train_loss": np.log1p((config.q - 1) * np.exp(-w.sum(1))), "test_loss": loss}
    squared = np.abs(w) ** (2 / config.kappa) * norms**2
    return pd.DataFrame(columns | {"test_accuracy": accuracy, "parameter_norm": np.sqrt(squared.sum(1))})
