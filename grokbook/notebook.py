"""What a chapter needs from the notebook it runs in: measured numbers handed from a cell to the text.

MyST-NB's own `glue` lives in a package that Colab does not have; the format it writes is small and public, so the
chapters use this function and run anywhere.
"""

from IPython.core.formatters import format_display_data
from IPython.display import display


def glue(name: str, value: object, *, show: bool = False) -> None:
    """Store `value` under `name`, for the text to quote as {glue:text}`name`; with `show`, display it here too.

    Numbers can be formatted where they are quoted: {glue:text}`name:.2f`.
    """
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()  # a NumPy or torch scalar writes itself as np.float64(...), which no format takes
    data, _ = format_display_data(value)
    prefix = "" if show else "application/papermill.record/"
    record = {"scrapbook": {"name": name, "mime_prefix": prefix}}
    display({prefix + kind: content for kind, content in data.items()}, metadata=record, raw=True)
