"""Seconds a training step: ours, TransformerLens', a plain PyTorch one, and the floor of matrix products alone.

All contenders take turns within one process, so that a slow moment of the machine is shared; figures are medians over
rounds. A step is forward, backward and optimiser on the whole train set (p = 113, D = 3830, Appendix A's model).
"""

import statistics
import time
from collections.abc import Callable

import torch
from tqdm.auto import tqdm

from grokbook.model import ModelConfig, Params, init, textbook_logits
from grokbook.step import Gradient
from grokbook.tasks import add
from grokbook.training import TrainConfig, train

P, D = 113, 3830


def interleaved(contenders: dict[str, Callable[[], None]], rounds: int, steps: int = 3) -> dict[str, float]:
    """Median milliseconds a step of each contender, taking turns."""
    for step in contenders.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in tqdm(range(rounds), desc="rounds"):
        for name, step in contenders.items():
            step()  # warms the caches after the previous contender, as a run of its own would be
            before = time.perf_counter()
            for _ in range(steps):
                step()
            times[name].append((time.perf_counter() - before) / steps * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def ours(p: int, train_size: int, runs: int, model: ModelConfig, precision: str = "highest") -> Callable[[], None]:
    """One step of an ensemble, as `grokbook.training` takes it."""
    task = add(p)
    params = {k: w.requires_grad_() for k, w in init(model, task, list(range(runs))).items()}
    index = torch.stack([task.split(train_size, seed)[0] for seed in range(runs)])
    weight = torch.full(index.shape, 1 / train_size)
    gradient = Gradient(task.x[index], task.y[index], task.label[index], weight, params)
    optimiser = torch.optim.Adam(params.values(), lr=1e-3, betas=(0.9, 0.98), fused=True)

    def step() -> None:
        torch.set_float32_matmul_precision(precision)
        optimiser.zero_grad()
        gradient(params)
        with torch.no_grad():
            for w in params.values():
                w.mul_(0.999)
        optimiser.step()
        torch.set_float32_matmul_precision("highest")

    return step


def textbook() -> Callable[[], None]:
    """Plain PyTorch: attention over four tokens, automatic differentiation, torch's AdamW and cross-entropy."""
    task = add(P)
    params: Params = {k: w.requires_grad_() for k, w in init(ModelConfig(), task, [0]).items()}
    index = task.split(D, 0)[0][None]
    optimiser = torch.optim.AdamW(params.values(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)

    def step() -> None:
        optimiser.zero_grad()
        out = textbook_logits(params, task.x[index], task.y[index])[0]
        torch.nn.functional.cross_entropy(out, task.label[index[0]]).backward()
        optimiser.step()

    return step


def transformer_lens(with_test: bool) -> Callable[[], None]:
    """TransformerLens' grokking demo: three tokens, frozen biases, float64 log-softmax, and its test forward a step."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    widths = {"n_layers": 1, "n_heads": 4, "d_model": 128, "d_head": 32, "d_mlp": 512, "n_ctx": 3}
    model = HookedTransformer(
        HookedTransformerConfig(
            **widths, d_vocab=P + 1, d_vocab_out=P, act_fn="relu", normalization_type=None, seed=999, device="cpu"
        )
    )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("b_" not in name)
    task = add(P)
    train_index, test_index = task.split(D, 0)
    tokens = torch.stack([task.x, task.y, torch.full_like(task.x, P)], dim=1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)

    def loss(index: torch.Tensor) -> torch.Tensor:
        log_probabilities = model(tokens[index])[:, -1].to(torch.float64).log_softmax(dim=-1)
        return -log_probabilities.gather(-1, task.label[index][:, None]).mean()

    def step() -> None:
        loss(train_index).backward()
        optimiser.step()
        optimiser.zero_grad()
        if with_test:
            with torch.inference_mode():
                loss(test_index)

    return step


def floor(precision: str = "highest") -> Callable[[], None]:
    """The matrix products of the last position alone, forward and backward: W_O, W_in, W_out and W_U, thrice each."""
    d, m = 128, 512
    products = []
    for rows, columns in ((d, d), (d, m), (m, d), (d, P)):
        x, w, dy = torch.randn(D, rows), torch.randn(rows, columns), torch.randn(D, columns)
        products += [(x, w), (dy, w.mT), (x.mT, dy)]

    def step() -> None:
        torch.set_float32_matmul_precision(precision)
        for a, b in products:
            a @ b
        torch.set_float32_matmul_precision("highest")

    return step


def ensembles(rounds: int) -> dict[int, float]:
    """Milliseconds a run-step at p = 31, D = 200, d_model 64, d_mlp 256, by the number of runs in one ensemble."""
    sizes = (1, 8, 16, 32, 64)
    steps = {str(n): ours(31, 200, n, ModelConfig(64, 32, 256)) for n in sizes}
    return {int(n): ms / int(n) for n, ms in interleaved(steps, rounds).items()}


def time_to_generalise(precision: str, target: float = 0.99, steps: int = 6000) -> str:
    """When test accuracy first reaches `target` at p = 113, D = 3831, seed 0: steps and seconds, measured every 100."""
    before = time.perf_counter()

    def clock(params, task, train_index) -> dict[str, float]:
        return {"seconds": time.perf_counter() - before}

    config = TrainConfig("add", P, 3831, steps, precision=precision)
    history = train([config], log_steps=range(0, steps + 1, 100), metrics=[clock]).history
    there = history[history.test_accuracy >= target]
    if there.empty:
        return f"not within {steps} steps"
    return f"{there.step.iloc[0]} steps, {there.seconds.iloc[0]:.0f} s"
