"""The exact shortcut against the textbook's forward pass, and against TransformerLens' own formulas for shapes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grokbook.model import ModelConfig, init, logits, shapes, textbook_logits
from grokbook.tasks import TASKS, add


def networks(task, config, runs, dtype, scale=1.0):
    params = init(config, task, list(range(runs)))
    generator = torch.Generator().manual_seed(9)
    for name in ("b_in", "b_out"):  # zero at initialisation, which would hide a mistake in their use
        params[name] = torch.randn(params[name].shape, generator=generator) / 4
    return {name: (scale * weight).to(dtype).requires_grad_() for name, weight in params.items()}


def assert_same_value_and_gradient(task, config, runs, dtype, tolerance, scale=1.0):
    params = networks(task, config, runs, dtype, scale)
    chosen = torch.stack([task.split(min(40, len(task)), seed)[0] for seed in range(runs)])
    x, y = task.x[chosen], task.y[chosen]
    fast, slow = logits(params, x, y), textbook_logits(params, x, y)
    size = slow.abs().max().item()
    assert (fast - slow).abs().max().item() <= tolerance * max(size, 1)
    weights = torch.randn(slow.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    gradients = [torch.autograd.grad((out * weights).sum(), list(params.values())) for out in (fast, slow)]
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours - theirs).abs().max().item() <= tolerance * max(theirs.abs().max().item(), 1)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_shortcut_is_exact_for_every_task(name, dtype, tolerance):
    assert_same_value_and_gradient(TASKS[name](13), ModelConfig(32, 8, 48), 2, dtype, tolerance)


@settings(deadline=None, max_examples=40)
@given(
    p=st.integers(2, 17),
    heads=st.integers(1, 4),
    d_head=st.integers(1, 8),
    d_mlp=st.integers(1, 40),
    runs=st.integers(1, 4),
    scale=st.floats(0.01, 3),
)
def test_shortcut_is_exact_for_every_shape(p, heads, d_head, d_mlp, runs, scale):
    config = ModelConfig(heads * d_head, d_head, d_mlp)
    assert_same_value_and_gradient(add(p), config, runs, torch.float64, 1e-10, scale)


def test_appendix_a_in_float32():
    assert_same_value_and_gradient(add(113), ModelConfig(), 1, torch.float32, 1e-5)


def test_shapes_are_transformer_lens():
    expected = {
        "W_E": (115, 128),
        "W_pos": (4, 128),
        "W_Q": (4, 128, 32),
        "W_K": (4, 128, 32),
        "W_V": (4, 128, 32),
        "W_O": (4, 32, 128),
        "W_in": (128, 512),
        "b_in": (512,),
        "W_out": (512, 128),
        "b_out": (128,),
        "W_U": (128, 113),
    }
    assert shapes(ModelConfig(), 113, 113) == expected
    params = init(ModelConfig(), add(113), [5, 6, 7])
    assert {name: tuple(w.shape[1:]) for name, w in params.items()} == expected
    assert all(len(w) == 3 for w in params.values())


def test_a_run_depends_on_its_own_seed_alone():
    together, alone = init(ModelConfig(16, 8, 32), add(7), [3, 5]), init(ModelConfig(16, 8, 32), add(7), [5])
    for name in together:
        assert torch.equal(together[name][1:], alone[name])
    assert not torch.equal(together["W_E"][0], together["W_E"][1])


def test_weights_start_with_deviation_one_over_root_d_model():
    params = init(ModelConfig(), add(113), [0])
    for name in ("W_E", "W_Q", "W_in", "W_out", "W_U"):
        assert params[name].std().item() == pytest.approx(128**-0.5, rel=0.03)
    assert params["b_in"].abs().max() == params["b_out"].abs().max() == 0


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((128, 48, 512), "d_head is 48; it must divide d_model, which is 128"),
        ((0, 32, 512), "d_model is 0; it must be a whole number, at least 1"),
        ((128, 32, -1), "d_mlp is -1; it must be a whole number, at least 1"),
        ((64, 32, 256.5), "d_mlp is 256.5; it must be a whole number"),
        ((64, 32, float("nan")), "d_mlp is nan; it must be a whole number"),
        ((64, True, 256), "d_head is True; it must be a whole number"),
    ],
)
def test_impossible_widths_are_refused(sizes, words):
    with pytest.raises(ValueError, match=words):
        ModelConfig(*sizes)


def test_widths_are_plain_numbers_whatever_they_were_given_as():
    assert repr(ModelConfig(np.int64(64), np.int32(32), 256)) == repr(ModelConfig(64, 32, 256))
