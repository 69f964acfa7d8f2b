"""The smallest model that groks: two lookup tables, four subweights, gradient descent (Section 3, Appendix C).

The logits are w_g C_gen + w_m C_mem with w_c = w_c1 w_c2, C_gen right everywhere, C_mem right on the training set and
wrong with full confidence on the test set. With q labels, S = w_g + w_m and the norm model P'_c = |w_c|^(1/kappa) P_c,

    train_loss     = log(1 + (q-1) e^-S)
    test_loss      = log(1 + (q-2) e^-w_g + e^(w_m-w_g))
    parameter_norm = sqrt(P'_g^2 + P'_m^2)
    objective      = train_loss + weight_decay,    weight_decay = PENALTIES[penalty](alpha) parameter_norm^2

and every subweight takes the step w_ci <- w_ci - learning_rate * d objective / d w_ci. Appendix C adds the weight-decay
term to both printed losses; here it has a column of its own, and the losses are the cross-entropies.

Two things the paper leaves open, and what is done here:
- At w = 0 the penalty |w|^(2/kappa) P^2 has slope 0 for kappa < 2, a kink at kappa = 2 and an infinite slope on either
  side for kappa > 2. Its slope there is taken as 0, the value symmetry gives. (Automatic differentiation of
  (w^(1/kappa) P)^2 gives 0 times infinity, which is not a number.)
- Weights stay on their side of zero: Theorem D.4 minimises over w >= 0, and no step from Table 1's settings crosses. A
  step that would cross stops at zero; for kappa > 2 it would otherwise bounce between the two infinite slopes, and
  rounding would decide where. A weight that starts negative pays |w|^(2/kappa) P^2: minus a circuit costs as much as
  the circuit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, isfinite

import numpy as np
import pandas as pd
from jaxtyping import Float

from grokbook.descent import descend, whole

PENALTIES: dict[str, Callable[[float], float]] = {
    "alpha": lambda alpha: alpha,
    "half-alpha": lambda alpha: alpha / 2,
    "as-printed": lambda alpha: 1.0,
}
"""What multiplies P'_g^2 + P'_m^2: alpha reproduces Figure 2, Equation 6 has alpha/2, Appendix C prints nothing."""


@dataclass(frozen=True)
class SubweightConfig:
    """One run's settings under the paper's names; the defaults are Table 1(a).

    P_g and P_m are the circuits' norms at weight one, w_g1 to w_m2 the subweights at step 0, q the number of labels,
    penalty a name in PENALTIES. Raises ValueError where Appendix C's formulas have no meaning.
    """

    P_g: float = 1.0
    P_m: float = 2.0
    kappa: float = 1.2
    alpha: float = 0.005
    w_g1: float = 0.0
    w_g2: float = 0.005
    w_m1: float = 0.0
    w_m2: float = 1.0
    q: int = 113
    learning_rate: float = 0.01
    penalty: str = "alpha"

    def __post_init__(self) -> None:
        for name in ("P_g", "P_m", "kappa", "alpha", "learning_rate"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; it must be positive and finite")
        for name in ("w_g1", "w_g2", "w_m1", "w_m2"):
            if not isfinite(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be finite")
        if not float(self.q).is_integer() or self.q < 2:
            raise ValueError(f"q is {self.q}; it must be a whole number of labels, 2 or more")
        if self.penalty not in PENALTIES:
            raise ValueError(f"penalty is {self.penalty!r}; it must be one of {', '.join(PENALTIES)}")

    @property
    def decay(self) -> float:
        """The number that multiplies P'_g^2 + P'_m^2."""
        return PENALTIES[self.penalty](self.alpha)


TABLE_1 = {
    "a": SubweightConfig(),
    "b": SubweightConfig(P_g=4.0),
    "c": SubweightConfig(w_g2=1.0),
}
"""The three columns of Table 1, which are the three panels of Figure 2."""


def simulate(config: SubweightConfig, steps: int = 10_000) -> pd.DataFrame:
    """Run gradient descent and return one row a step, step 0 included.

    Columns: step, w_g, w_m, train_loss and test_loss (cross-entropies in nats), parameter_norm, weight_decay (the term
    that train_loss lacks to be the objective). Raises FloatingPointError if the run diverges: lower the learning rate.
    Source: Appendix C.
    """
    exponent, rate, others = 2 / config.kappa - 1, config.learning_rate, config.q - 1
    slope_g, slope_m = (config.decay * 2 / config.kappa * norm**2 for norm in (config.P_g, config.P_m))
    g1, g2, m1, m2 = config.w_g1, config.w_g2, config.w_m1, config.w_m2
    steps = whole("steps", steps, 0)
    weights = np.full((steps + 1, 2, 1), np.nan)
    try:
        for step in range(steps + 1):
            w_g, w_m = g1 * g2, m1 * m2
            weights[step, 0, 0], weights[step, 1, 0] = w_g, w_m
            odds = others * exp(-w_g - w_m)
            pull = -odds / (1 + odds)
            g1, g2 = _moved(g1, g2, rate * (pull + _penalty_slope(w_g, slope_g, exponent)))
            m1, m2 = _moved(m1, m2, rate * (pull + _penalty_slope(w_m, slope_m, exponent)))
    except OverflowError:
        pass  # the rows left over stay NaN, which _measure reports
    return _measure([config], np.arange(steps + 1), weights).drop(columns="run")


def simulate_many(configs: Sequence[SubweightConfig], steps: int = 10_000, every: int = 100) -> pd.DataFrame:
    """Run many settings at once: simulate's columns after `run`, a setting's place in configs.

    Rows are kept at steps 0, every, 2 every, ... Raises FloatingPointError if a run diverges, and names the first.
    """
    if not configs:
        raise ValueError("configs is empty; it must hold at least one SubweightConfig")
    kappa, rate, q, decay = _columns(configs, "kappa", "learning_rate", "q", "decay")
    first, second = _columns(configs, "w_g1", "w_m1"), _columns(configs, "w_g2", "w_m2")
    exponent = 2 / kappa - 1
    slope = decay * 2 / kappa * _columns(configs, "P_g", "P_m") ** 2
    steps, every = whole("steps", steps, 0), whole("every", every, 1)
    weights = descend(first, second, rate, q, slope, exponent, steps, every)
    return _measure(configs, np.arange(0, steps + 1, every), weights)


def grokking_step(history: pd.DataFrame) -> float:
    """The first step at which the test answers turn right after being wrong, NaN if they never do.

    Every test input is answered alike: wrongly while w_m > w_g, rightly once w_g > w_m. For one run's history.
    """
    right, wrong = history.w_g > history.w_m, history.w_m > history.w_g
    turned = history.step[right & wrong.cummax()]
    return float(turned.iloc[0]) if len(turned) else float("nan")


def _penalty_slope(w: float, slope: float, exponent: float) -> float:
    if w > 0:
        return slope * w**exponent
    return -slope * (-w) ** exponent if w < 0 else 0.0


def _moved(first: float, second: float, move: float) -> tuple[float, float]:
    """One circuit's subweights after a step of `move` times each other, stopped where their product would cross 0."""
    new_first, new_second = first - move * second, second - move * first
    if new_first * new_second * first * second < 0:
        return (0.0, new_second) if new_first * first < 0 else (new_first, 0.0)
    return new_first, new_second


