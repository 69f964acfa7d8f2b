"""Modular addition from random weights: grokking, semi-grokking, and which frequencies are used."""

from dataclasses import replace

import numpy as np

from grokbook.experiments.grids import NARROW, TINY, grid
from grokbook.training import TrainConfig


def grokking(precision: str = "highest", seeds: int = 4) -> list[TrainConfig]:
    """Appendix A's setting: 30% of all pairs, weight decay 1; one run a seed."""
    return grid(TrainConfig("add", 113, 3831, 10_000, precision=precision), [3831], [1.0], range(seeds))


def grokking_live() -> list[TrainConfig]:
    """One run at modulus 53 that groks within its 2500 steps."""
    return [TrainConfig("add", 53, 1400, 2500, seed=1, model=NARROW)]


def semi_grokking_live() -> list[TrainConfig]:
    """Three sizes around which runs of so few steps begin to grok, two seeds."""
    return grid(TrainConfig("add", 23, 300, 4000, model=TINY), [300, 340, 400], [1.0], range(2))


STILL_MOVING = {
    260: (0, 1, 2, 3, 4, 5, 6, 7, 9),
    270: (0, 1, 2, 4, 5, 6, 7, 8, 9),
    280: (0, 1, 2, 3, 5, 6, 7),
    290: (0, 3, 4, 9),
    300: (0, 3, 5, 6, 7, 8, 9),
    310: (0, 8, 9),
    320: (0, 2, 6, 8, 9),
}
"""Train size: the seeds whose runs had not converged after 40,000 steps, and so have four times as many."""
NEARER_THE_TIE = range(130, 230, 20)  # chapter 12's prices put D_crit at 126


def semi_grokking_small() -> list[TrainConfig]:
    """Figure 5 at modulus 23: 15 sizes, 130 to 320, ten seeds; those of STILL_MOVING have 160,000 steps, not 40,000."""
    sizes = [*NEARER_THE_TIE, *range(230, 330, 10)]
    runs = grid(TrainConfig("add", 23, 280, 40_000, model=TINY), sizes, [1.0], range(10))
    return [replace(run, steps=160_000) if run.seed in STILL_MOVING.get(run.train_size, ()) else run for run in runs]


def semi_grokking_paper() -> list[TrainConfig]:
    """Figure 5's 20 sizes and 10 seeds, for 30 million steps."""
    sizes = np.linspace(1500, 2050, 20).round().astype(int).tolist()
    return grid(TrainConfig("add", 113, 1500, 30_000_000), sizes, [1.0], range(10))


def key_frequencies(seeds: int) -> list[TrainConfig]:
    """Networks that all grok, each from weights and on a train set of its own."""
    sizes = (460, 420, 380, 340)  # one size a seed: every network has an initialisation of its own
    return [TrainConfig("add", 23, sizes[seed % 4], 3000, seed=seed, model=TINY) for seed in range(seeds)]
