"""A still picture beside a widget, for readers without JavaScript and for print.

The widgets' style sheet, which only arrives with their scripts, hides pictures of class `grokbook-still` on the screen
and the widgets on paper. So the page, JupyterLab and Colab need no style of their own.
"""

from base64 import b64encode
from html import escape
from io import BytesIO

import matplotlib.pyplot as plt
from anywidget import AnyWidget
from IPython.display import HTML, display


def show_with_still(widget: AnyWidget, figure: plt.Figure, alt: str) -> None:
    """Display `widget`, and `figure` (an SVG, described by `alt`) where the widget cannot run.

    Raises ValueError when `alt` is empty.
    """
    if not alt:
        raise ValueError("alt is empty; it must say what the figure shows")
    picture = BytesIO()
    figure.savefig(picture, format="svg", metadata={"Date": None})
    plt.close(figure)
    source = f"data:image/svg+xml;base64,{b64encode(picture.getvalue()).decode()}"
    display(widget, HTML(f'<img class="grokbook-still" style="max-width: 100%" src="{source}" alt="{escape(alt)}">'))
