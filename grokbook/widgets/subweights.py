"""The subweight simulation to play with: Table 1 as sliders, the three ingredients as switches (chapter 05).

The simulation runs in the browser (subweights.js), so the widget is alive in a page without a kernel. In a live kernel
every setting is a trait that follows the sliders, and `config` and `history` carry on from there in Python.
"""

from dataclasses import asdict, fields

import anywidget
import matplotlib.pyplot as plt
import pandas as pd
import traitlets

from grokbook.plots import COLOURS
from grokbook.subweights import PENALTIES, TABLE_1, SubweightConfig, simulate
from grokbook.widgets.source import CSS, source


class Subweights(anywidget.AnyWidget):
    """Section 3's simulation, starting at the settings of `config`; `config` and `history` are what is on show."""

    _esm = source("subweights")
    _css = CSS

    P_g = traitlets.Float().tag(sync=True)
    P_m = traitlets.Float().tag(sync=True)
    kappa = traitlets.Float().tag(sync=True)
    alpha = traitlets.Float().tag(sync=True)
    w_g1 = traitlets.Float().tag(sync=True)
    w_g2 = traitlets.Float().tag(sync=True)
    w_m1 = traitlets.Float().tag(sync=True)
    w_m2 = traitlets.Float().tag(sync=True)
    q = traitlets.Int().tag(sync=True)
    learning_rate = traitlets.Float().tag(sync=True)
    penalty = traitlets.Enum(list(PENALTIES)).tag(sync=True)
    steps = traitlets.Int(10_000, min=100, max=100_000).tag(sync=True)

    def __init__(self, config: SubweightConfig = TABLE_1["a"], steps: int = 10_000) -> None:
        super().__init__(**asdict(config), steps=steps)

    @property
    def config(self) -> SubweightConfig:
        """The settings as they stand. Raises ValueError if a trait was set to what SubweightConfig refuses."""
        return SubweightConfig(**{field.name: getattr(self, field.name) for field in fields(SubweightConfig)})

    @property
    def history(self) -> pd.DataFrame:
        """The run on show, by `grokbook.subweights.simulate`."""
        return simulate(self.config, self.steps)


def still(history: pd.DataFrame, optimum: tuple[float, float]) -> plt.Figure:
    """Draw one run as the widget does: curves on Figure 2's axes beside the phase portrait.

    history is simulate's DataFrame, optimum the (w_g, w_m) of Theorem D.4.
    """
    figure, (left, phase) = plt.subplots(1, 2, figsize=(6.4, 3.2), width_ratios=(1.45, 1))
    right = left.twinx()
    right.spines["right"].set_visible(True)
    right.grid(False)
    steps = history.step / 1000
    for name, role, label in (("train_loss", "train", "train loss"), ("test_loss", "test", "test loss")):
        left.semilogy(steps, history[name], color=COLOURS[role], label=label)
    columns = (("w_g", "gen", "$w_G$"), ("w_m", "mem", "$w_M$"), ("parameter_norm", "norm", "norm"))
    for name, role, label in columns:
        right.plot(steps, history[name], "--" if name != "parameter_norm" else ":", color=COLOURS[role], label=label)
    left.set(xlabel="steps / 1000", ylabel="loss (solid)", ylim=(1e-2, 12))
    right.set(ylabel="weights, norm (broken)", ylim=(0, max(10.5, 1.05 * history.parameter_norm.max())))
    figure.legend(loc="outside upper center", ncols=5, fontsize=9, handlelength=1.6, columnspacing=1.0)

    edge = 1.12 * max(*optimum, history.w_g.max(), history.w_m.max())
    phase.plot([0, edge], [0, edge], ":", color=COLOURS["norm"], linewidth=1)
    phase.plot(history.w_m, history.w_g, color=COLOURS["gen"])
    phase.plot(optimum[1], optimum[0], "D", color=COLOURS["theory"], markeredgecolor="black", zorder=3)
    phase.annotate("optimum", optimum[::-1], xytext=(9, 0), textcoords="offset points", va="center", fontsize=9)
    phase.set(xlabel="$w_M$", ylabel="$w_G$", xlim=(0, edge), ylim=(0, edge), aspect="equal")
    for axis in (phase.xaxis, phase.yaxis, left.xaxis):
        axis.set_major_locator(plt.MaxNLocator(5, integer=True))
    return figure
