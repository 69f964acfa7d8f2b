"""For every pytest run: nbval compares the outputs of cells tagged `keep_output`, and only executes those before them.

`make book` has executed every cell already. What stands after a notebook's last kept output cannot change one, so it
runs here only when the notebook is named, as in `pytest book/07-measuring-efficiency.ipynb`.
"""

from pathlib import Path

import nbval.plugin
import pytest
from nbval.plugin import IPyNbCell

nbval.plugin.metadata_tags["keep_output"] = "check"
LONGEST = (
    "tests/test_pdf.py",
    "tests/test_sweeps.py",
    "tests/test_pages.py",
    "tests/test_accessibility.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest files first, so that no worker is left with one at the end. And kept outputs are committed without
    execution counts, which nbval would take for cells that were never run."""
    named = {Path(config.invocation_params.dir, argument.split("::")[0]).resolve() for argument in config.args}
    cells = [item for item in items if isinstance(item, IPyNbCell) and item.path.resolve() not in named]
    last = {cell.path: cell.cell_num for cell in cells if "keep_output" in cell.cell.metadata.get("tags", ())}
    after = [cell for cell in cells if cell.cell_num > last.get(cell.path, -1)]
    config.hook.pytest_deselected(items=after)
    order = {name: place for place, name in enumerate(LONGEST)}
    left_out = set(after)
    kept = [item for item in items if item not in left_out]
    items[:] = sorted(kept, key=lambda item: order.get(item.nodeid.split("::")[0], len(order)))
    for item in items:
        if isinstance(item, IPyNbCell) and item.cell.outputs:
            item.cell.execution_count = 1
