"""What the lists of runs are made with: the two small models, grids, and runs that continue or restart others."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import numpy as np

from grokbook.model import ModelConfig
from grokbook.training import TrainConfig

NARROW = ModelConfig(d_model=64, d_head=32, d_mlp=256)
TINY = ModelConfig(d_model=32, d_head=16, d_mlp=128)
DECAYS = (1.0, 0.5, 1.5, 2.0)


def geometric(low: int, high: int, count: int) -> list[int]:
    """`count` whole numbers from low to high in equal ratios."""
    return np.geomspace(low, high, count).round().astype(int).tolist()


def grid(base: TrainConfig, sizes: Iterable[int], decays: Iterable[float], seeds: Iterable[int]) -> list[TrainConfig]:
    """One run for each seed, weight decay and train size, in that order of importance."""
    return [
        replace(base, seed=seed, weight_decay=decay, train_size=size)
        for seed, decay, size in product(seeds, decays, list(sizes))
    ]


def slower(runs: list[TrainConfig], decay: float, steps: int) -> list[TrainConfig]:
    """The same runs with weight decay `decay` and more steps, for weights decay at learning_rate * weight_decay."""
    once = {replace(run, weight_decay=decay, steps=steps) for run in runs}
    return sorted(once, key=lambda run: (run.seed, run.task, run.train_size))


def from_full(runs: list[TrainConfig], steps: int) -> list[TrainConfig]:
    """The same runs, each continuing a network trained on all equations with weight decay 1: ungrokking."""
    return [
        replace(run, start=replace(run, train_size=len(run.make_task()), weight_decay=1.0, steps=steps)) for run in runs
    ]


def from_scratch(runs: Iterable[TrainConfig]) -> list[TrainConfig]:
    """Twins of the runs of weight decay 1: the same but for random initial weights."""
    return [replace(run, start=None) for run in runs if run.weight_decay == 1]
