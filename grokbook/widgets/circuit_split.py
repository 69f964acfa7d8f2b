"""Theorem D.4 under the reader's hands: which of two circuits gets the weight (chapter 04).

The drawing and its optimum are computed in circuit_split.js, in the browser, so the widget is alive in a page without
a kernel. In a live kernel the four settings are ordinary traits, and `weights` is the optimum by `grokbook.theory`.
"""

import anywidget
import numpy as np
import traitlets
from jaxtyping import Float

from grokbook.theory import optimal_weights
from grokbook.widgets.source import CSS, source


class CircuitSplit(anywidget.AnyWidget):
    """Sliders for kappa, q, P_G/P_M (P_M = 1) and alpha; the loss over the split, and the best share, redrawn."""

    _esm = source("circuit_split")
    _css = CSS

    kappa = traitlets.Float(1.2, min=0.2, max=4).tag(sync=True)
    q = traitlets.Float(2.0, min=0.5, max=4).tag(sync=True)
    ratio = traitlets.Float(0.5, min=0.25, max=4, help="P_G / P_M").tag(sync=True)
    alpha = traitlets.Float(0.01, min=1e-5, max=10).tag(sync=True)

    @property
    def weights(self) -> Float[np.ndarray, " circuit"]:
        """The optimal (w_gen, w_mem) at the present settings, with cross-entropy over 113 labels."""
        return optimal_weights([self.ratio, 1.0], self.kappa, self.alpha, self.q)
