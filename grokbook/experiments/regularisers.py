"""Chapter 13: what holds the weights down, exchanged; from random weights, and on fewer pairs after the whole table.

Strengths were chosen with one run each (seed 0, D = 400): those at which the train set is still fitted.
"""

from dataclasses import replace
from itertools import product
from typing import Any

from grokbook.experiments.grids import TINY
from grokbook.training import TrainConfig

Kinds = tuple[tuple[dict[str, Any], tuple[float, ...]], ...]

BASE = TrainConfig("add", 23, 420, 40_000, model=TINY)
SHORT = replace(BASE, steps=5000)  # random labels, and scarce data
KEPT = (80, 130, 210)  # pairs left after the whole table, and pairs with random labels
MANY = (300, 420)  # where dropout, which charges for nothing, should have nothing to forget for
SGD = {"regulariser": "l2", "optimiser": "sgd", "learning_rate": 0.03}  # three times as much diverges
EXPLICIT: Kinds = (
    ({}, (1.0,)),
    ({"regulariser": "l1"}, (1e-5,)),
    ({"regulariser": "l2"}, (1e-4,)),
)
"""How each kind differs from AdamW, and its strengths."""
BOUND: Kinds = (({"regulariser": "linf"}, (4.0,)),)
DECAYS: Kinds = (({}, (0.3, 3.0, 0.1, 10.0)),)
NONE: Kinds = (({}, (0.0,)), ({"loss": "cross-entropy"}, (0.0,)))
BARER: Kinds = ((SGD, (0.0,)), ({"epsilon": 1e-16}, (0.0,)))  # nothing, without what slows Adam down at small losses
SMALL_STEPS: Kinds = ((SGD, (3e-3,)),)
DROPOUT: Kinds = (({"dropout": 0.2}, (0.0,)),)
GRADIENT: Kinds = ((SGD, (1e-3,)),)
STRENGTHS: Kinds = (
    ({"regulariser": "linf"}, (3.0,)),
    ({"regulariser": "l1"}, (1e-6,)),
    ({"regulariser": "l2"}, (1e-5,)),
)


def scratch(kinds: Kinds, seeds: range, base: TrainConfig = BASE) -> list[TrainConfig]:
    """Every kind at every strength, from random weights."""
    return [
        replace(base, seed=seed, **(change | {"weight_decay": strength}))
        for change, strengths in kinds
        for strength, seed in product(strengths, seeds)
    ]


def forgetting(
    kinds: Kinds, seeds: range, start: int = 6000, steps: int = 10_000, sizes: tuple[int, ...] = KEPT
) -> list[TrainConfig]:
    """On fewer pairs for `steps` steps, after `start` on all of them under the same regulariser.

    Where no norm is charged for the start is weight decay's, which makes a network on the whole table generalise.
    """
    whole, runs = replace(BASE, train_size=529, steps=start), []
    for config in scratch(kinds, seeds, whole):
        begun = config if config.weight_decay else replace(config, weight_decay=1.0, dropout=0.0)
        runs += [replace(config, train_size=size, steps=steps, start=begun) for size in sizes]
    return runs


def memorising(kinds: Kinds, seeds: range, steps: int = SHORT.steps) -> list[TrainConfig]:
    """Random labels at each of the sizes KEPT: what memory costs in the norm that a regulariser charges for."""
    random = replace(SHORT, random_labels=True, steps=steps)
    return [run for size in KEPT for run in scratch(kinds, seeds, replace(random, train_size=size))]


def regularisers_small() -> list[TrainConfig]:
    """Three seeds of everything come before five, and last what was added later.

    The L2 penalty of `GRADIENT` shrinks weights by learning_rate * strength / (1 - momentum) a step, three times more
    slowly than AdamW does, and its runs are three times as long.
    """
    scarce, runs = replace(SHORT, train_size=340), []
    for seeds in (range(3), range(3, 5)):
        runs += scratch(EXPLICIT + BOUND + DECAYS + NONE, seeds) + forgetting(EXPLICIT + NONE[:1], seeds)
        runs += scratch(SMALL_STEPS + DROPOUT, seeds) + forgetting(BOUND, seeds)
        runs += memorising(EXPLICIT + BOUND, seeds)
        runs += scratch(EXPLICIT + BOUND + NONE[:1], seeds, scarce)
    runs += scratch(STRENGTHS + GRADIENT, range(5)) + forgetting(DROPOUT, range(5))
    slow = forgetting(GRADIENT, range(5), 20_000, 30_000)
    runs += slow + memorising(GRADIENT, range(5), 15_000)
    runs += scratch(BARER, range(5)) + [replace(run, weight_decay=0.0) for run in slow]
    return runs + forgetting(DROPOUT, range(5), sizes=MANY)


def regularisers_live() -> list[TrainConfig]:
    """None of the three has weight decay."""
    base = replace(BASE, train_size=400, steps=1600)
    return scratch((EXPLICIT[2], EXPLICIT[1], NONE[0]), range(1), base)
