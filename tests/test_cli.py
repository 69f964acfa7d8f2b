import io
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pytest
from dask.distributed import Client
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

from grokbook import cli, record, results, runs, sweeps
from grokbook.batches import run_here
from grokbook.cli import app
from grokbook.experiments import EXPERIMENTS, Experiment
from grokbook.model import ModelConfig
from grokbook.runs import Run, load, origin, save
from grokbook.training import DivergedError, TrainConfig
from grokbook.watch import compare

RUN = TrainConfig("add", 7, 20, 60, model=ModelConfig(8, 4, 16))
run = CliRunner().invoke


def test_train_shows_rows_and_how_it_ended() -> None:
    small = "--modulus 7 --train-size 30 --steps 40 --d-model 8 --d-head 4 --d-mlp 16".split()
    result = run(app, ["train", "add", *small])
    assert result.exit_code == 0, result.output
    assert "add mod 7" in result.output
    assert "After 40 steps: train accuracy" in result.output
    small = "--train-size 60 --steps 2 --d-model 8 --d-head 4 --d-mlp 16".split()
    assert "s5-compose\n" in run(app, ["train", "s5-compose", *small]).output.replace(" ", "")  # no modulus


@pytest.mark.parametrize(
    ("options", "ending"),
    [
        ("--steps 2", "too short to say whether it still moves"),
        ("--steps 200 --learning-rate 1e-2", "the run is still moving"),
        ("--steps 40 --learning-rate 1e-9", "flat over the last factor of four of its steps"),
    ],
)
def test_train_says_whether_the_run_had_settled(options: str, ending: str) -> None:
    small = "--modulus 7 --train-size 30 --d-model 8 --d-head 4 --d-mlp 16".split()
    result = run(app, ["train", "add", *small, *options.split()], env={"COLUMNS": "300"})
    assert " ".join(result.output.split()).endswith(f"; {ending}."), result.output


def test_sweep_of_the_first_run_trains_that_one_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [replace(RUN, seed=seed) for seed in (3, 1, 2)]
    monkeypatch.setitem(EXPERIMENTS, "tiny", Experiment("tiny", "none", "", {"live": lambda: configs}))
    here = partial(Client, processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None)
    monkeypatch.setattr(sweeps, "local_client", lambda workers: here())
    monkeypatch.setattr(sweeps.torch, "set_num_threads", lambda threads: None)  # this process is the worker
    result = run(app, ["sweep", "tiny", "--first", "1", "--runs-dir", str(tmp_path)])
    assert result.exit_code == 0 and "tiny, live: 1 runs left in 1 batches" in result.output, result.output
    assert [path.name for path in tmp_path.glob("*.safetensors")] == [runs.path(tmp_path, configs[0]).name]
    assert load(tmp_path, configs[0]).history["step"].max() == RUN.steps


def test_sweep_refuses_workers_with_several_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPERIMENTS, "tiny", Experiment("tiny", "none", "", {"live": lambda: [RUN]}))
    here = partial(Client, processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None)
    monkeypatch.setattr(sweeps, "local_client", lambda workers: here())
    result = run(app, ["sweep", "tiny", "--runs-dir", str(tmp_path / "runs")], env={"COLUMNS": "300"})
    assert result.exit_code == 2 and "with 2 threads; start workers with --nthreads 1" in result.output, result.output
    assert not list((tmp_path / "runs").glob("*"))


def test_every_option_says_what_it_is() -> None:
    for command in ("sweep", "record", "train", "rerun"):
        for parameter in get_command(app).commands[command].params:
            assert parameter.help or parameter.name == "help", f"{command} {parameter.name}"


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
        (f"sweep threshold --runs-dir {__file__}", f"--runs-dir is {__file__}; it must be a folder"),
        ("sweep threshold --checkpoint-seconds 0", "Invalid value for '--checkpoint-seconds'"),
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

    monkeypatch.setitem(EXPERIMENTS, "tiny", Experiment("tiny", "none", "", {"small": lambda: [replace(RUN, seed=1)]}))
    run_here([replace(RUN, seed=1)], tmp_path / "runs")
    command = ["record", "tiny", "--runs-dir", str(tmp_path / "runs")]
    refused = run(app, command, env={"COLUMNS": "300"})
    assert refused.exit_code == 2 and "with 1 runs that are not of this list" in refused.output
    assert run(app, [*command, "--replace"]).exit_code == 0
    monkeypatch.setattr(cli, "commit", lambda: "unknown")
    refused = run(app, command, env={"COLUMNS": "300"})
    assert refused.exit_code == 2 and "is in no git checkout of grokbook" in refused.output


