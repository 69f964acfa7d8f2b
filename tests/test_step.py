"""The stable loss against mpmath, and the hand-written gradient against automatic differentiation."""

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grokbook.model import ModelConfig, init, textbook_logits
from grokbook.step import Gradient, losses, losses_gradient_
from grokbook.tasks import TASKS, add

mpmath.mp.dps = 60


def exact(logits: list[float], right: int) -> tuple[mpmath.mpf, list[mpmath.mpf]]:
    terms = [mpmath.exp(mpmath.mpf(o) - mpmath.mpf(logits[right])) for o in logits]
    others = sum(t for i, t in enumerate(terms) if i != right)
    gradient = [-others / (1 + others) if i == right else t / (1 + others) for i, t in enumerate(terms)]
    return mpmath.log1p(others), gradient


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [0, 1e-3, 1, 5, 10, 16, 17, 20, 30, 50, 80])
@pytest.mark.parametrize("sign", [1, -1])
def test_loss_and_gradient_agree_with_mpmath(gap, sign, dtype):
    out = torch.tensor([sign * gap, 0.0, -0.5, -1.25], dtype=dtype)
    value, gradient = exact(out.tolist(), 0)
    label = torch.tensor([[0]])
    relative = 20 * torch.finfo(dtype).eps * (1 + gap * torch.finfo(dtype).eps)
    leaf = out.view(1, 1, -1).requires_grad_()
    loss = losses(leaf, label)
    assert loss.item() == pytest.approx(float(value), rel=relative)
    loss.sum().backward()
    ours = losses_gradient_(out.detach().clone().view(1, 1, -1), label.unsqueeze(-1), torch.ones(1, 1, 1, dtype=dtype))
    for found in (leaf.grad, ours):
        for a, b in zip(found.flatten().tolist(), gradient, strict=True):
            assert a == pytest.approx(float(b), rel=5 * relative, abs=1e-44)


@pytest.mark.parametrize("gap", [1e4, -1e4])
def test_loss_and_gradient_stay_finite_at_huge_gaps(gap):
    out = torch.tensor([[[gap, 0.0, 3.0]]])
    label = torch.tensor([[0]])
    leaf = out.clone().requires_grad_()
    losses(leaf, label).sum().backward()
    ours = losses_gradient_(out.clone(), label.unsqueeze(-1), torch.ones(1, 1, 1))
    assert losses(out, label).isfinite().all() and leaf.grad.isfinite().all() and ours.isfinite().all()
    assert losses(out, label).item() == pytest.approx(max(0.0, 3 - gap), rel=1e-4)


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(["add", "divide", "quadratic-form"]),
    p=st.sampled_from([5, 7, 13]),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    heads=st.integers(1, 3),
)
def test_hand_written_gradient_equals_automatic_differentiation(name, p, sizes, heads):
    """For ensembles with unequal train sizes, shorter ones padded with examples of weight zero."""
    task, runs, longest = TASKS[name](p), len(sizes), max(sizes)
    params = init(ModelConfig(heads * 4, 4, 24), task, list(range(runs)))
    params = {k: (w + 0.1).double().requires_grad_() for k, w in params.items()}
    index = torch.zeros(runs, longest, dtype=torch.int64)
    weight = torch.zeros(runs, longest, dtype=torch.float64)
    for run, size in enumerate(sizes):
        index[run, :size] = task.split(size, run)[0]
        weight[run, :size] = 1 / size
    x, y, label = task.x[index], task.y[index], task.label[index]
    cross_entropy = torch.nn.functional.cross_entropy(
        textbook_logits(params, x, y).flatten(0, 1), label.flatten(), reduction="none"
    )
    expected = torch.autograd.grad((cross_entropy.view(weight.shape) * weight).sum(), list(params.values()))
    Gradient(x, y, label, weight, params)(params)
    for weights, theirs in zip(params.values(), expected, strict=True):
        assert (weights.grad - theirs).abs().max() <= 1e-10 * max(1, theirs.abs().max())


def test_a_second_call_repeats_the_first():
    """Buffers are reused between calls; nothing of one call may leak into the next."""
    task = add(11)
    params = {k: w.requires_grad_() for k, w in init(ModelConfig(16, 8, 32), task, [0]).items()}
    train = task.split(50, 0)[0][None]
    gradient = Gradient(task.x[train], task.y[train], task.label[train], torch.full((1, 50), 1 / 50), params)
    found = []
    for _ in range(2):
        for weight in params.values():
            weight.grad = None
        gradient(params)
        found.append([w.grad.clone() for w in params.values()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
