import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from grokbook import batches, checkpoints, runs, training
from grokbook.batches import Batch, interrupted, plan, run_here, seconds_per_step, train_batch, with_starts
from grokbook.model import ModelConfig, init
from grokbook.training import DivergedError, TrainConfig, check_alike

BASE = TrainConfig("add", 7, 20, 60, model=ModelConfig(8, 4, 16))


@st.composite
def run_lists(draw) -> list[TrainConfig]:
    one = st.builds(
        lambda size, seed, labels, steps, start: replace(
            BASE, train_size=size, seed=seed, random_labels=labels, steps=steps, start=start
        ),
        st.sampled_from([10, 20, 49]),
        st.integers(0, 3),
        st.booleans(),
        st.sampled_from([60, 90]),
        st.sampled_from([None, BASE, replace(BASE, seed=5)]),
    )
    return draw(st.lists(one, max_size=30))


@given(run_lists(), st.integers(1, 200), st.integers(1, 5))
def test_a_plan_holds_every_run_once_in_bounds_and_after_its_start(configs, examples, most) -> None:
    planned = plan(configs, "no such folder", examples, most)
    order = [config for batch in planned for config in batch.configs]
    assert sorted(c.key for c in order) == sorted({c.key for c in with_starts(configs)})
    for i, batch in enumerate(planned):
        check_alike(batch.configs)
        sizes = [c.train_size for c in batch.configs]
        assert len(set(sizes)) == 1
        assert len(sizes) == 1 or (len(sizes) <= most and sum(sizes) <= examples)
        before = {c for earlier in planned[:i] for c in earlier.configs}
        assert all(c.start is None or c.start in before for c in batch.configs)


def test_a_run_does_not_depend_on_its_batch_and_continues_its_start(tmp_path: Path) -> None:
    start = replace(BASE, train_size=49)
    configs = [replace(BASE, seed=0, start=start), replace(BASE, seed=1), replace(BASE, seed=2)]
    continued, one, two = run_here(configs, tmp_path)
    (alone,) = run_here([configs[2]])
    for column in ("train_loss", "test_loss", "parameter_norm"):
        assert two.history[column].tolist() == pytest.approx(alone.history[column].tolist(), rel=1e-4)
    assert not one.history.equals(two.history)
    # The first row of the continued run describes the network its start ended with.
    last = runs.load(tmp_path, start).history["parameter_norm"].iloc[-1]
    assert continued.history["parameter_norm"].iloc[0] == pytest.approx(last, rel=1e-6)


def test_an_interrupted_batch_is_taken_up_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [replace(BASE, seed=seed) for seed in range(3)]
    batch = Batch(tuple(configs))
    save = runs.save

    def killed_at_second(folder, run) -> None:
        if run.config.seed == 1:
            raise KeyboardInterrupt
        save(folder, run)

    monkeypatch.setattr(runs, "save", killed_at_second)
    with pytest.raises(KeyboardInterrupt):
        train_batch(batch, tmp_path)
    monkeypatch.undo()
    assert plan(configs, tmp_path, most_runs=1) == [batch]  # not two batches of one, which would begin again
    first = runs.path(tmp_path, configs[0]).stat().st_mtime_ns
    monkeypatch.setattr(training, "measure", lambda *_: pytest.fail("trained again"))
    train_batch(batch, tmp_path)
    assert runs.path(tmp_path, configs[0]).stat().st_mtime_ns == first
    assert plan(configs, tmp_path) == []
    assert not batch.checkpoint(tmp_path).exists()


def test_a_diverged_run_is_recorded_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [replace(BASE, seed=seed, steps=120) for seed in range(3)]
    began = []

    def check(params, step, saved) -> None:
        if len(params["W_E"]) == 3 and step >= 100:
            raise DivergedError(1, step, saved)

    def train(configs, **options):
        began.append(Batch(tuple(configs)).step(tmp_path))
        return training.train(configs, **options)

    monkeypatch.setattr(training, "_check_finite", check)
    monkeypatch.setattr(batches, "train", train)
    train_batch(Batch(tuple(configs)), tmp_path, checkpoint_seconds=0.05)
    monkeypatch.undo()
    diverged = runs.load(tmp_path, configs[1])
    assert diverged.diverged_at is not None and diverged.diverged_at >= 100
    assert 0 < diverged.history["step"].max() <= began[1] < 120  # up to the last good checkpoint
    assert diverged.params == {}
    (whole,) = run_here([configs[2]])
    mate = runs.load(tmp_path, configs[2])
    assert mate.history["step"].tolist() == whole.history["step"].tolist()
    assert mate.history["train_loss"].tolist() == pytest.approx(whole.history["train_loss"].tolist(), rel=1e-3)
    assert plan(configs, tmp_path) == []
    assert not list((tmp_path / "checkpoints").iterdir())


def test_runs_from_a_diverged_start_are_refused(tmp_path: Path) -> None:
    runs.save(tmp_path, runs.Run(BASE, pd.DataFrame(), {}, 0.0, runs.origin(), diverged_at=3))
    with pytest.raises(ValueError, match="diverged at step 3; the runs from it cannot begin"):
        train_batch(Batch((replace(BASE, start=BASE),)), tmp_path)


