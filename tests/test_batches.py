from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grokbook import batches, runs, training
from grokbook.batches import Batch, plan, run_here, train_batch, with_starts
from grokbook.model import ModelConfig
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


def test_a_run_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    (run,) = run_here([BASE], tmp_path)
    again = runs.load(tmp_path, BASE)
    assert again.history.equals(run.history)
    assert all(torch.equal(again.params[name], run.params[name]) for name in run.params)
    assert {"commit", "date", "torch", "machine"} <= set(again.origin)
    runs.path(tmp_path, BASE).rename(runs.path(tmp_path, replace(BASE, seed=9)))
    with pytest.raises(ValueError, match="file of this run"):
        runs.load(tmp_path, replace(BASE, seed=9))
