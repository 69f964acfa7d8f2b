"""A widget's script as the browser gets it: one ES module that imports nothing."""

from pathlib import Path

HERE = Path(__file__).parent
CSS = HERE / "widgets.css"


def source(name: str) -> str:
    """The functions that all widgets share (shared.js), then those of `name`.js. Raises ValueError for no such file."""
    own = HERE / f"{name}.js"
    if name == "shared" or not own.is_file():
        there = sorted(file.stem for file in HERE.glob("*.js") if file.stem != "shared")
        raise ValueError(f"name is {name!r}; widgets are {', '.join(there)}")
    return (HERE / "shared.js").read_text(encoding="utf-8") + "\n" + own.read_text(encoding="utf-8")
