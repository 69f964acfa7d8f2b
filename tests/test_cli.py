from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from grokbook import record, results
from grokbook.batches import run_here
from grokbook.cli import app
from grokbook.experiments import EXPERIMENTS, Experiment
from grokbook.model import ModelConfig
from grokbook.runs import load
from grokbook.training import TrainConfig

RUN = TrainConfig("add", 7, 20, 60, model=ModelConfig(8, 4, 16))
run = CliRunner().invoke


def test_train_shows_rows_and_how_it_ended() -> None:
    small = "--modulus 7 --train-size 30 --steps 40 --d-model 8 --d-head 4 --d-mlp 16".split()
    result = run(app, ["train", "add", *small])
    assert result.exit_code == 0, result.output
    assert "add mod 7" in result.output
    assert "After 40 steps: train accuracy" in result.output


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train add --train-size 5000", "train_size is 5000"),
        ("train cube", "task is 'cube'"),
        ("train add --d-head 7", "d_head is 7"),
        ("sweep nothing", "is not an experiment"),
        ("sweep grokking-medium --scale live", "scale is 'live'"),
        ("record ungrokking-113 --scale paper", "scale is 'paper'"),
        ("rerun nothing 12", "name is 'nothing'"),
    ],
)
def test_bad_input_is_named(command: str, message: str) -> None:
    result = run(app, command.split(), env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert message in result.output


def test_experiments_lists_every_one() -> None:
    output = run(app, ["experiments"]).output
    assert all(f"{name}: " in output for name in EXPERIMENTS)


def test_record_and_rerun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment("tiny", "none", "For tests.", {"small": lambda: [RUN]})
    monkeypatch.setitem(EXPERIMENTS, "tiny", experiment)
    monkeypatch.setattr(record, "DATA", tmp_path / "data")
    monkeypatch.setattr(results, "files", lambda _: tmp_path)
    run_here([RUN], tmp_path / "runs")
    result = run(app, ["record", "tiny", "--runs-dir", str(tmp_path / "runs")])
    assert result.exit_code == 0, result.output
    assert "tiny.parquet" in result.output
    again = run(app, ["rerun", "tiny", RUN.key[:6], "--steps", "30"], env={"COLUMNS": "300"})
    assert again.exit_code == 0, again.output
    assert again.output.rstrip().endswith("at every recorded step.")
    sweep = ["sweep", "tiny", "--scale", "small", "--workers", "1", "--runs-dir", str(tmp_path / "new")]
    assert "0 runs left" in run(app, sweep).output
    assert "1 runs left" in run(app, [*sweep, "--again"]).output
    new, old = (load(tmp_path / folder, RUN).history for folder in ("new", "runs"))
    pd.testing.assert_frame_equal(new, old, rtol=1e-3)