def test_a_run_without_rows_says_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    diverged, missing = replace(RUN, seed=1), replace(RUN, seed=2)
    experiment = Experiment("tiny", "none", "", {"small": lambda: [RUN, diverged, missing]})
    monkeypatch.setattr(results, "files", lambda _: tmp_path)
    run_here([RUN], tmp_path / "runs")
    save(tmp_path / "runs", Run(diverged, pd.DataFrame(), {}, 0.0, origin(), diverged_at=3))
    record.record(experiment, "small", tmp_path / "runs", tmp_path / "data")
    for config, state in ((diverged, "diverged"), (missing, "missing")):
        result = run(app, ["rerun", "tiny", config.key], env={"COLUMNS": "300"})
        assert result.exit_code == 2
        assert f"key is '{config.key}'; that run is {state}, and no row of it is on record" in result.output

    def diverge(*_, **__) -> None:
        raise DivergedError(0, 7, "none")

    monkeypatch.setattr(record, "train", diverge)
    result = run(app, ["rerun", "tiny", RUN.key])
    assert result.exit_code == 1 and "no longer finite by step 7" in result.output


@pytest.mark.parametrize(("address", "error"), [("foo://1:2", None), ("tcp://1:2", OSError("Timed out"))])
def test_a_scheduler_that_does_not_answer_is_named(
    address, error, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if error is not None:
        monkeypatch.setattr("dask.distributed.Client", Mock(side_effect=error))
    monkeypatch.setitem(EXPERIMENTS, "tiny", Experiment("tiny", "none", "", {"live": lambda: [RUN]}))
    command = ["sweep", "tiny", "--scheduler", address, "--runs-dir", str(tmp_path)]
    result = run(app, command, env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert f"--scheduler is '{address}'; no Dask scheduler answers there" in result.output


def compared(**columns: list[tuple[float, float]]) -> list[str]:
    """The lines that `watch.compare` shows of (recorded, rerun) at steps 0, 10, 20."""
    rows = [(10 * i, name, *pair) for name, pairs in columns.items() for i, pair in enumerate(pairs)]
    console = Console(file=io.StringIO(), width=200)
    compare(pd.DataFrame(rows, columns=["step", "column", "recorded", "rerun"]), console)
    return console.file.getvalue().splitlines()


def test_a_comparison_shows_the_worst_row_and_until_when_it_agrees() -> None:
    lines = compared(
        train_loss=[(8.0, 8.0), (2.0, 3.5), (1.0, 0.5)], test_accuracy=[(0.1, 0.1), (0.2, 0.2), (0.9, 0.85)]
    )
    words = [[word.strip() for word in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert words == [["train_loss", "1.5", "10", "1", "0.5"], ["test_accuracy", "0.05", "20", "0.9", "0.85"]]
    assert lines[-1].endswith("(accuracies and shares: to 0.01) before step 10.")
    close = compared(
        train_loss=[(8.0, 8.07), (1.0, 1.07), (0.5, 0.5)], test_accuracy=[(0.5, 0.509), (1.0, 1.0), (1, 1)]
    )
    assert close[-1].endswith("at every recorded step.")


@pytest.mark.filterwarnings("error")
def test_a_comparison_leaves_out_what_is_not_on_record() -> None:
    nothing = [(float("nan"), 3.0)] * 3
    lines = compared(train_loss=[(8.0, 8.0), (2.0, 2.0), (1.0, 1.0)], key_mask=nothing)
    assert not any("key_mask" in line for line in lines) and lines[-1].endswith("at every recorded step.")
