"""Chapter 12: memorising, generalising and forgetting under the same conditions, to predict D_crit and to measure it.

A condition is a task, a modulus, a model and a weight decay. Its generalising networks are trained on the whole table;
runs that forget go on from these with fewer pairs, at the same weight decay. Random labels are of no task, so the
memorising networks of one modulus and model serve all its tasks.
"""

from dataclasses import replace

from grokbook.experiments.grids import NARROW, TINY, grid
from grokbook.training import TrainConfig

DECAYS = (1.0, 2.0)
TIME = 10.0  # decay time, eta * lambda * t, of the runs that forget
START = 3000  # steps on the whole table; after half of them not all networks know it
RATE = 2e-3  # twice the usual, so that decay times pass in half the steps
KEPT = {23: (70, 110, 180), 29: (90, 145, 230), 31: (100, 160, 250)}  # about where half is forgotten in short runs
RANDOM = {23: (80, 130, 210), 29: (100, 170, 280), 31: (110, 190, 300)}  # around the norm of the generalising networks


def memorising(
    base: TrainConfig, sizes: tuple[int, ...], seeds: range, decays: tuple[float, ...], steps: int
) -> list[TrainConfig]:
    """Networks on random labels, which no task tells apart; `base` gives all but these settings."""
    return grid(replace(base, task="add", random_labels=True, steps=steps), sizes, decays, seeds)


def forgetting(
    base: TrainConfig, sizes: tuple[int, ...], seeds: range, decay: float, time: float = TIME, start: int = START
) -> list[TrainConfig]:
    """Runs that each continue a network trained on all equations, with the same weight decay."""
    whole = len(base.make_task())
    runs = grid(replace(base, steps=round(time / (base.learning_rate * decay))), sizes, [decay], seeds)
    return [replace(run, start=replace(run, train_size=whole, steps=start)) for run in runs]


def threshold_small() -> list[TrainConfig]:
    """In the order of importance: three seeds of a condition come before any more of it, and of most others."""
    runs: list[TrainConfig] = []
    for task, modulus, model, decay, seeds in (
        ("add", 23, TINY, 2.0, range(3)),
        ("add", 23, TINY, 1.0, range(3)),
        ("add", 31, TINY, 1.0, range(3)),
        ("sum-of-squares", 23, TINY, 1.0, range(3)),
        ("add", 23, NARROW, 2.0, range(3)),
        ("subtract", 23, TINY, 1.0, range(3)),
        ("multiply", 23, TINY, 1.0, range(3)),
        ("add", 23, NARROW, 1.0, range(3)),
        ("add", 29, TINY, 1.0, range(3)),
        ("sum-of-squares", 31, TINY, 1.0, range(3)),
        ("add", 23, TINY, 1.0, range(3, 6)),
        ("add", 31, TINY, 2.0, range(3)),  # none of these learned the table within START steps
        ("add", 23, TINY, 2.0, range(3, 6)),
        ("add", 31, TINY, 1.0, range(3, 6)),
        ("add", 23, NARROW, 2.0, range(3, 6)),
        ("sum-of-squares", 23, TINY, 1.0, range(3, 6)),
        ("subtract", 23, TINY, 1.0, range(3, 6)),
        ("multiply", 23, TINY, 1.0, range(3, 6)),
        ("add", 23, NARROW, 1.0, range(3, 6)),
        ("add", 29, TINY, 1.0, range(3, 6)),
        ("sum-of-squares", 31, TINY, 1.0, range(3, 6)),
        ("multiply", 23, TINY, 1.0, range(6, 9)),  # two of the first six did not learn the table
    ):
        base = TrainConfig(task, modulus, KEPT[modulus][0], 0, learning_rate=RATE, model=model)
        runs += memorising(base, RANDOM[modulus], seeds, DECAYS, 2500)
        runs += forgetting(base, KEPT[modulus], seeds, decay)
    return list(dict.fromkeys(runs))


def threshold_live() -> list[TrainConfig]:
    """Two sizes of random labels, one network that learns the table, and three that forget it in part."""
    base = TrainConfig("add", 23, KEPT[23][0], 0, learning_rate=RATE, model=TINY)
    random = memorising(base, (80, 150), range(1), (2.0,), 1600)
    return random + forgetting(base, KEPT[23], range(1), 2.0, time=3.0, start=1600)
