"""What ends up on which axis, in which colour, and where the names stand."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb

from grokbook.plots import (
    COLOURS,
    INK,
    QUANTITIES,
    Curve,
    dots,
    draw_runs,
    label_between,
    loss_and_accuracy,
    training_curves,
)

STEPS = np.array([0, 1, 10, 100, 1000, 10_000])


def grokking(run: int, late: int = 2) -> pd.DataFrame:
    """A made-up history: train accuracy jumps at step 10, test accuracy `late` measurements later."""
    known, understood = STEPS >= 10, np.arange(len(STEPS)) >= 2 + late
    return pd.DataFrame(
        {
            "run": run,
            "step": STEPS,
            "train_accuracy": np.where(known, 1.0, 0.02),
            "test_accuracy": np.where(understood, 1.0, 0.01 * (1 + run)),
            "train_loss": 10.0 ** -np.arange(6) / (1 + run),
            "test_loss": np.where(understood, 1e-3, 8.0),
            "parameter_norm": 30 + np.arange(6) + run,
            "trig_logit": np.arange(6.0),
            "mem_logit": 5 - np.arange(6.0),
        }
    )


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_dots_are_hollow_where_a_run_was_still_moving() -> None:
    table = pd.DataFrame({"x": [1, 2, 3], "y": [0.1, 0.2, 0.3], "flat": [True, False, True]}, index=[7, 8, 9])
    _, axes = plt.subplots()
    dots(axes, table["x"], table["y"], table["flat"], COLOURS["mem"], ms=3)
    faces = {x: to_hex(line.get_markerfacecolor()) for line in axes.lines for x in line.get_xdata()}
    assert faces == {1: COLOURS["mem"].lower(), 2: "#ffffff", 3: COLOURS["mem"].lower()}
    assert {to_hex(line.get_markeredgecolor()) for line in axes.lines} == {COLOURS["mem"].lower()}
    assert {line.get_markersize() for line in axes.lines} == {3}


@pytest.mark.parametrize("name", QUANTITIES)
def test_each_curve_is_its_column_in_its_colour(name: str) -> None:
    history = pd.concat([grokking(0), grokking(1, late=3)])
    (axes,) = training_curves(history, [name]).axes
    lines = iter(axes.lines)
    for curve in QUANTITIES[name].curves:
        for run in (0, 1):
            line, one = next(lines), history[history["run"] == run].iloc[1:]
            np.testing.assert_array_equal(line.get_xdata(), STEPS[1:])
            np.testing.assert_array_equal(line.get_ydata(), one[curve.column])
            assert to_hex(line.get_color()).upper() == COLOURS[curve.role].upper()
    assert next(lines, None) is None
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", QUANTITIES[name].scale)


def test_panels_come_in_the_order_asked_for_and_share_their_steps() -> None:
    figure = training_curves(grokking(0), ["loss", "parameter_norm"], x_scale="linear")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "parameter norm"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "step"]
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    assert figure.axes[0].get_xscale() == "linear"


def test_several_runs_are_thinner_than_one() -> None:
    _, (alone, together) = plt.subplots(2)
    draw_runs(alone, grokking(0), "train_loss", "train")
    draw_runs(together, pd.concat([grokking(0), grokking(1)]), "train_loss", "train")
    assert together.lines[0].get_linewidth() < alone.lines[0].get_linewidth()
    draw_runs(alone, grokking(1), "test_loss", "test", linestyle="--")
    assert alone.lines[1].get_linestyle() == "--"


def test_a_row_for_each_history_with_losses_left_and_accuracies_right() -> None:
    figure = loss_and_accuracy({"(a) first": grokking(0), "(b) second": grokking(1)})
    left_a, right_a, left_b, right_b = figure.axes
    assert [left_a.get_title(loc="left"), left_b.get_title(loc="left")] == ["(a) first", "(b) second"]
    np.testing.assert_array_equal(left_b.lines[0].get_ydata(), grokking(1)["train_loss"][1:])
    np.testing.assert_array_equal(right_a.lines[1].get_ydata(), grokking(0)["test_accuracy"][1:])
    assert {axes.get_yscale() for axes in (left_a, left_b)} == {"log"}
    assert {axes.get_yscale() for axes in (right_a, right_b)} == {"linear"}


@pytest.mark.parametrize("upside_down", [False, True])
def test_names_stand_in_the_gap_between_two_curves(upside_down: bool) -> None:
    steps = np.geomspace(1, 1000, 61)
    gap = np.exp(-((np.log10(steps) - 2) ** 2) / 0.5)  # widest at step 100
    history = pd.DataFrame({"run": 0, "step": steps, "train": 0.5 + gap, "test": 0.5 - gap})
    if upside_down:
        history = history.rename(columns={"train": "test", "test": "train"})
    figure, axes = plt.subplots()
    one, other = Curve("train", "train", "seen"), Curve("test", "test", "unseen")
    for curve in (one, other):
        draw_runs(axes, history, curve.column, curve.role)
    axes.set_xscale("log")
    label_between(axes, history, one, other)
    figure.canvas.draw()
    heights = {}
    for text in axes.texts:
        box = text.get_window_extent().transformed(axes.transData.inverted())
        inside = (steps >= box.x0) & (steps <= box.x1)
        assert 10**1.5 < text.xy[0] < 10**2.5
        assert box.y1 < 0.5 + gap[inside].min() and box.y0 > 0.5 - gap[inside].min()
        heights[text.get_text()] = box.y0
        assert text.get_color() == INK["train" if text.get_text() == "seen" else "test"]
    assert (heights["seen"] > heights["unseen"]) is not upside_down


def test_without_both_curves_no_name_is_written() -> None:
    whole = grokking(0).assign(test_loss=np.nan, test_accuracy=np.nan)
    for history in (whole, grokking(0).head(1), grokking(0).tail(2)):
        figure = training_curves(history, ["loss", "accuracy"])
        figure.canvas.draw()
        assert [text for axes in figure.axes for text in axes.texts] == []


@pytest.mark.parametrize("role", INK)
def test_words_can_be_read_on_white(role: str) -> None:
    channels = np.array(to_rgb(INK[role]))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.5  # WCAG 1.4.3


def test_says_what_can_be_drawn() -> None:
    with pytest.raises(ValueError, match=r"quantities is \['speed'\]; it must name some of accuracy, loss"):
        training_curves(grokking(0), ["speed"])
    with pytest.raises(ValueError, match="quantities"):
        training_curves(grokking(0), [])
    with pytest.raises(ValueError, match="histories is empty"):
        loss_and_accuracy({})
