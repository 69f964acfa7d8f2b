"""Full-batch training with AdamW, many runs at once, as in Appendix A.

One call trains an ensemble: runs that share a model and a task's shape, each with its own seed, weight decay, train
size and labels. Weight decay is decoupled (Loshchilov and Hutter 2019): every step shrinks the parameters by
learning_rate * weight_decay, then Adam moves them along the gradient of the train loss alone.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from grokbook import checkpoints
from grokbook.arithmetic import flushed_subnormals, products
from grokbook.config import TrainConfig, check_alike
from grokbook.model import Params, check_start, init, logits
from grokbook.regularisers import REGULARISERS, make_optimiser
from grokbook.step import LOSS_GRADIENTS, Dropout, Gradient, losses
from grokbook.tasks import Task

Metric = Callable[[Params, Task, Tensor], dict[str, float]]
"""Extra columns for a history: from one run's parameters (leading axis 1), its task and its train indices."""


class DivergedError(RuntimeError):
    """A run's loss or parameters stopped being finite."""

    def __init__(self, run: int, step: int, checkpoint: str):
        super().__init__(f"run {run} was no longer finite by step {step}; last good checkpoint: {checkpoint}")
        self.run, self.step = run, step


@dataclass
class TrainResult:
    """`history` is tidy (run, step, and a column a metric); `params` are the final parameters [run, ...], on CPU;
    `seconds` is the wall time of all runs together, also before the checkpoint that training resumed from."""

    configs: list[TrainConfig]
    history: pd.DataFrame
    params: Params
    seconds: float


def log_spaced(steps: int, per_decade: int = 20) -> list[int]:
    """Step 0, about `per_decade` steps a factor of ten, and the last one."""
    if steps < 1:
        return [0]
    count = int(per_decade * np.log10(steps)) + 2
    return [0, *np.unique(np.geomspace(1, steps, count).round().astype(int)).tolist()]


def choose_device(name: str = "auto") -> str:
    """The device to train on: "auto" is CUDA where there is one. Raises ValueError for a device that is not here."""
    gpus = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))] if torch.cuda.is_available() else []
    if name == "auto":
        return "cuda" if gpus else "cpu"
    if name not in ("cpu", *gpus):
        raise ValueError(f"device is {name!r}; on this machine it may be {', '.join(['auto', 'cpu', *gpus])}")
    return name


@flushed_subnormals()
def train(
    configs: Sequence[TrainConfig],
    *,
    start: Params | None = None,
    log_steps: Iterable[int] | None = None,
    metrics: Sequence[Metric] = (),
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 1000,
    device: str = "auto",
    progress: bool = True,
) -> TrainResult:
    """Train one run a config, all as one ensemble, and measure at `log_steps` (default `log_spaced`).

    start: parameters to begin with, [run, ...] or one run for all, whose dtype is then trained in; fresh ones from the
    seeds, in float32, when None.
    checkpoint: a .safetensors file, written every `checkpoint_every` steps; training resumes from it when it exists.
    Then `start` is not used, the rows in the file stay, and `log_steps` and `metrics` count from its step on.
    device: as `choose_device` takes it.
    Raises ValueError when the configs cannot share an ensemble, another argument is not allowed or the checkpoint is of
    other runs, and DivergedError when a run is no longer finite.
    """
    began, configs = time.perf_counter(), list(configs)
    check_alike(configs)
    first, steps = configs[0], configs[0].steps
    resumes = checkpoint is not None and Path(checkpoint).exists()
    if start is None and not resumes and any(c.start for c in configs):
        raise ValueError("start is None, but a config continues another run: pass that run's final parameters")
    device = choose_device(device)
    tasks = [c.make_task() for c in configs]
    if start is None:
        start = init(first.model, tasks[0], [c.seed for c in configs])
    check_start(start, first.model, tasks[0], len(configs))
    params = {name: w.expand(len(configs), *w.shape[1:]).to(device, copy=True) for name, w in start.items()}
    for weight in params.values():
        weight.requires_grad_()
    x, y, label, weight = (t.to(device) for t in _train_sets(configs, tasks))
    dropout = Dropout(first.dropout, [c.seed for c in configs]) if first.dropout else None
    gradient = Gradient(x, y, label, weight.to(params["W_E"].dtype), params, LOSS_GRADIENTS[first.loss], dropout)
    optimiser = make_optimiser(first, list(params.values()))
    regularise = REGULARISERS[first.regulariser](configs, params["W_E"].detach())
    log_at = set(log_spaced(steps) if log_steps is None else log_steps)
    for at in log_at:
        if not isinstance(at, Integral) or not 0 <= int(at) <= steps:
            raise ValueError(f"log_steps has {at!r}; allowed are whole numbers from 0 to {steps}")
    if not isinstance(checkpoint_every, Integral) or int(checkpoint_every) < 1:
        raise ValueError(f"checkpoint_every is {checkpoint_every!r}; it must be a whole number, at least 1")
    step, saved = 0, "none"
    rows: list[dict[str, float]] = []
    if checkpoint is not None and resumes:
        step, rows, seconds = checkpoints.load(checkpoint, configs, params, optimiser)
        began -= seconds
        saved = f"{checkpoint} at step {step}"
    elif 0 in log_at:
        rows += measure(params, configs, tasks, 0, metrics)
    stops = sorted({*map(int, log_at), *range(0, steps, checkpoint_every), steps})
    with products(first.precision), tqdm(total=steps, initial=step, disable=not progress, unit="step") as bar:
        for stop in (s for s in stops if s > step):
            for done in range(step, stop):
                optimiser.zero_grad()
                gradient(params, done)
                with torch.no_grad():
                    for weight in params.values():
                        regularise(weight)
                optimiser.step()
            bar.update(stop - step)
            step = stop
            _check_finite(params, step, saved)
            if step in log_at:
                measured = measure(params, configs, tasks, step, metrics)
                for run, row in enumerate(measured):
                    if not np.isfinite(row["train_loss"]):
                        raise DivergedError(run, step, saved)
                rows += measured
                bar.set_postfix(test_accuracy=f"{np.mean([r['test_accuracy'] for r in measured]):.2f}")
            if checkpoint is not None and (step % checkpoint_every == 0 or step == steps):
                checkpoints.save(checkpoint, configs, params, optimiser, step, rows, time.perf_counter() - began)
                saved = f"{checkpoint} at step {step}"
    final = {name: weight.detach().cpu() for name, weight in params.items()}
    return TrainResult(configs, pd.DataFrame(rows), final, time.perf_counter() - began)


