"""Ensembles against single runs, the optimiser against torch's AdamW, and resuming a killed process bit for bit."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from grokbook import checkpoints
from grokbook.model import ModelConfig, init, textbook_logits
from grokbook.tasks import add
from grokbook.training import DivergedError, TrainConfig, log_spaced, train

SMALL = TrainConfig("add", 11, 60, 200, model=ModelConfig(16, 8, 32))


def test_a_run_in_an_ensemble_equals_the_same_run_alone():
    configs = [
        SMALL,
        replace(SMALL, seed=1, weight_decay=0.3),
        replace(SMALL, seed=2, train_size=25),
        replace(SMALL, seed=3, random_labels=True),
    ]
    start = {k: w.double() for k, w in init(SMALL.model, add(11), [0, 1, 2, 3]).items()}
    together = train(configs, start=start, progress=False)
    for run, config in enumerate(configs):
        alone = train([config], start={k: w[run : run + 1] for k, w in start.items()}, progress=False)
        for name, weight in alone.params.items():
            assert (weight[0] - together.params[name][run]).abs().max() < 1e-9
        ours = together.history.query("run == @run").reset_index(drop=True)
        columns = ["train_loss", "test_loss", "parameter_norm", "correct_logit"]
        pd.testing.assert_frame_equal(ours[columns], alone.history[columns], rtol=1e-8)


def test_float32_ensembles_equal_single_runs_to_float_tolerance():
    configs = [replace(SMALL, seed=s, train_size=40 + s) for s in range(4)]
    together = train(configs, progress=False).history
    for config in configs:
        alone = train([config], progress=False).history
        ours = together[together.run == config.seed].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours[["parameter_norm"]], alone[["parameter_norm"]], rtol=1e-4)
        pd.testing.assert_frame_equal(ours[["train_loss"]], alone[["train_loss"]], rtol=2e-2)


def test_training_is_full_batch_adamw():
    """200 steps of torch's own AdamW on the textbook network and torch's own cross-entropy, in float64."""
    task, config = add(11), replace(SMALL, weight_decay=0.7, seed=5)
    params = {k: w.double().requires_grad_() for k, w in init(config.model, task, [5]).items()}
    optimiser = torch.optim.AdamW(params.values(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.7)
    index = task.split(60, 5)[0][None]
    for _ in range(200):
        optimiser.zero_grad()
        out = textbook_logits(params, task.x[index], task.y[index])
        torch.nn.functional.cross_entropy(out[0], task.label[index[0]]).backward()
        optimiser.step()
    start = {k: w.double() for k, w in init(config.model, task, [5]).items()}
    ours = train([config], start=start, progress=False).params
    for name, weight in params.items():
        assert (ours[name] - weight.detach()).abs().max() < 1e-9


def test_training_leaves_subnormal_numbers_as_it_found_them():
    def product():
        return (torch.tensor([1e-38]) * 1e-3).item()

    seen = []
    for flushed in (False, True):
        torch.set_flush_denormal(flushed)
        train([replace(SMALL, steps=1)], metrics=[lambda *_: seen.append(product()) or {}], progress=False)
        assert (product() == 0) == flushed
    torch.set_flush_denormal(False)
    assert set(seen) == {0}


def test_history_is_tidy_and_measured_where_asked():
    history = train([SMALL, replace(SMALL, seed=1)], log_steps=[0, 7, 200], progress=False).history
    assert history[["run", "step"]].to_numpy().tolist() == [[0, 0], [1, 0], [0, 7], [1, 7], [0, 200], [1, 200]]
    first = history[history.step == 0].iloc[0]
    params = init(SMALL.model, add(11), [0])
    task, (train_index, _) = add(11), SMALL.split()
    out = textbook_logits(params, task.x[None], task.y[None])[0]
    norm = sum(w.square().sum() for w in params.values()).sqrt()
    assert first.parameter_norm == pytest.approx(norm.item(), rel=1e-6)
    expected = torch.nn.functional.cross_entropy(out[train_index], task.label[train_index])
    assert first.train_loss == pytest.approx(expected.item(), rel=1e-5)
    assert first.train_accuracy == pytest.approx((out.argmax(1) == task.label)[train_index].float().mean().item())
    centred = (out - out.mean(1, keepdim=True)).gather(1, task.label[:, None])[train_index]
    assert first.correct_logit == pytest.approx(centred.mean().item(), abs=1e-6)


def test_test_columns_are_measured_on_the_test_equations():
    trained = train([SMALL], log_steps=[200], progress=False)
    row, task, (train_index, test_index) = trained.history.iloc[0], add(11), SMALL.split()
    out = textbook_logits(trained.params, task.x[None], task.y[None])[0]
    right = (out.argmax(1) == task.label).double()
    free = right[task.mirror_free(train_index, test_index)].mean().item()
    assert len({free, right[test_index].mean().item(), right[train_index].mean().item()}) == 3
    expected = torch.nn.functional.cross_entropy(out[test_index], task.label[test_index])
    assert row.test_loss == pytest.approx(expected.item(), rel=1e-4)
    assert row.test_accuracy == pytest.approx(right[test_index].mean().item())
    assert row.mirror_free_accuracy == pytest.approx(free)


def test_metrics_add_columns():
    def count(params, task, train_index):
        return {"heads": float(params["W_Q"].shape[1]), "trained_on": float(len(train_index))}

    history = train([SMALL], log_steps=[0], metrics=[count], progress=False).history
    assert history[["heads", "trained_on"]].to_numpy().tolist() == [[2.0, 60.0]]


def test_a_start_is_continued():
    base = train([replace(SMALL, steps=50)], progress=False)
    config = replace(SMALL, train_size=30, start=base.configs[0])
    going_on = train([config, replace(config, weight_decay=0.1)], start=base.params, log_steps=[0], progress=False)
    last = base.history.iloc[-1]
    assert going_on.history.parameter_norm.tolist() == pytest.approx([last.parameter_norm] * 2, rel=1e-6)
    with pytest.raises(ValueError, match="start is None"):
        train([config], progress=False)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (init(SMALL.model, add(7), [0]), r"W_E of shape \[1, 9, 16\]; it must be \[1 or 2, 13, 16\]"),
        (
            init(ModelConfig(16, 4, 32), add(11), [0, 1]),
            r"W_Q of shape \[2, 4, 16, 4\]; it must be \[1 or 2, 2, 16, 8\]",
        ),
        (init(SMALL.model, add(11), [0, 1, 2]), r"W_E of shape \[3, 13, 16\]"),
        ({"W_E": torch.zeros(1, 13, 16)}, "start has the parameters W_E; they must be W_E, W_pos"),
    ],
)
def test_a_start_of_another_shape_is_refused(start, words):
    with pytest.raises(ValueError, match=words):
        train([SMALL, replace(SMALL, seed=1)], start=start, progress=False)


def test_a_run_continues_only_a_network_like_its_own():
    for other in ({"modulus": 13}, {"task": "s5-compose"}, {"model": ModelConfig(16, 8, 64)}):
        with pytest.raises(ValueError, match=r"start has ModelConfig\(.*\) and \d+ symbols; it must have this run's"):
            replace(SMALL, start=replace(SMALL, **other))
    assert replace(SMALL, task="multiply", start=SMALL).n_symbols == 11


PROGRAM = """
import sys
from grokbook.model import ModelConfig
from grokbook.training import TrainConfig, train
configs = [TrainConfig("add", 11, 60, 900, seed=s, model=ModelConfig(16, 8, 32)) for s in (0, 1)]
train(configs, checkpoint=sys.argv[1], checkpoint_every=30, progress=False)
"""


def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=environment)
    killed = tmp_path / "killed"
    process = subprocess.Popen([*command, str(killed)], env=environment)
    while not killed.exists():
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.5))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
    subprocess.run([*command, str(killed)], check=True, env=environment)
    whole, resumed = load_file(tmp_path / "whole"), load_file(killed)
    assert whole.keys() == resumed.keys() and len(whole) == 33
    for name in whole:
        assert torch.equal(whole[name], resumed[name]), name
    with safe_open(tmp_path / "whole", "pt") as a, safe_open(killed, "pt") as b:
        metadata = [{**file.metadata(), "seconds": ""} for file in (a, b)]
        assert metadata[0] == metadata[1]  # the step and the history


def test_damaged_and_foreign_checkpoints_are_refused_untouched(tmp_path):
    path = tmp_path / "run.safetensors"
    train([SMALL], checkpoint=path, progress=False)
    good = path.read_bytes()
    for bad in (good[: len(good) // 2], b"", good[:4]):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match="cannot be read"):
            train([SMALL], checkpoint=path, progress=False)
        assert path.read_bytes() == bad
    path.write_bytes(good)
    with pytest.raises(ValueError, match="belongs to other runs"):
        train([replace(SMALL, seed=9)], checkpoint=path, progress=False)
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="is not a"):
        train([SMALL], checkpoint=path, progress=False)


def test_a_checkpoint_with_other_tensors_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    trained = train([SMALL], checkpoint=path, progress=False)
    tensors = load_file(path)
    metadata = checkpoints.header(path)
    without = {name: tensor for name, tensor in tensors.items() if name != "exp_avg.W_E"}
    for other in (tensors | {"b_in": torch.zeros(1)}, without, tensors | {"more": torch.zeros(1)}):
        save_file(other, path, metadata)
        with pytest.raises(ValueError, match="does not hold the tensors of these runs; delete it"):
            train([SMALL], checkpoint=path, progress=False)
    save_file(tensors, path, metadata)
    assert torch.equal(train([SMALL], checkpoint=path, progress=False).params["b_in"], trained.params["b_in"])


def test_seconds_go_on_from_the_checkpoints(tmp_path):
    path = tmp_path / "run.safetensors"
    first = train([SMALL], checkpoint=path, progress=False)
    tensors = load_file(path)
    metadata = checkpoints.header(path)
    assert 0 < float(metadata["seconds"]) < first.seconds
    save_file(tensors, path, metadata | {"seconds": "1000"})
    assert 1000 < train([SMALL], checkpoint=path, progress=False).seconds < 1000 + first.seconds
    metadata.pop("seconds")  # as older checkpoints have it
    save_file(tensors, path, metadata)
    assert train([SMALL], checkpoint=path, progress=False).seconds < first.seconds


def test_gradient_descent_without_momentum_resumes(tmp_path):
    path = tmp_path / "run.safetensors"
    config = replace(SMALL, optimiser="sgd", betas=(0.0, 0.98), learning_rate=0.05, steps=20)
    whole = train([config], log_steps=[], progress=False).params

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train([config], log_steps=[15], metrics=[stop], checkpoint=path, checkpoint_every=10, progress=False)
    assert len(load_file(path)) == len(whole)  # the parameters alone
    resumed = train([config], log_steps=[], checkpoint=path, progress=False).params
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_continuing_run_resumes_without_its_start(tmp_path):
    path, base = tmp_path / "run.safetensors", train([SMALL], progress=False)
    config = replace(SMALL, train_size=30, start=SMALL)
    done = train([config], start=base.params, checkpoint=path, progress=False).params
    again = train([config], checkpoint=path, progress=False).params
    assert all(torch.equal(done[name], again[name]) for name in done)


def test_what_a_killed_process_leaves_is_named_after_host_and_process(tmp_path, monkeypatch):
    class KilledError(BaseException):
        pass

    def killed(*_):
        raise KilledError

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KilledError):
        train([SMALL], checkpoint=tmp_path / "run", progress=False)
    assert [file.name for file in tmp_path.iterdir()] == [f".run.{socket.gethostname()}.{os.getpid()}"]


def test_a_run_that_is_no_longer_finite_stops_with_its_last_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    half = train([replace(SMALL, steps=100)], progress=False)
    with torch.no_grad():
        half.params["W_in"][0, 0, 0] = torch.nan
    with pytest.raises(DivergedError, match=r"run 1 was no longer finite by step 1; last good checkpoint: none"):
        params = {k: torch.cat([init(SMALL.model, add(11), [0])[k], w]) for k, w in half.params.items()}
        train([SMALL, replace(SMALL, seed=1)], start=params, checkpoint=path, checkpoint_every=10, progress=False)
    assert not path.exists()


def test_a_loss_that_is_no_longer_finite_stops_its_run_though_the_parameters_are():
    result = train([replace(SMALL, steps=1)], progress=False)
    huge = {name: weight * 1e25 for name, weight in result.params.items()}
    with pytest.raises(DivergedError, match="run 0 was no longer finite by step 1"):
        train([SMALL], start=huge, log_steps=[1], progress=False)


def test_configurations_survive_json_and_name_their_run():
    config = replace(SMALL, train_size=30, start=SMALL)
    assert TrainConfig.from_json(config.to_json()) == config
    assert config.key != SMALL.key and len({replace(SMALL, seed=s).key for s in range(20)}) == 20
    assert config.key == TrainConfig.from_json(config.to_json()).key


def test_equal_configurations_have_one_key_however_their_numbers_are_written():
    plain = replace(SMALL, weight_decay=1.0, dropout=0.0)
    other = TrainConfig(
        "add", np.int64(11), np.int32(60), 200, weight_decay=1, betas=[np.float64(0.9), 0.98], dropout=-0.0,
        seed=np.uint8(0), random_labels=np.False_, model=ModelConfig(np.int64(16), 8, 32),
    )  # fmt: skip
    assert other == plain and hash(other) == hash(plain)
    assert other.to_json() == plain.to_json() and other.key == plain.key


def test_a_bound_on_the_weights_is_no_decay_rate():
    assert replace(SMALL, regulariser="linf", weight_decay=2000).weight_decay == 2000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_size": 0}, "train_size is 0; add allows 1 to 121"),
        ({"train_size": 122}, "train_size is 122; add allows 1 to 121"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be at least 0"),
        ({"weight_decay": 1001}, "weight_decay is 1001"),
        ({"learning_rate": 0}, "learning_rate is 0; it must be positive"),
        ({"steps": -1}, "steps is -1; it must be a whole number, at least 0"),
        ({"learning_rate": float("inf"), "weight_decay": 0}, "learning_rate is inf; it must be positive and finite"),
        ({"epsilon": float("inf")}, "epsilon is inf; it must be positive and finite"),
        ({"weight_decay": "1"}, "weight_decay is '1'; it must be at least 0 and finite"),
        ({"steps": True}, "steps is True; it must be a whole number"),
        ({"seed": 2**70}, f"seed is {2**70}; it must be a whole number, at least 0 and below"),
        ({"random_labels": "no"}, "random_labels is 'no'; it must be True or False"),
        ({"steps": 2.5}, "steps is 2.5; it must be a whole number"),
        ({"modulus": 7.5}, "modulus is 7.5; it must be a whole number"),
        ({"seed": -1}, "seed is -1; it must be a whole number, at least 0"),
        ({"weight_decay": float("nan")}, "weight_decay is nan; it must be at least 0"),
        ({"betas": (0.9,)}, "betas are .*; they must be two numbers"),
        ({"betas": (1.5, 0.9)}, "betas are .*; they must be two numbers, at least 0 and below 1"),
        ({"task": "plus"}, "task is 'plus'; it must be one of add"),
        ({"task": "divide", "modulus": 12}, "division needs a prime modulus"),
        ({"precision": "low"}, "precision is 'low'; it must be"),
        ({"betas": 0.9}, "betas are 0.9; they must be two numbers"),
        ({"task": ["add"]}, r"task is \['add'\]; it must be a name in tasks.TASKS"),
        ({"model": None}, "model is None; it must be a ModelConfig"),
        ({"start": "abc"}, "start is 'abc'; it must be a TrainConfig or None"),
    ],
)
def test_bad_input_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change)


def test_unlike_runs_are_refused():
    with pytest.raises(ValueError, match="steps differs within the ensemble"):
        train([SMALL, replace(SMALL, steps=3)], progress=False)
    with pytest.raises(ValueError, match="configs is empty"):
        train([])
    for wrong in (300, 1.5, -1):
        with pytest.raises(ValueError, match=f"log_steps has {wrong}; allowed are whole numbers from 0 to 200"):
            train([SMALL], log_steps=[0, wrong], progress=False)
    for wrong in (0, 2.5):
        with pytest.raises(ValueError, match=f"checkpoint_every is {wrong}; it must be a whole number, at least 1"):
            train([SMALL], checkpoint_every=wrong, progress=False)


def test_log_steps_are_log_spaced():
    steps = log_spaced(10_000)
    assert steps[0] == 0 and steps[-1] == 10_000 and len(steps) < 85
    late = [b / a for a, b in pairwise(steps[40:])]
    assert max(late) / min(late) < 1.05
    assert log_spaced(0) == [0] and log_spaced(1) == [0, 1]
