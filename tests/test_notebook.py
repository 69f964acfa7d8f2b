"""What chapters hand to their text, and what they say about recorded runs."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from grokbook import results
from grokbook.notebook import glue, short, sources


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """What a notebook's cells run in. It puts itself in the place of the main module, which is given back."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def glued(name: str, value: object) -> dict[str, Any]:
    """What `glue` leaves in a notebook, by mime type without the prefix."""
    with capture_output() as captured:
        glue(name, value)
    assert captured.stdout == captured.stderr == ""
    (output,) = captured.outputs
    prefix = output.metadata["scrapbook"]["mime_prefix"]
    assert output.metadata == {"scrapbook": {"name": name, "mime_prefix": "application/papermill.record/"}}
    assert all(kind.startswith(prefix) for kind in output.data), "a page would show it where it is glued"
    return {kind.removeprefix(prefix): content for kind, content in output.data.items()}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.25, "0.25"),
        (np.float64(0.25), "0.25"),
        (np.float32(0.25), "0.25"),
        (np.int64(7), "7"),
        (np.array(7), "7"),
        (torch.tensor(0.25), "0.25"),
        (np.bool_(True), "True"),
        ("4, 5", "'4, 5'"),
    ],
)
def test_a_scalar_is_glued_as_a_plain_number(shell: InteractiveShell, value: object, text: str) -> None:
    assert glued("00-some", value) == {"text/plain": text}


def test_what_is_no_scalar_is_glued_as_it_shows_itself(shell: InteractiveShell) -> None:
    assert glued("00-list", np.arange(3))["text/plain"] == "array([0, 1, 2])"


def test_a_commit_is_cut_to_ten_digits_and_keeps_its_mark() -> None:
    digits = "0123456789abcdef0123456789abcdef01234567"
    assert (short(digits), short(digits + "+"), short("unknown")) == ("0123456789", "0123456789+", "unknown")


@pytest.mark.parametrize("name", ["grokking", "grokking-medium", "ungrokking"])
def test_sources_say_which_code_made_the_runs_and_how_to_run_one_again(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sources(name)
    shown, made = capsys.readouterr().out, results.provenance(name)
    assert shown.startswith(f"{name}: ")
    commits = re.findall(r"\b[0-9a-f]{10}\b\+?", next(line for line in shown.splitlines() if "code at commit" in line))
    recorded = {origin["commit"] for origin in made["origins"]}
    assert set(commits) == {commit[:10] + ("+" if commit.endswith("+") else "") for commit in recorded}
    assert len(commits) == len(recorded)
    (key,) = re.findall(rf"grokbook rerun {name} (\S+)$", shown, flags=re.M)
    assert key in results.recorded(name) and results.config(name, key).key == key
    assert made["recorded"][:10] in shown and all(origin["machine"] in shown for origin in made["origins"])
    assert all(f"{count} {state}" in shown for state, count in made["runs_by_state"].items())


def test_sources_are_printed_in_the_order_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    sources("ungrokking", "grokking")
    assert re.findall(r"^(\S+): ", capsys.readouterr().out, flags=re.M) == ["ungrokking", "grokking"]


def test_sources_of_what_has_no_record_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        sources("nothing")
