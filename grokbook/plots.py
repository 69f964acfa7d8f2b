"""One look for the whole book: fixed colours for fixed roles, and figure functions from DataFrames.

Colours are Okabe and Ito's, which stay apart under the common colour deficiencies. Figures are drawn on white; the
book's style sheet turns them for dark mode by inverting lightness and keeping hue.
"""

import matplotlib as mpl
import matplotlib.pyplot as plt

COLOURS = {
    "gen": "#0072B2",
    "mem": "#D55E00",
    "train": "#009E73",
    "test": "#CC79A7",
    "norm": "#555555",
    "theory": "#E69F00",
}
"""The role of a curve to its colour, the same on every page."""

STYLE = {
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


def label_line(axes: plt.Axes, text: str, x: float, y: float, role: str, **options: object) -> None:
    """Write `text` beside a curve in the colour of its `role`, in place of a legend entry."""
    axes.annotate(text, (x, y), xytext=(4, 0), textcoords="offset points", color=COLOURS[role], va="center", **options)
