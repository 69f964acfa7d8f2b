"""A record made in sessions, the earlier sessions' files gone, equals one made at once."""

import json
from pathlib import Path

import pandas as pd
import pytest
from test_results import RUNS, TINY

from grokbook import record, results, runs
from grokbook.batches import run_here


def test_every_record_can_be_taken_up_again() -> None:
    # With all of its runs kept a table may come as parquet's own columns, which cannot be written to.
    names = results.names("")
    assert "ungrokking" in names and len(names) > 10
    for name in names:
        kept = record.earlier(name, record.DATA, results.recorded(name))
        assert kept.states.keys() == results.recorded(name)
        rowless = kept.states.keys() - set(kept.table["run"])
        assert all(kept.states[key]["state"] == "diverged" for key in rowless), name


def test_runs_recorded_before_are_kept_when_their_files_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_here(RUNS, whole / "runs")
    record.record(TINY, "small", whole / "runs", whole / "data")
    for session in (RUNS[:1], RUNS[1:3], RUNS[3:]):
        folder = parts / session[0].key
        for config in {c for run in session for c in (run, run.start)}:
            runs.save(folder, runs.load(whole / "runs", config))
        record.record(TINY, "small", folder, parts / "data")
    key = {"by": ["run", "step"], "ignore_index": True}
    tables = [pd.read_parquet(p / "data" / "tiny.parquet").astype({"run": str}) for p in (whole, parts)]
    pd.testing.assert_frame_equal(*[t.sort_values(**key) for t in tables], check_categorical=False)
    at_once, in_parts = (json.loads((p / "data" / "tiny.json").read_text()) for p in (whole, parts))
    assert {**at_once, "recorded": ""} == {**in_parts, "recorded": ""}
    monkeypatch.setattr(results, "files", lambda _: parts)
    assert results.recorded("tiny") == {c.key for run in RUNS for c in (run, run.start)}
    assert results.recorded("nothing") == set()
