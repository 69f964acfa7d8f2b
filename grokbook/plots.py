"""One look for the whole book: fixed colours for fixed roles, and figure functions from DataFrames.

Colours are Okabe and Ito's, which stay apart under the common colour deficiencies. Figures are drawn on white; the
book's style sheet turns them for dark mode by inverting lightness and keeping hue.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "gen": "#0072B2",
    "mem": "#D55E00",
    "train": "#009E73",
    "test": "#CC79A7",
    "norm": "#555555",
    "theory": "#E69F00",
}
"""The role of a curve to its colour, the same on every page."""
INK = COLOURS | {"mem": "#B94F00", "train": "#007A59", "test": "#A3477C", "theory": "#8A5F00"}
"""The role of a curve to the colour of the words beside it: dark enough to be read on white (WCAG 1.4.3)."""

STYLE: dict[Any, Any] = {
    "figure.figsize": (6.4, 3.6),
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "savefig.facecolor": "white",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "grokbook",
}


def use_style() -> None:
    """Set the book's matplotlib style, and SVG as the notebook's figure format. Called once at the top of a chapter."""
    mpl.rcParams.update(STYLE)
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    set_matplotlib_formats("svg", metadata={"Date": None})


def label_line(axes: plt.Axes, text: str, x: float, y: float, role: str, **options: Any) -> None:
    """Write `text` beside a curve in the colour of its `role`, in place of a legend entry."""
    axes.annotate(text, (x, y), xytext=(4, 0), textcoords="offset points", color=INK[role], va="center", **options)


def dots(axes: Axes, x: Any, y: Any, converged: Any, colour: Any, **options: Any) -> None:
    """A dot a run: filled where the run has converged (module `convergence`), hollow where it was still moving.

    x, y, converged: sequences with an entry a run. options: matplotlib's, for all of them.
    """
    x, y, flat = np.asarray(x), np.asarray(y), np.asarray(converged, dtype=bool)
    for which, face in ((~flat, "white"), (flat, colour)):
        look = {"ls": "", "marker": "o", "ms": 4, "color": colour, "markerfacecolor": face} | options
        axes.plot(x[which], y[which], **look)


@dataclass(frozen=True)
class Curve:
    """A column of a history, the role whose colour it takes, and the words beside it."""

    column: str
    role: str
    text: str


@dataclass(frozen=True)
class Quantity:
    """What one panel shows: its curves, the words at its axis, and the axis' scale."""

    label: str
    scale: str  # "linear" or "log"
    curves: tuple[Curve, ...]


QUANTITIES = {
    "accuracy": Quantity(
        "accuracy", "linear", (Curve("train_accuracy", "train", "train"), Curve("test_accuracy", "test", "test"))
    ),
    "loss": Quantity("loss", "log", (Curve("train_loss", "train", "train"), Curve("test_loss", "test", "test"))),
    "parameter_norm": Quantity("parameter norm", "linear", (Curve("parameter_norm", "norm", ""),)),
    "logits": Quantity(
        "correct logit",
        "linear",
        (Curve("trig_logit", "gen", "trigonometric"), Curve("mem_logit", "mem", "the rest")),
    ),
}
"""The panels that `training_curves` can draw, by name."""


def training_curves(
    history: pd.DataFrame, quantities: Sequence[str] = ("accuracy", "loss", "parameter_norm"), x_scale: str = "log"
) -> Figure:
    """One panel a quantity, one below the other, over the training steps they share.

    history: columns run, step and those the quantities name. Several runs are thin lines of one colour.
    Raises ValueError for a quantity that is not in QUANTITIES. Source: the look of Figures 1 and 9.
    """
    unknown = [name for name in quantities if name not in QUANTITIES]
    if unknown or not quantities:
        raise ValueError(f"quantities is {list(quantities)}; it must name some of {', '.join(QUANTITIES)}")
    size = (5.0, 1.8 * len(quantities) + 0.5)
    figure, rows = plt.subplots(len(quantities), sharex=True, squeeze=False, figsize=size)
    for axes, name in zip(rows[:, 0], quantities, strict=True):
        draw_quantity(axes, history, QUANTITIES[name], x_scale)
    rows[-1, 0].set_xlabel("step")
    return figure


