"""The recorded ungrokking runs to leaf through (chapter 08): choose one, and move through its training.

The runs travel with the widget, thinned in log-time and rounded to 16 bits a number, and are drawn in the browser by
ungrokking.js, so the widget is alive in a page without a kernel. In a live kernel the choice is a set of ordinary
traits, and `run` is the chosen run's history as recorded.
"""

from base64 import b64encode

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import traitlets

from grokbook.plots import COLOURS, dots
from grokbook.results import last_rows
from grokbook.widgets.source import CSS, source

COLUMNS = (
    "test_accuracy",
    "mirror_free_accuracy",
    "train_accuracy",
    "parameter_norm",
    "trig_logit",
    "mem_logit",
)
ROWS = 60


class Ungrokking(anywidget.AnyWidget):
    """Explorer over a table of ungrokking runs such as `results.load` returns, starting with the named one."""

    _esm = source("ungrokking")
    _css = CSS

    data = traitlets.Dict().tag(sync=True)
    size = traitlets.Int(help="D', pairs kept").tag(sync=True)
    weight_decay = traitlets.Float().tag(sync=True)
    seed = traitlets.Int().tag(sync=True)
    row = traitlets.Int(min=0, help="number of the packed row at the cursor").tag(sync=True)

    def __init__(self, table: pd.DataFrame, size: int, weight_decay: float = 1.0, seed: int = 0) -> None:
        table = table.assign(weight_decay=table["weight_decay"].astype(float).round(6))  # float32's 0.1 is 0.1 again
        super().__init__(data=pack(table), size=size, weight_decay=weight_decay, seed=seed)
        self._table = table
        self.row = len(thinned(self.run)) - 1

    @property
    def run(self) -> pd.DataFrame:
        """The rows of the chosen run. Raises ValueError if no run has these settings."""
        chosen = {"train_size": self.size, "weight_decay": self.weight_decay, "seed": self.seed}
        rows = self._table[(self._table[list(chosen)] == list(chosen.values())).all(axis=1)]
        if rows.empty:
            raise ValueError(f"the choice is {chosen}; the table has no such run")
        return rows


def thinned(run: pd.DataFrame) -> pd.DataFrame:
    """At most `ROWS` rows of one run's history, evenly by position (so in log-time), the ends always."""
    places = np.linspace(0, len(run) - 1, min(ROWS, len(run))).round().astype(int)
    return run.iloc[np.unique(places)]


def pack(table: pd.DataFrame) -> dict:
    """The table as the browser gets it: `runs` [size, decay, seed, number of its grid, converged], `grids` of steps,
    and for each of `COLUMNS` its range and, run after run, values as 16-bit little-endian fractions of it, in base64.

    Raises ValueError when a number is not finite or two runs have the same settings.
    """
    if not np.isfinite(table[list(COLUMNS)].to_numpy(float)).all():
        raise ValueError("table holds numbers that are not finite; the explorer has no place for them")
    parts = [thinned(rows) for _, rows in table.groupby("run", sort=False, observed=True)]
    grids: list[list[int]] = []
    runs: list[list[float]] = []
    for rows in parts:
        steps, first = rows["step"].tolist(), rows.iloc[0]
        if steps not in grids:
            grids.append(steps)
        settings = [int(first["train_size"]), float(first["weight_decay"]), int(first["seed"])]
        if any(settings == run[:3] for run in runs):
            raise ValueError(f"table has two runs of train_size, weight_decay, seed {settings}; one is allowed")
        runs.append([*settings, grids.index(steps), int(first["converged"])])
    columns = {}
    for name in COLUMNS:
        values = np.concatenate([rows[name].to_numpy(float) for rows in parts])
        low, high = float(values.min()), float(values.max())
        fractions = ((values - low) / ((high - low) or 1) * 65535).round().astype("<u2")
        columns[name] = {
            "low": low,
            "high": high,
            "values": b64encode(fractions.tobytes()).decode(),
        }
    return {"runs": runs, "grids": grids, "columns": columns}


CURVES = {
    "accuracy": (
        ("train_accuracy", "train", "-", "train"),
        ("mirror_free_accuracy", "test", "--", "mirror-free"),
        ("test_accuracy", "test", "-", "test"),
    ),
    "correct logit": (("trig_logit", "gen", "-", "trigonometric"), ("mem_logit", "mem", "-", "the rest")),
    "norm": (("parameter_norm", "norm", "-", "norm"),),
}
"""What the panels show: for each curve its column, role, line style and name."""


def still(table: pd.DataFrame, run: pd.DataFrame) -> plt.Figure:
    """What the widget shows of `run` at its end: its curves, and the final test accuracies of all runs of `table`, with
    hollow dots for those still moving."""
    names = list(CURVES)
    figure, axes = plt.subplot_mosaic([[name, "map"] for name in names], width_ratios=(1.5, 1), figsize=(6.4, 4.4))
    later, end = run[run["step"] > 0], run.iloc[[-1]]
    for name, curves in CURVES.items():
        for column, role, style, label in curves:
            axes[name].semilogx(later["step"], later[column], style, color=COLOURS[role], label=label)
            dots(axes[name], end["step"], end[column], end["converged"], COLOURS[role])
        axes[name].set_ylabel(name)
        axes[name].tick_params(labelbottom=name == names[-1])
        if len(curves) > 1:
            axes[name].legend(fontsize=8)
    axes[names[-1]].set_xlabel("steps after the cut")
    last = last_rows(table)
    here = last[last["run"] == run["run"].iloc[0]]
    dots(axes["map"], last["train_size"], last["test_accuracy"], last["converged"], COLOURS["test"], alpha=0.4)
    axes["map"].set_xscale("log")
    axes["map"].plot(here["train_size"], here["test_accuracy"], "o", color="black", fillstyle="none", markersize=9)
    axes["map"].set(xlabel="pairs kept $D'$", title="final test accuracy", ylim=(-0.04, 1.04))
    sizes = np.unique(last["train_size"])
    axes["map"].set_xticks(sizes[:: -(-len(sizes) // 5)], sizes[:: -(-len(sizes) // 5)])
    axes["map"].minorticks_off()
    return figure
