"""A record made in sessions, the earlier sessions' files gone, equals one made at once."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from test_results import RUNS, TINY

from grokbook import record, results, runs
from grokbook.batches import run_here, with_starts
from grokbook.experiments import Experiment
from grokbook.model import ModelConfig
from grokbook.training import TrainConfig


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
    assert not list((whole / "data").glob(".*"))
    monkeypatch.setattr(results, "files", lambda _: parts)
    assert results.recorded("tiny") == {c.key for run in RUNS for c in (run, run.start)}
    assert results.recorded("nothing") == set()


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A folder with runs of known cost and their record."""
    run_here(RUNS, tmp_path / "runs")
    for config in with_starts(RUNS):
        runs.save(tmp_path / "runs", replace(runs.load(tmp_path / "runs", config), seconds=1800.0))
    record.record(TINY, "small", tmp_path / "runs", tmp_path / "data")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_start_that_becomes_a_run_of_the_list_is_one(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.path(recorded / "runs", RUNS[0].start).unlink()
    longer = replace(TINY, scales={"small": lambda: [*RUNS, RUNS[0].start]})
    record.record(longer, "small", recorded / "runs", recorded / "data")
    monkeypatch.setattr(results, "files", lambda _: recorded)
    assert RUNS[0].start.key in set(results.load("tiny")["run"])


def test_hours_and_pace_are_sums_over_runs(recorded: Path) -> None:
    made = json.loads((recorded / "data" / "tiny.json").read_text())
    assert made["worker_hours"] == (4 + 2) * 0.5
    assert made["steps_per_second"] == pytest.approx((4 * 80 + 2 * 50) / (6 * 1800), abs=0.005)


def test_what_a_list_no_longer_has_is_dropped_only_when_asked(recorded: Path) -> None:
    before, data = contents(recorded / "data"), recorded / "data"
    other = Experiment("tiny", "none", "", {"paper": lambda: RUNS, "small": lambda: RUNS[1:]}, keeps_network=True)
    for scale, words in (("paper", "with 0 runs"), ("small", "with 1 runs that are not of this list")):
        with pytest.raises(ValueError, match=f"scale is '{scale}'; tiny is on record at scale 'small', {words}"):
            record.record(other, scale, recorded / "runs", data)
    assert contents(data) == before
    runs.path(recorded / "runs", RUNS[1]).unlink()
    record.record(other, "small", recorded / "runs", data, drop=True)
    assert set(contents(data)) == {"tiny.parquet", "tiny.json"}  # the network was that of RUNS[0]
    states = {run["key"]: run["state"] for run in json.loads((data / "tiny.json").read_text())["runs"]}
    assert states.keys() == {config.key for config in with_starts(RUNS[1:])} and "missing" not in states.values()
    record.record(other, "small", recorded / "runs", data)  # nothing is lost any more


def test_a_record_that_cannot_be_finished_changes_nothing(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, order = contents(recorded / "data"), []
    with monkeypatch.context() as broken:
        broken.setattr(record, "save_file", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space left"):
            record.record(TINY, "small", recorded / "runs", recorded / "data")
    assert contents(recorded / "data") == before
    move = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: order.append(Path(new).suffix) or move(old, new))
    record.record(TINY, "small", recorded / "runs", recorded / "data")
    assert order == [".parquet", ".safetensors", ".json"]


def test_key_frequencies_that_float32_cannot_hold_are_refused(recorded: Path) -> None:
    config = TrainConfig("add", 53, 2000, 60, model=ModelConfig(8, 4, 16))
    (run,) = run_here([config])
    runs.save(recorded / "new", replace(run, history=run.history.assign(key_mask=float(2**25 + 1))))
    wide = Experiment("wide", "none", "", {"small": lambda: [config]})
    with pytest.raises(ValueError, match=r"modulus is 53; key_mask .* exact only up to 49"):
        record.record(wide, "small", recorded / "new", recorded / "data")
