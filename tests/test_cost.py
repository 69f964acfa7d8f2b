"""The cost that is announced, against the time that training then takes, and by counting steps."""

import time
from dataclasses import replace

import pytest
import torch

from grokbook import cost as module
from grokbook import results
from grokbook.batches import Batch, plan, run_here, with_starts
from grokbook.cost import core_hours, cost, readable
from grokbook.model import ModelConfig
from grokbook.notebook import storage
from grokbook.training import TrainConfig, train

BASE = TrainConfig("add", 11, 60, 300, model=ModelConfig(16, 8, 32))


def test_counts_every_step_once_starts_included(monkeypatch, capsys) -> None:
    """At a pace that is proportional to the rough cost, the total is the rough cost of the whole plan."""
    monkeypatch.setattr(module, "seconds_per_step", lambda batch, device: 3 * batch.seconds(1))
    start = replace(BASE, train_size=121)
    sizes = [replace(BASE, train_size=size, steps=steps, start=start) for size, steps in ((20, 50), (60, 70), (90, 20))]
    batches = plan(sizes, "nowhere")
    assert len(batches) == 4 and len(with_starts(sizes)) == 4
    assert cost(sizes) == pytest.approx(sum(3 * batch.seconds(batch.configs[0].steps) for batch in batches))
    told = capsys.readouterr().out
    assert "4 runs, 440 steps in all" in told and "D = 121" in told and "Nothing was started" in told


def test_announces_about_what_training_takes(capsys) -> None:
    """Within a factor of ten, as other programs may run beside this test: ten timed steps are not 150, nor seconds
    milliseconds. The middle one of three announcements counts."""
    config = replace(BASE, modulus=53, train_size=1400, steps=150)
    announced = sorted(cost([config]) for _ in range(3))[1]
    began = time.perf_counter()
    train([config], log_steps=[], progress=False)
    assert announced / 10 < time.perf_counter() - began < 10 * announced


def test_what_is_finished_costs_nothing(tmp_path, capsys) -> None:
    run_here([replace(BASE, steps=5)], tmp_path)
    assert cost([replace(BASE, steps=5)], tmp_path) == 0
    assert capsys.readouterr().out.endswith("Nothing is left to train.\n")


def test_steps_that_a_checkpoint_has_cost_nothing(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(module, "seconds_per_step", lambda batch, device: 2.0)
    batch = Batch((replace(BASE, steps=40), replace(BASE, steps=40, seed=1)))

    def stop(*_) -> dict[str, float]:
        raise KeyboardInterrupt

    options = {"checkpoint": batch.checkpoint(tmp_path), "checkpoint_every": 10, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        train(batch.configs, log_steps=[35], metrics=[stop], **options)
    assert cost(batch.configs, tmp_path) == 2.0 * (40 - 30)
    assert "2 runs, 20 steps in all" in capsys.readouterr().out


def test_the_recorded_runs_cost_what_they_took_and_twice_the_steps_twice_that() -> None:
    known, hours = results.configs("memorisation-113"), results.provenance("memorisation-113")["worker_hours"]
    made = [known[key] for key in results.recorded("memorisation-113")]
    assert core_hours(made, "memorisation-113") == pytest.approx(hours)
    twice = [replace(config, steps=2 * config.steps) for config in made]
    assert core_hours(twice, "memorisation-113") == pytest.approx(2 * hours)
    with pytest.raises(ValueError, match="name is 'nothing'"):
        core_hours(made, "nothing")


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(ValueError, match="device is 'tpu'; on this machine it may be auto, cpu"):
        cost([BASE], device="tpu")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.034, "0.034 seconds"),
        (59, "59 seconds"),
        (90, "1.5 minutes"),
        (7200, "2 hours"),
        (1.3e7, "150 days"),
        (1e9, "32 years"),
    ],
)
def test_times_are_readable(seconds, words) -> None:
    assert readable(seconds) == words


def test_runs_are_kept_where_they_outlive_the_runtime(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("GROKBOOK_RUNS", raising=False)
    monkeypatch.setattr("grokbook.notebook.DRIVE", tmp_path / "MyDrive")
    assert storage("live") is None
    assert storage("paper") is not None and str(storage("paper")) == "runs"
    (tmp_path / "MyDrive").mkdir()
    assert storage("paper") == tmp_path / "MyDrive" / "grokbook-runs"
    monkeypatch.setenv("GROKBOOK_RUNS", str(tmp_path / "mine"))
    assert storage("small") == tmp_path / "mine"


def test_a_chapter_cut_off_goes_on_from_its_storage(tmp_path) -> None:
    """The same call with the same file ends where an uninterrupted one does, bit for bit, and repeats no step."""
    calls = 0

    def cut_off_after_thirty(*_) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls == 30:
            raise KeyboardInterrupt
        return {}

    file = tmp_path / "drive" / "01-grokking.safetensors"
    options = {"log_steps": range(41), "checkpoint_every": 8, "progress": False}
    whole = train([replace(BASE, steps=40)], **options)
    with pytest.raises(KeyboardInterrupt):
        train([replace(BASE, steps=40)], metrics=[cut_off_after_thirty], checkpoint=file, **options)
    resumed = train([replace(BASE, steps=40)], metrics=[cut_off_after_thirty], checkpoint=file, **options)
    assert calls == 30 + 40 - 24
    for name, weight in whole.params.items():
        assert torch.equal(weight, resumed.params[name]), name
