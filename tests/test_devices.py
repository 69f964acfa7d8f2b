"""What can be said about GPUs without one: devices are followed, shapes hold on torch's meta device, dtypes are kept.

Tensors on the meta device have shapes and no values, and take a GPU's place. `NoMixing` looks at every operation that
torch carries out: none may touch two devices, except to copy from one to the other.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from grokbook import step
from grokbook.circuits import logit_table, split_logits
from grokbook.model import ModelConfig, init, logits, shapes, shared, textbook_logits
from grokbook.step import Gradient, losses
from grokbook.tasks import TASKS, add
from grokbook.training import TrainConfig, choose_device, train

TINY = TrainConfig("add", 11, 60, 30, model=ModelConfig(16, 8, 32))


class NoMixing(TorchDispatchMode):
    """Fail when an operation's tensors lie on two devices; plain numbers, of no dimension, may lie anywhere."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out = operation(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, torch.Tensor) and leaf.dim()]
        devices = {tensor.device.type for tensor in tensors}
        if len(devices) > 1 and operation is not torch.ops.aten._to_copy.default:
            raise AssertionError(f"{operation} mixes {' and '.join(sorted(devices))}")
        return out


def on_meta(config: ModelConfig, n: int, classes: int, runs: int, examples: int, dtype=torch.float32):
    sizes = shapes(config, n, classes).items()
    params = {k: torch.empty(runs, *size, dtype=dtype, device="meta").requires_grad_() for k, size in sizes}
    return params, torch.zeros(runs, examples, dtype=torch.int64, device="meta")


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(2, 120),
    classes=st.integers(2, 120),
    heads=st.integers(1, 4),
    d_head=st.integers(1, 32),
    d_mlp=st.integers(1, 512),
    runs=st.integers(1, 64),
    examples=st.integers(1, 10_000),
)
def test_shapes_hold_for_every_size(n, classes, heads, d_head, d_mlp, runs, examples) -> None:
    """Sizes up to the paper's, 64 runs at once: nothing is computed, so this costs no memory."""
    params, x = on_meta(ModelConfig(heads * d_head, d_head, d_mlp), n, classes, runs, examples)
    width = heads * d_head + heads
    with NoMixing():
        table, constant, into_mlp, past_mlp, out_of_mlp = shared(params)
        out, slow = logits(params, x, x), textbook_logits(params, x, x)
        loss = losses(out, x)
    assert table.shape == (runs, 2 * n, width) and constant.shape == (runs, 1, width)
    assert into_mlp.shape == (runs, width, d_mlp) and past_mlp.shape == (runs, width, classes)
    assert out_of_mlp.shape == (runs, d_mlp, classes)
    assert out.shape == slow.shape == (runs, examples, classes)
    assert loss.shape == (runs, examples)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_step_follows_device_and_dtype(dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and backward by hand; only the sparse matrix is made dense, as meta has no sparse ones."""
    monkeypatch.setattr(step, "_scatter", lambda bags, rows, dtype: bags.new_zeros(rows, len(bags), dtype=dtype))
    params, x = on_meta(ModelConfig(), 113, 113, 8, 3831, dtype)
    weight = torch.zeros(8, 3831, dtype=dtype, device="meta")
    with NoMixing():
        Gradient(x, x, x, weight, params)(params)
    for name, parameter in params.items():
        assert parameter.grad is not None and parameter.grad.shape == parameter.shape, name
        assert (parameter.grad.dtype, parameter.grad.device.type) == (dtype, "meta"), name


def test_a_tensor_left_behind_is_found() -> None:
    """The ground of the tests above."""
    params, x = on_meta(ModelConfig(16, 8, 32), 11, 11, 1, 5)
    left_behind = init(ModelConfig(16, 8, 32), add(11), [0])["W_U"]
    with pytest.raises(AssertionError, match="mixes cpu and meta"), NoMixing():
        logits(params | {"W_U": left_behind}, x, x)


def test_circuits_follow_the_device() -> None:
    params, _ = on_meta(ModelConfig(), 113, 113, 2, 1)
    with NoMixing():
        table = logit_table(params)
        trig, mem = split_logits(table)
    assert table.shape == trig.shape == mem.shape == (2, 113, 113, 113)


def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    named, auto = (train([TINY], device=device, progress=False) for device in ("cpu", "auto"))
    assert named.history.equals(auto.history)
    assert all(torch.equal(named.params[name], auto.params[name]) for name in named.params)
    assert {weight.device.type for weight in auto.params.values()} == {"cpu"}


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda", "cuda:0", "meta", ""):
        with pytest.raises(ValueError, match=rf"device is '{name}'; on this machine it may be auto, cpu$"):
            train([TINY], device=name, progress=False)


def test_a_gpu_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [choose_device(name) for name in ("auto", "cpu", "cuda:1")] == ["cuda", "cpu", "cuda:1"]
    with pytest.raises(ValueError, match="may be auto, cpu, cuda, cuda:0, cuda:1"):
        choose_device("cuda:2")


def test_labels_and_splits_are_made_on_the_cpu() -> None:
    """They come from seeds, and a GPU's generator would give other numbers: a run is the same task on every device."""
    for make in TASKS.values():
        task = make(7)
        assert {t.device.type for t in (task.x, task.y, task.label, *task.split(10, 0))} == {"cpu"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_of_a_start_is_kept(dtype) -> None:
    start = {name: weight.to(dtype) for name, weight in init(TINY.model, add(11), [0]).items()}
    assert {weight.dtype for weight in train([TINY], start=start, progress=False).params.values()} == {dtype}
