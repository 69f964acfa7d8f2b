"""For every pytest run: nbval compares the outputs of cells tagged `keep_output`, and only executes the others.

A notebook without such a cell has nothing to compare, and `make book` executes it already; here it runs only when it is
named, as in `pytest book/07-measuring-efficiency.ipynb`.
"""

from pathlib import Path

import nbformat
import nbval.plugin
import pytest

nbval.plugin.metadata_tags["keep_output"] = "check"
LONGEST = (
    "tests/test_pdf.py",
    "book/11-trading-norm.ipynb",
    "book/09-other-tasks.ipynb",
    "tests/test_sweeps.py",
    "tests/test_pages.py",
    "tests/test_accessibility.py",
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """True for a notebook that keeps no output and is not named; None leaves the decision to others."""
    named = [Path(config.invocation_params.dir, argument.split("::")[0]) for argument in config.args]
    if collection_path.suffix != ".ipynb" or collection_path in named:
        return None
    notebook = nbformat.read(collection_path, as_version=4)
    return None if any("keep_output" in cell.metadata.get("tags", ()) for cell in notebook.cells) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no worker is left with one at the end. And kept outputs are committed without
    execution counts, which nbval would take for cells that were never run."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.nodeid.split("::")[0], len(order)))
    for item in items:
        if isinstance(item, nbval.plugin.IPyNbCell) and item.cell.outputs:
            item.cell.execution_count = 1