def _train_sets(configs: Sequence[TrainConfig], tasks: Sequence[Task]) -> tuple[Tensor, ...]:
    """x, y, label and weight [run, example], shorter train sets padded with examples of weight 0."""
    longest = max(c.train_size for c in configs)
    index = torch.zeros(len(configs), longest, dtype=torch.int64)
    weight = torch.zeros(len(configs), longest, dtype=torch.float64)
    for run, config in enumerate(configs):
        index[run, : config.train_size] = config.split()[0]
        weight[run, : config.train_size] = 1 / config.train_size
    x, y, label = (
        torch.stack([getattr(t, n)[i] for t, i in zip(tasks, index, strict=True)]) for n in ("x", "y", "label")
    )
    return x, y, label, weight


@torch.no_grad()
def measure(
    params: Params, configs: Sequence[TrainConfig], tasks: Sequence[Task], step: int, metrics: Sequence[Metric] = ()
) -> list[dict[str, float]]:
    """One row a run: losses and accuracies on train, test and mirror-free test equations (nan where there are none),
    the L2 norm of all parameters, and the mean correct logit on the train set, centred over classes.

    Measured in full float32 whatever precision the run trains in.
    """
    rows = []
    for run, (config, task) in enumerate(zip(configs, tasks, strict=True)):
        one = {name: weight.detach()[run : run + 1] for name, weight in params.items()}
        device = one["W_E"].device
        x, y, label = (v[None].to(device) for v in (task.x, task.y, task.label))
        train_index, test_index = config.split()
        with products("highest"):
            out = logits(one, x, y)
            row: dict[str, float] = {"run": run, "step": step}
            loss, right = losses(out, label)[0].cpu().double(), (out.argmax(-1) == label)[0].cpu().double()
            for name, index in (("train", train_index), ("test", test_index)):
                row |= {f"{name}_loss": loss[index].mean().item(), f"{name}_accuracy": right[index].mean().item()}
            row["mirror_free_accuracy"] = right[task.mirror_free(train_index, test_index)].mean().item()
            row["parameter_norm"] = sum(w.double().square().sum().item() for w in one.values()) ** 0.5
            centred = out[0].gather(-1, label[0, :, None])[:, 0] - out[0].mean(-1)
            row["correct_logit"] = centred[train_index.to(device)].mean().item()
            for metric in metrics:
                row |= metric(one, task, train_index)
        rows.append(row)
    return rows


def _check_finite(params: Params, step: int, saved: str) -> None:
    norms = torch.stack([w.detach().flatten(1).norm(dim=1) for w in params.values()]).sum(0)
    if not norms.isfinite().all():
        raise DivergedError(int((~norms.isfinite()).nonzero()[0]), step, saved)