def loss_and_accuracy(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """A row for each history, its losses on the left and its accuracies on the right; the row's name is above it.

    Raises ValueError when there are no histories. Source: the three panels of Figure 1.
    """
    if not histories:
        raise ValueError("histories is empty; at least one is needed")
    size = (5.4, 2.3 * len(histories) + 0.3)
    figure, rows = plt.subplots(len(histories), 2, squeeze=False, figsize=size)
    for (left, right), (title, history) in zip(rows, histories.items(), strict=True):
        draw_quantity(left, history, QUANTITIES["loss"])
        draw_quantity(right, history, QUANTITIES["accuracy"])
        left.set_title(title, loc="left", fontsize="medium", fontweight="bold")
    for axes in rows[-1]:
        axes.set_xlabel("step")
    return figure


def draw_quantity(axes: Axes, history: pd.DataFrame, quantity: Quantity, x_scale: str = "log") -> None:
    """Draw all curves of a quantity, and write the names of a pair where there is room between the two."""
    for curve in quantity.curves:
        draw_runs(axes, history, curve.column, curve.role)
    axes.set(xscale=x_scale, yscale=quantity.scale, ylabel=quantity.label)
    if quantity.label == "accuracy":
        axes.set(ylim=(-0.04, 1.06), yticks=[0, 0.5, 1])
    if len(quantity.curves) == 2:
        label_between(axes, history, *quantity.curves)


def draw_runs(axes: Axes, history: pd.DataFrame, column: str, role: str, **options: Any) -> None:
    """One line a run of `column` over step, in the colour of its role; thin lines when there are several runs.

    Step 0 has no place on a logarithmic axis and is left out, whatever the axis.
    """
    shown = history[history["step"] > 0]
    several = shown["run"].nunique() > 1
    weight = {"linewidth": 1.0, "alpha": 0.8} if several else {}
    for _, run in shown.groupby("run", observed=True):
        axes.plot(run["step"].to_numpy(), run[column].to_numpy(), color=COLOURS[role], **(weight | options))


def label_between(axes: Axes, history: pd.DataFrame, one: Curve, other: Curve) -> None:
    """Write the names of two curves into the widest gap between them, over all runs and the width of a word; nowhere
    when no stretch of that width has both of them."""
    shown = history[history["step"] > 0]
    if shown.empty:
        return
    to_screen = axes.transScale.transform
    steps = shown["step"].to_numpy(float)
    place, _ = to_screen(np.column_stack([steps, np.ones_like(steps)])).T
    inches = axes.bbox.width / axes.figure.dpi
    half_a_word = max(0.09, 0.25 / inches) * (place.max() - place.min())  # a quarter of an inch, or more
    best = (-np.inf, 0.0, 0.0, 0.0, one, other)
    for centre in np.unique(place[(place >= place.min() + half_a_word) & (place <= place.max() - half_a_word)]):
        near = shown[np.abs(place - centre) <= half_a_word]
        for upper, lower in ((one, other), (other, one)):
            floor, ceiling = near[upper.column].min(), near[lower.column].max()
            gap = np.diff(to_screen([[1, ceiling], [1, floor]])[:, 1]).item()
            if gap > best[0]:
                best = (gap, steps[place == centre][0], floor, ceiling, upper, lower)
    gap, step, floor, ceiling, upper, lower = best
    if not np.isfinite(gap):
        return
    for curve, height, up in ((upper, floor, -1), (lower, ceiling, 1)):
        axes.annotate(
            curve.text,
            (step, height),
            xytext=(0, 3 * up),
            textcoords="offset points",
            ha="center",
            va="bottom" if up > 0 else "top",
            color=INK[curve.role],
        )
