"""Networks trained on all pairs, then on fewer of them (Section 5.2): ungrokking, on addition and the other tasks."""

from collections.abc import Iterable
from dataclasses import replace

from grokbook.experiments.grids import DECAYS, NARROW, TINY, from_full, from_scratch, geometric, grid, slower
from grokbook.training import TrainConfig

MODULAR = ("subtract", "multiply", "divide", "divide-or-subtract", "sum-of-squares", "quadratic-form")
PERMUTATIONS = ("s5-conjugate", "s5-compose", "s5-sandwich")


def ungrokking_live() -> list[TrainConfig]:
    """Four sizes from far below the critical one to above it, two weight decays."""
    base = TrainConfig("add", 31, 100, 700, model=NARROW)
    return from_full(grid(base, [40, 90, 200, 430], [1.0, 2.0], [0]), steps=1500)


def ungrokking_small() -> list[TrainConfig]:
    """One seed of every weight decay but the slowest, three seeds of weight decay 1, the rest, three more of 1."""
    base, sizes = TrainConfig("add", 53, 120, 20_000, model=NARROW), geometric(120, 900, 10)
    runs = grid(base, sizes, DECAYS, [0]) + grid(base, sizes, [1.0], range(1, 3))
    for seed in range(3):
        of_seed = grid(base, sizes, DECAYS, [seed])
        runs += of_seed + slower(of_seed, 0.1, 40_000)
    runs += grid(base, sizes, [1.0], range(3, 6))
    return from_full(list(dict.fromkeys(runs)), steps=6000)


def ungrokking_113() -> list[TrainConfig]:
    """Figure 7's seven sizes at weight decay 1, three seeds."""
    base = TrainConfig("add", 113, 390, 20_000)
    return from_full(grid(base, geometric(390, 1494, 7), [1.0], range(3)), steps=5000)


def long_ungrokking_113() -> list[TrainConfig]:
    """The same sizes and starts with the paper's 100,000 steps, those across the transition first."""
    base, sizes = TrainConfig("add", 113, 390, 100_000), geometric(390, 1494, 7)
    runs = grid(base, sizes[2:5], [1.0], range(3)) + grid(base, sizes, [1.0], range(3))
    return from_full(list(dict.fromkeys(runs)), steps=5000)


def ungrokking_113_decay() -> list[TrainConfig]:
    """The other weight decays, as long as weight decay 1 has and 0.1 twice as long: the same as at p = 53."""
    base, sizes = TrainConfig("add", 113, 390, 20_000), geometric(390, 1494, 7)[1:5]
    runs = grid(base, sizes, [0.5, 2.0, 1.5], range(3))
    return from_full(runs + slower(runs, 0.1, 40_000), steps=5000)


def ungrokking_paper() -> list[TrainConfig]:
    """Figure 7's sizes for a million steps, and Figure 4's weight decays over a wider range for 100,000."""
    long = grid(TrainConfig("add", 113, 390, 1_000_000), geometric(390, 1494, 7), [1.0], range(10))
    wide = grid(TrainConfig("add", 113, 390, 100_000), geometric(300, 12_000, 16), [*DECAYS, 0.1], range(3))
    return from_full(long + wide, steps=20_000)


def trading_small() -> list[TrainConfig]:
    """The twins of `ungrokking_small` from random weights, and larger sets from trained networks."""
    base = TrainConfig("add", 53, 1200, 5000, model=NARROW)
    large = from_full(grid(base, geometric(1200, 2600, 4), [1.0, 0.5, 2.0], range(3)), steps=6000)
    twins = [run for run in from_scratch(ungrokking_small()) if run.seed < 3]
    return sorted(twins + large, key=lambda run: run.seed)


def _other(
    tasks: Iterable[str], base: TrainConfig, sizes: Iterable[int], decays: Iterable[float], seeds: int, start: int
):
    runs = [replace(run, task=task) for run in grid(base, sizes, decays, range(seeds)) for task in tasks]
    return from_full(runs, steps=start)


def other_tasks_live() -> list[TrainConfig]:
    """Three of the tasks, at four sizes each."""
    base = TrainConfig("subtract", 23, 50, 2000, model=TINY)
    return _other(("subtract", "multiply", "sum-of-squares"), base, [50, 90, 150, 250], [1.0], 1, start=2000)


def other_tasks_small() -> list[TrainConfig]:
    """The six modular tasks at eight sizes, two weight decays and two seeds."""
    base = TrainConfig("subtract", 53, 150, 12_000, model=NARROW)
    return _other(MODULAR, base, geometric(150, 1600, 8), [1.0, 0.5], 2, start=6000)


def other_tasks_s5() -> list[TrainConfig]:
    """Composition first: its start knows the whole table after 5000 steps, when conjugation has half of it
    (and 71% after 20,000)."""
    base, sizes, decays = TrainConfig("s5-compose", 0, 1000, 10_000, model=NARROW), geometric(500, 8000, 8), [1.0, 0.5]
    compose = _other(["s5-compose"], base, sizes, decays, 1, start=5000)
    return compose + _other(["s5-conjugate", "s5-sandwich"], base, sizes, decays, 1, start=20_000)


def other_tasks_paper() -> list[TrainConfig]:
    """All nine tasks with Figure 8's 100,000 steps and weight decays."""
    base = TrainConfig("subtract", 113, 300, 100_000)
    sizes, decays = geometric(300, 12_000, 12), [*DECAYS, 0.1]
    return _other((*MODULAR, *PERMUTATIONS), base, sizes, decays, 3, start=20_000)
