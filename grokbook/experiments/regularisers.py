"""Chapter 13: what holds the weights down, exchanged; from random weights, and on fewer pairs after the whole table.

Strengths were chosen with one run each (seed 0, D = 400): those at which the train set is still fitted.
"""

from dataclasses import replace
from itertools import product
from typing import Any

from grokbook.experiments.grids import TINY
from grokbook.training import TrainConfig

STEPS = 6000
KEPT = (70, 105, 160, 240)  # chapter 12's
SGD = {"regulariser": "l2", "optimiser": "sgd", "learning_rate": 0.03}  # three times as much diverges
NONE = {"weight_decay": 0.0}
KINDS: tuple[tuple[dict[str, Any], tuple[float, ...]], ...] = (
    ({}, (1.0, 3.0, 0.3, 10.0, 0.1)),
    (NONE, (0.0,)),
    ({"loss": "cross-entropy"}, (0.0,)),
    ({"regulariser": "l1"}, (1e-5, 1e-6)),
    ({"regulariser": "linf"}, (4.0, 3.0)),
    ({"regulariser": "l2"}, (1e-5, 1e-4)),
    ({"dropout": 0.2}, (0.0,)),
    (SGD, (1e-3, 3e-3)),
)
"""How each kind differs from AdamW, and its strengths, the first of which is for forgetting too."""


def scratch(size: int, seeds: range) -> list[TrainConfig]:
    """Every kind at every strength, from random weights."""
    base = TrainConfig("add", 23, size, STEPS, model=TINY)
    return [
        replace(base, seed=seed, **(change | {"weight_decay": strength}))
        for change, strengths in KINDS
        for strength, seed in product(strengths, seeds)
    ]


def forgetting(seeds: range, start: int = 5000) -> list[TrainConfig]:
    """On fewer pairs, after `start` steps of the same kind on all of them.

    Without a regulariser the start is AdamW's, as nothing else would make a network on the whole table generalise.
    """
    base, runs = TrainConfig("add", 23, 529, start, model=TINY), []
    for change, strengths in KINDS:
        explicit = strengths[0] > 0 and change != SGD
        if not explicit and change != NONE:
            continue
        for seed, size in product(seeds, KEPT):
            kind = replace(base, seed=seed, **(change | {"weight_decay": strengths[0]}))
            begun = kind if explicit else replace(base, seed=seed)
            runs.append(replace(kind, train_size=size, steps=STEPS, start=begun))
    return runs


def regularisers_small() -> list[TrainConfig]:
    """Three seeds of everything come before five."""
    runs: list[TrainConfig] = []
    for seeds in (range(3), range(3, 5)):
        runs += scratch(420, seeds) + forgetting(seeds) + scratch(340, seeds)
    return runs


def regularisers_live() -> list[TrainConfig]:
    base = TrainConfig("add", 23, 460, 1200, model=TINY)
    return [
        replace(base, **change) for change in ({"weight_decay": 3.0}, {"regulariser": "l1", "weight_decay": 1e-5}, NONE)
    ]
