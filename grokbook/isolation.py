"""Four ways to isolate a circuit in a network that adds, and noise on its weights: is efficiency robust to the choice?

Section 5.1 takes the correct logit of the whole network for that of its only circuit. Each way of isolating the
generalising circuit puts another number in its place, and each, through ln P = ... + (1 / kappa) ln o, another norm.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from grokbook.circuits import centre, key_frequencies, logit_table, split_logits, without_embedded
from grokbook.model import Params
from grokbook.tasks import Task

WAYS = ("whole", "trigonometric", "held out", "key frequencies")


def isolated_logits(params: Params, task: Task, train: Int[Tensor, "train"]) -> dict[str, float]:
    """The mean correct logit, centred over classes, of one run [1, ...] on modular addition, by each of WAYS.

    whole: on the train equations, as Section 5.1 has it. trigonometric: of the projection (Appendix B), the same on all
    inputs. held out: on the mirror-free test equations, where nothing can have been memorised; nan if there are none.
    key frequencies: on the train equations, with all other frequencies taken out of the embedding.
    """
    table = centre(logit_table(params)[0].double())
    keys = key_frequencies(table)
    others = [k for k in range(1, (task.n_classes + 1) // 2) if k not in keys]
    ablated = centre(logit_table(without_embedded(params, others))[0].double())
    test = torch.ones(len(task), dtype=torch.bool)
    test[train] = False
    unseen = task.mirror_free(train, test.nonzero()[:, 0])
    readings = ((table, train), (split_logits(table)[0], train), (table, unseen), (ablated, train))
    means = [_correct(logits, task)[pairs].mean().item() for logits, pairs in readings]
    return dict(zip(WAYS, means, strict=True))


def with_noise(params: Params, size: float, seed: int) -> Params:
    """The networks with Gaussian noise added to every weight tensor, of `size` times its root mean square.

    Raises ValueError unless size is at least 0.
    """
    if not size >= 0:
        raise ValueError(f"size is {size}; it must be at least 0")
    generator = torch.Generator().manual_seed(seed)
    noisy = {}
    for name, weight in params.items():
        scale = weight.square().flatten(1).mean(dim=1).sqrt().view(-1, *[1] * (weight.dim() - 1))
        noisy[name] = weight + size * scale * torch.randn(weight.shape, generator=generator)
    return noisy


def _correct(logits: Tensor, task: Task) -> Tensor:
    """The correct logit of every equation, from logits [a, b, c]."""
    return logits.flatten(0, 1).gather(1, task.label[:, None])[:, 0]