def _columns(configs: Sequence[SubweightConfig], *names: str) -> Float[np.ndarray, "name run"]:
    return np.array([[getattr(config, name) for config in configs] for name in names], float)


def _measure(
    configs: Sequence[SubweightConfig], step: np.ndarray, weights: Float[np.ndarray, "t 2 run"]
) -> pd.DataFrame:
    """Everything a run reports, from its weights alone: both losses and the norm do not see the subweights."""
    if not np.isfinite(weights).all():
        t, _, run = np.argwhere(~np.isfinite(weights))[0]
        raise FloatingPointError(f"run {run} diverged by step {step[t]}; lower its learning_rate ({configs[run]})")
    w_g, w_m = weights[:, 0], weights[:, 1]
    P_g, P_m, kappa, decay, q = _columns(configs, "P_g", "P_m", "kappa", "decay", "q")
    squared_norm = np.abs(w_g) ** (2 / kappa) * P_g**2 + np.abs(w_m) ** (2 / kappa) * P_m**2
    columns = {
        "run": np.broadcast_to(np.arange(len(configs)), w_g.shape),
        "step": np.broadcast_to(step[:, None], w_g.shape),
        "w_g": w_g,
        "w_m": w_m,
        "train_loss": np.log1p((q - 1) * np.exp(-w_g - w_m)),
        "test_loss": np.log1p((q - 2) * np.exp(-w_g) + np.exp(w_m - w_g)),
        "parameter_norm": np.sqrt(squared_norm),
        "weight_decay": decay * squared_norm,
    }
    return pd.DataFrame({name: values.T.ravel() for name, values in columns.items()})
