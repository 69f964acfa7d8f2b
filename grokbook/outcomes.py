"""How a run trained from scratch ends, where it rests on the way, and how it leaves such a rest.

Accuracy here is accuracy on mirror-free test equations, which a memoriser that ignores the order of its inputs cannot
answer. The paper gives no definition of semi-grokking; these are ours:

    middling         accuracy between 20% and 95%
    semi-grokked     the run ends middling and has converged (module convergence: flat over a factor of four in steps)
    plateau          a stretch over which steps at least double while accuracy stays middling and within 5 points of
                     its level
    transient        a plateau that the run leaves again for an accuracy at least 10 points higher

Single measurements can fall on a spike, so accuracies are running medians of five measurements (three at the ends);
the last one is what the run ends with. Source: Sections 4.2, 5.3 and Appendix A.1.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

MIDDLING = (0.2, 0.95)
TOLERANCE = 0.05
HEIGHT = 0.05  # of a spike
OUTCOMES = ("memorised", "semi-grokked", "grokked", "moving")


class Plateau(NamedTuple):
    """From the first to the last step of a rest, and the accuracy in the middle of its range."""

    begin: int
    end: int
    level: float


def smoothed(run: pd.DataFrame) -> pd.Series:
    """The running median, over five measurements, of one run's mirror-free accuracy, in the order of its steps."""
    accuracy = run.sort_values("step")["mirror_free_accuracy"]
    return accuracy.rolling(5, center=True, min_periods=3).median()


def plateaus(run: pd.DataFrame, factor: float = 2.0) -> list[Plateau]:
    """The plateaus of one run, in order: the longest in factors of steps, then those that do not overlap it, and so on.

    run: columns step and mirror_free_accuracy. Raises ValueError unless factor > 1.
    """
    if not factor > 1:
        raise ValueError(f"factor is {factor}; it must be above 1")
    steps, accuracy = np.sort(run["step"].to_numpy()), smoothed(run).to_numpy()
    middling = (accuracy >= MIDDLING[0]) & (accuracy <= MIDDLING[1])
    found = []
    for i in np.flatnonzero(middling & (steps > 0)):
        low, high = np.minimum.accumulate(accuracy[i:]), np.maximum.accumulate(accuracy[i:])
        rests = np.logical_and.accumulate(middling[i:] & (high - low <= 2 * TOLERANCE + 1e-6))
        last = np.flatnonzero(rests).max()
        if steps[i + last] >= factor * steps[i]:
            found.append(Plateau(int(steps[i]), int(steps[i + last]), float((low[last] + high[last]) / 2)))
    chosen: list[Plateau] = []
    for plateau in sorted(found, key=lambda one: one.begin / one.end):
        if all(plateau.end < other.begin or plateau.begin > other.end for other in chosen):
            chosen.append(plateau)
    return sorted(chosen)


def first_step(run: pd.DataFrame, column: str, level: float) -> float:
    """The first measured step at which `column` is at least `level`; infinity when it never is."""
    reached = run.loc[run[column] >= level, "step"]
    return float(reached.min()) if len(reached) else np.inf


def outcomes(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each run of a table such as `results.load` returns.

    Columns: run, train_size, seed, converged; accuracy (at the end); outcome (one of OUTCOMES; "moving" is a run that
    ends below the top of the middling band and has not converged); memorised_at, left_at, half_at: the steps at which
    99% of the train equations, 20% and 50% of the mirror-free ones are first answered (infinity: never); plateaus and
    transient: how many of each.
    """
    leaving = departures(table)["run"].value_counts()
    rows = []
    for key, run in table.groupby("run", sort=False, observed=True):
        first, accuracy = run.iloc[0], float(smoothed(run).iloc[-1])
        if accuracy > MIDDLING[1]:
            outcome = "grokked"
        elif not first["converged"]:
            outcome = "moving"
        else:
            outcome = "semi-grokked" if accuracy >= MIDDLING[0] else "memorised"
        rows.append(
            {
                "run": key,
                "train_size": int(first["train_size"]),
                "seed": int(first["seed"]),
                "converged": bool(first["converged"]),
                "accuracy": accuracy,
                "outcome": outcome,
                "memorised_at": first_step(run, "train_accuracy", 0.99),
                "left_at": first_step(run, "mirror_free_accuracy", MIDDLING[0]),
                "half_at": first_step(run, "mirror_free_accuracy", 0.5),
                "plateaus": len(plateaus(run)),
                "transient": int(leaving.get(key, 0)),
            }
        )
    return pd.DataFrame(rows)


def departures(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each transient plateau. Columns: run, train_size; begin, end and level of the plateau; to: the highest
    accuracy it leads to, and arrived: when it is within 2 points of that; fall_on_plateau (over its second half in
    log-steps) and fall_after (from the end of the plateau to the arrival): -d ln(parameter norm) / d ln(step)."""
    rows = []
    for key, run in table.groupby("run", sort=False, observed=True):
        run = run.sort_values("step")
        curve, norm = smoothed(run), np.log(run.set_index("step")["parameter_norm"])
        for rest in plateaus(run):
            after = curve[run["step"] > rest.end]
            if not after.max() >= rest.level + 2 * TOLERANCE:
                continue
            arrived = int(run.loc[after.index[after >= after.max() - 0.02][0], "step"])
            middle = int(run.loc[run["step"] >= np.sqrt(rest.begin * rest.end), "step"].iloc[0])
            stretches = (middle, rest.end), (rest.end, arrived)
            falls = [float(norm[a] - norm[b]) / np.log(b / a) for a, b in stretches]
            rows.append((key, int(run["train_size"].iloc[0]), *rest, float(after.max()), arrived, *falls))
    names = ["run", "train_size", "begin", "end", "level", "to", "arrived", "fall_on_plateau", "fall_after"]
    return pd.DataFrame(rows, columns=names)


def spikes(run: pd.DataFrame) -> int:
    """How often a run that has memorised leaves its running median of mirror-free accuracy by more than HEIGHT."""
    run = run.sort_values("step")
    away = (run["mirror_free_accuracy"] - smoothed(run)).abs().gt(HEIGHT)
    away &= run["step"] >= first_step(run, "train_accuracy", 0.99)
    return int((away & ~away.shift(fill_value=False)).sum())


def loss_range(run: pd.DataFrame) -> float:
    """The 95% over the 5% quantile of one run's training loss over its last factor of four in steps."""
    late = run[run["step"] >= run["step"].max() / 4]
    low, high = np.quantile(late["train_loss"], [0.05, 0.95])
    return float(high / low)
