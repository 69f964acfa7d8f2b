"""What holds the parameters down, and what moves them: AdamW's decoupled weight decay and its alternatives.

Each regulariser is applied to every parameter between the gradient and the optimiser's step, with the run's
weight_decay as its strength λ and learning rate η:

    decoupled   θ ← (1 - ηλ) θ                 AdamW (Loshchilov and Hutter 2019), the paper's
    l2          gradient + λ θ                 the penalty λ/2 |θ|², coupled: Adam rescales it with the gradient
    l1          gradient + λ sign θ            the penalty λ |θ|_1, coupled
    linf        θ clipped to [-1/λ, 1/λ]       the constraint that full-batch AdamW's limit obeys (Xie and Li 2024)
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from grokbook.config import TrainConfig
from grokbook.model import Params
from grokbook.tasks import Task

Regularise = Callable[[Tensor], object]


def decoupled(configs: Sequence[TrainConfig], like: Tensor) -> Regularise:
    """Shrink the parameters by a factor, apart from the gradient."""
    factor = like.new_tensor([1 - c.learning_rate * c.weight_decay for c in configs])
    return lambda weight: weight.mul_(_per_run(factor, weight))


def l2(configs: Sequence[TrainConfig], like: Tensor) -> Regularise:
    """Add the gradient of λ/2 |θ|²."""
    strength = like.new_tensor([c.weight_decay for c in configs])
    return lambda weight: _gradient(weight).add_(weight * _per_run(strength, weight))


def l1(configs: Sequence[TrainConfig], like: Tensor) -> Regularise:
    """Add the gradient of λ |θ|_1."""
    strength = like.new_tensor([c.weight_decay for c in configs])
    return lambda weight: _gradient(weight).add_(weight.sign() * _per_run(strength, weight))


def linf(configs: Sequence[TrainConfig], like: Tensor) -> Regularise:
    """Clip every parameter to 1/λ; no bound for λ = 0. A step may then exceed it by what one update moves."""
    bound = 1 / like.new_tensor([c.weight_decay for c in configs])
    return lambda weight: torch.clamp(weight, -_per_run(bound, weight), _per_run(bound, weight), out=weight)


REGULARISERS: dict[str, Callable[[Sequence[TrainConfig], Tensor], Regularise]] = {
    "decoupled": decoupled,
    "l2": l2,
    "l1": l1,
    "linf": linf,
}
"""From a config's name to a function of the configs and of a tensor with their dtype and device."""


def make_optimiser(config: TrainConfig, params: Sequence[Tensor]) -> torch.optim.Optimizer:
    """torch's own Adam, or gradient descent with momentum betas[0]; neither with any weight decay."""
    if config.optimiser == "sgd":
        return torch.optim.SGD(params, lr=config.learning_rate, momentum=config.betas[0])
    return torch.optim.Adam(params, lr=config.learning_rate, betas=config.betas, eps=config.epsilon, fused=True)


def norm_metrics(params: Params, task: Task, train: Int[Tensor, "train"]) -> dict[str, float]:
    """Columns for a history: the other two norms of all parameters of one run, beside the L2 norm it always has."""
    sizes = torch.cat([weight.detach().flatten() for weight in params.values()]).double().abs()
    return {"l1_norm": sizes.sum().item(), "largest_weight": sizes.max().item()}


def _per_run(values: Tensor, weight: Tensor) -> Tensor:
    return values.view(-1, *[1] * (weight.dim() - 1))


def _gradient(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return weight.grad
