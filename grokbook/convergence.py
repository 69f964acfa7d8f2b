"""When a run counts as converged; the paper never says.

Take the last factor of four of training, steps T/4 to T, and halve it in log-time: T/4 to T/2, and T/2 to T. The run
has converged if between the two halves

    the mean of ln(train loss) moved by less than 0.25,
    the mean parameter norm moved by less than 2% of itself,
    the mean test accuracy moved by less than 0.02.

Means over halves let Adam's occasional spikes pass and catch a slow drift. A run without test equations is judged by
the first two. Nothing measured up to T can rule out a change after T: "converged" here means flat for a factor of four.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

TOLERANCE = {"log_train_loss": 0.25, "parameter_norm": 0.02, "test_accuracy": 0.02}


class Drift(NamedTuple):
    """How far each quantity moved between the two halves: absolute, relative, absolute; nan where not measured."""

    log_train_loss: float
    parameter_norm: float
    test_accuracy: float

    @property
    def converged(self) -> bool:
        """Whether all are within tolerance; what was never measured does not count."""
        return all(not abs(value) >= TOLERANCE[name] for name, value in self._asdict().items())


def drift(history: pd.DataFrame) -> Drift:
    """The drift of one run from its history (columns step, train_loss, parameter_norm, test_accuracy).

    Raises ValueError when a half of the last factor of four holds no measurement.
    """
    last = history["step"].max()
    early = history[(history["step"] >= last / 4) & (history["step"] < last / 2)]
    late = history[history["step"] >= last / 2]
    if early.empty or last == 0:
        raise ValueError(f"history has no measurement between steps {last / 4:g} and {last / 2:g}; log more steps")
    tiny = np.finfo(np.float32).tiny
    logs = [np.log(half["train_loss"].clip(lower=tiny)).mean() for half in (early, late)]
    norms, accuracies = ([half[name].mean() for half in (early, late)] for name in ("parameter_norm", "test_accuracy"))
    return Drift(float(logs[1] - logs[0]), float(norms[1] / norms[0] - 1), float(accuracies[1] - accuracies[0]))


def stopped(table: pd.DataFrame, steps: int) -> pd.DataFrame:
    """A table such as `results.load` returns as it would be had every run stopped at its last measurement up to
    `steps`: later rows are gone, and `converged` is judged afresh.

    Raises ValueError when `drift` cannot judge a run that has so few steps.
    """
    early = table[table["step"] <= steps]
    flat = {key: drift(run).converged for key, run in early.groupby("run", observed=True)}
    return early.assign(converged=early["run"].map(flat).astype(bool))
