"""The small picture on the book's social cards: the accuracies of the first recorded run that groks."""

from pathlib import Path

from matplotlib.figure import Figure

from grokbook import results
from grokbook.plots import COLOURS


def draw_card(target: Path) -> None:
    """Write the picture, square and without words, as a PNG."""
    table = results.load("grokking")
    run = table[(table["seed"] == 0) & (table["step"] > 0)]
    figure = Figure(figsize=(2, 2), layout="constrained")
    axes = figure.subplots()
    for role in ("train", "test"):
        axes.plot(run["step"], run[f"{role}_accuracy"], color=COLOURS[role], linewidth=3)
    axes.set(xscale="log", ylim=(-0.05, 1.05))
    axes.axis("off")
    figure.savefig(target, dpi=150)