def test_a_diverged_start_stops_only_the_runs_from_it(tmp_path: Path) -> None:
    whole = replace(BASE, train_size=49)
    bad, good = whole, replace(whole, seed=1)
    runs.save(tmp_path, runs.Run(bad, pd.DataFrame(), {}, 0.0, runs.origin(), diverged_at=3))
    configs = [replace(BASE, seed=start.seed, start=start) for start in (bad, good)]
    with pytest.raises(ValueError, match=f"start {bad.key} diverged at step 3"):
        run_here(configs, tmp_path)
    assert [runs.path(tmp_path, config).exists() for config in configs] == [False, True]
    (alone,) = run_here(configs[1:])
    assert runs.load(tmp_path, configs[1]).history.equals(alone.history)


def test_a_run_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    (run,) = run_here([BASE], tmp_path)
    again = runs.load(tmp_path, BASE)
    assert again.history.equals(run.history)
    assert all(torch.equal(again.params[name], run.params[name]) for name in run.params)
    assert {"commit", "date", "torch", "machine"} <= set(again.origin)
    runs.path(tmp_path, BASE).rename(runs.path(tmp_path, replace(BASE, seed=9)))
    with pytest.raises(ValueError, match="file of this run"):
        runs.load(tmp_path, replace(BASE, seed=9))


def test_a_damaged_run_file_is_named(tmp_path: Path) -> None:
    run_here([BASE], tmp_path)
    path = runs.path(tmp_path, BASE)
    good = path.read_bytes()
    for bad in (good[: len(good) // 2], b"", good[:4]):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=f"{path.name} cannot be read .*; delete it to run again"):
            runs.load(tmp_path, BASE)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        runs.load(tmp_path, BASE)


def test_runs_share_the_seconds_of_their_ensemble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [replace(BASE, seed=seed) for seed in range(4)]
    monkeypatch.setattr(batches, "train", lambda *a, **b: replace(training.train(*a, **b), seconds=8.0))
    assert [run.seconds for run in run_here(configs, tmp_path)] == [2.0] * 4


def test_a_batch_taken_up_near_its_end_is_charged_what_it_took(tmp_path: Path) -> None:
    config = replace(BASE, steps=1001)
    batch = Batch((config,))
    began = time.perf_counter()
    training.train([config], log_steps=[], checkpoint=batch.checkpoint(tmp_path), checkpoint_every=1000)
    with safe_open(batch.checkpoint(tmp_path), "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    checkpoints.write(batch.checkpoint(tmp_path), tensors, metadata | {"step": "1000", "history": "[]"})
    train_batch(batch, tmp_path)
    assert float(metadata["seconds"]) < runs.load(tmp_path, config).seconds < time.perf_counter() - began


def test_what_killed_processes_left_half_written_goes_when_the_batch_is_over(tmp_path: Path) -> None:
    batch, other = Batch((BASE,)), tmp_path / "checkpoints" / ".other.safetensors.host.1"
    left = [tmp_path / "checkpoints" / f".{batch.key}.safetensors.host.1", tmp_path / f".{BASE.key}.safetensors.1"]
    other.parent.mkdir()
    for file in (*left, other):
        file.write_bytes(b"")
    train_batch(batch, tmp_path)
    assert not any(file.exists() for file in left) and other.exists()  # whose process may be at work


def test_a_checkpoint_of_another_version_stops_no_plan(tmp_path: Path) -> None:
    batch = Batch((BASE,))
    training.train([BASE], log_steps=[], checkpoint=batch.checkpoint(tmp_path), progress=False)
    newer = BASE.to_json().replace('"seed"', '"flavour": 1, "seed"')
    for name, metadata in (("newer", {"configs": json.dumps([newer])}), ("none", {}), ("text", {"configs": "?"})):
        checkpoints.write(tmp_path / "checkpoints" / f"{name}.safetensors", {"w": torch.zeros(1)}, metadata)
    assert interrupted(tmp_path) == plan([BASE], tmp_path) == [batch]


def test_the_rough_cost_grows_with_the_matrix_products() -> None:
    config = TrainConfig("add", 113, 1000, 10)
    products = (
        3 * 1000 * (128 * 512 + 128 * 113 + 512 * 113)
    )  # forward and two backward, of W_in, past it and W_out W_U
    grown = seconds_per_step(replace(config, train_size=2000)) - seconds_per_step(config)
    assert grown == pytest.approx(products / 30e9)
    parameters = sum(weight.numel() for weight in init(config.model, config.make_task(), [0]).values())
    assert seconds_per_step(config) - grown == pytest.approx(10e-9 * parameters)
    assert Batch((config, config)).seconds(7) == pytest.approx(7 * (1e-3 + 2 * seconds_per_step(config)))
    s5 = TrainConfig("s5-compose", 0, 1000, 10)
    assert seconds_per_step(s5) == seconds_per_step(replace(config, modulus=120))


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=one", "-c", "user.email=one@example.org"]
    return subprocess.run(
        ["git", "-C", folder, *who, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_commit_is_the_packages_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "runs.py").write_text("")
    (tmp_path / "other.py").write_text("")
    monkeypatch.setattr(runs, "__file__", str(package / "runs.py"))
    assert runs.commit() == "unknown"
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "other.py")
    git(tmp_path, "commit", "--quiet", "--message", "around an installed package")
    assert runs.commit() == "unknown"
    git(tmp_path, "add", "package")
    git(tmp_path, "commit", "--quiet", "--message", "the package")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert runs.commit() == runs.origin()["commit"] == head
    (package / "runs.py").write_text("changed")
    assert runs.commit() == f"{head}+"
