"""Modular addition from random weights: grokking, semi-grokking, and which frequencies are used."""

import numpy as np

from grokbook.experiments.grids import NARROW, TINY, grid
from grokbook.training import TrainConfig


def grokking(precision: str = "highest", seeds: int = 4) -> list[TrainConfig]:
    return grid(TrainConfig("add", 113, 3831, 10_000, precision=precision), [3831], [1.0], range(seeds))


def grokking_live() -> list[TrainConfig]:
    return [TrainConfig("add", 53, 1400, 2500, seed=1, model=NARROW)]


def semi_grokking_live() -> list[TrainConfig]:
    return grid(TrainConfig("add", 23, 300, 4000, model=TINY), [300, 340, 400], [1.0], range(2))


def semi_grokking_small() -> list[TrainConfig]:
    return grid(TrainConfig("add", 23, 280, 40_000, model=TINY), range(230, 330, 10), [1.0], range(10))


def semi_grokking_paper() -> list[TrainConfig]:
    sizes = np.linspace(1500, 2050, 20).round().astype(int).tolist()
    return grid(TrainConfig("add", 113, 1500, 30_000_000), sizes, [1.0], range(10))


def key_frequencies(seeds: int) -> list[TrainConfig]:
    sizes = (460, 420, 380, 340)  # one size a seed: every network has an initialisation of its own
    return [TrainConfig("add", 23, sizes[seed % 4], 3000, seed=seed, model=TINY) for seed in range(seeds)]
