"""Chapter 13: what holds the weights down, exchanged; from random weights, and on fewer pairs after the whole table.

Strengths were chosen with one run each (seed 0, D = 400): those at which the train set is still fitted.
"""

from dataclasses import replace
from itertools import product
from typing import Any

from grokbook.experiments.grids import TINY
from grokbook.training import TrainConfig

Kinds = tuple[tuple[dict[str, Any], tuple[float, ...]], ...]

BASE = TrainConfig("add", 23, 420, 5000, model=TINY)
KEPT = (70, 105, 160, 240)  # chapter 12's
LATER = 2  # times as many steps without a regulariser
SGD = {"regulariser": "l2", "optimiser": "sgd", "learning_rate": 0.03}  # three times as much diverges
EXPLICIT: Kinds = (
    ({}, (1.0,)),
    ({"regulariser": "l1"}, (1e-5,)),
    ({"regulariser": "linf"}, (4.0,)),
    ({"regulariser": "l2"}, (1e-5,)),
)
"""How each kind differs from AdamW, and its strengths."""
DECAYS: Kinds = (({}, (0.3, 3.0)),)
WIDER: Kinds = (({}, (0.1, 10.0)),)
NONE: Kinds = (({}, (0.0,)), ({"loss": "cross-entropy"}, (0.0,)))
MORE: Kinds = ((SGD, (3e-3,)), ({"dropout": 0.2}, (0.0,)))
STRENGTHS: Kinds = (
    ({"regulariser": "linf"}, (3.0,)),
    ({"regulariser": "l1"}, (1e-6,)),
    ({"regulariser": "l2"}, (1e-4,)),
    (SGD, (1e-3,)),
)


def scratch(kinds: Kinds, seeds: range, base: TrainConfig = BASE) -> list[TrainConfig]:
    """Every kind at every strength, from random weights."""
    return [
        replace(base, seed=seed, **(change | {"weight_decay": strength}))
        for change, strengths in kinds
        for strength, seed in product(strengths, seeds)
    ]


def forgetting(kinds: Kinds, seeds: range, steps: int = 3000) -> list[TrainConfig]:
    """On fewer pairs for `steps` steps, after as many on all of them under the same regulariser.

    Without a regulariser the start is AdamW's, as nothing else would make a network on the whole table generalise.
    """
    whole, runs = replace(BASE, train_size=529, steps=steps), []
    for config in scratch(kinds, seeds, whole):
        begun = config if config.weight_decay else replace(config, weight_decay=1.0)
        runs += [replace(config, train_size=size, start=begun) for size in KEPT]
    return runs


def regularisers_small() -> list[TrainConfig]:
    """Three seeds of everything come before five."""
    long, scarce = replace(BASE, steps=LATER * BASE.steps), replace(BASE, train_size=340)
    runs: list[TrainConfig] = []
    for seeds in (range(3), range(3, 5)):
        runs += scratch(EXPLICIT + DECAYS, seeds) + forgetting(EXPLICIT + NONE[:1], seeds)
        runs += scratch(MORE, seeds) + scratch(NONE, seeds, long) + scratch(WIDER, seeds)
        runs += scratch(EXPLICIT + DECAYS + MORE, seeds, scarce)
    return runs + scratch(STRENGTHS, range(5))


def regularisers_live() -> list[TrainConfig]:
    base = replace(BASE, train_size=460, steps=1200)
    return scratch((({}, (3.0,)), EXPLICIT[1], NONE[0]), range(1), base)
