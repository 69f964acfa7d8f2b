"""One circuit alone (Section 5.1): memorisation on random labels, generalisation on large train sets."""

from dataclasses import replace

from grokbook.experiments.grids import NARROW, geometric, grid
from grokbook.training import TrainConfig

DECAYS = (1.0, 0.5, 2.0, 3.0)
DECAYS_113 = (1.0, 2.0, 0.6, 1.5)


def memorisation_live() -> list[TrainConfig]:
    """Random labels at three sizes, under a weight decay at which the norm comes to rest soon."""
    base = TrainConfig("add", 23, 60, 1500, random_labels=True, model=NARROW)
    return grid(base, [60, 120, 240], [2.0], range(2))


def memorisation_small() -> list[TrainConfig]:
    """Random labels at sizes that double, from 5% of the table to 85%."""
    base = TrainConfig("add", 53, 150, 8000, random_labels=True, model=NARROW)
    return grid(base, geometric(150, 2400, 5), DECAYS, range(5))


def memorisation_113() -> list[TrainConfig]:
    """Three seeds. The largest size costs as much as the others together, and comes after them."""
    base, runs = TrainConfig("add", 113, 500, 10_000, random_labels=True), []
    for seed in range(3):
        for sizes in ([500, 1000, 2000, 4000], [8000]):
            runs += grid(base, sizes, DECAYS_113, [seed])
    return runs


def memorisation_paper() -> list[TrainConfig]:
    """The train sizes of Figure 3a; the paper does not give its weight decays."""
    base = TrainConfig("add", 113, 500, 30_000, random_labels=True)
    return grid(base, [500, 1000, 2000, 4000, 8000], [1.0, 0.3, 0.4, 0.6, 0.8, 1.5, 2.0], range(5))


def generalisation_live() -> list[TrainConfig]:
    """True labels on 85% of the table, three seeds."""
    return grid(TrainConfig("add", 23, 450, 1500, model=NARROW), [450], [2.0], range(3))


def generalisation_small() -> list[TrainConfig]:
    """True labels on 53% to 96% of the table; on less few networks grok within the steps."""
    return grid(TrainConfig("add", 53, 1500, 6000, model=NARROW), [1500, 1900, 2300, 2700], DECAYS, range(5))


def generalisation_113() -> list[TrainConfig]:
    """Three seeds. Time to grok, which small sets take more of, and as much again or more for the norm to follow."""
    steps = {4000: 15_000, 5500: 10_000, 7000: 8000, 8500: 6000}  # at weight decay 1
    runs = grid(TrainConfig("add", 113, 4000, 15_000), steps, DECAYS_113, range(3))
    return [replace(run, steps=round(steps[run.train_size] / run.weight_decay)) for run in runs]


def generalisation_paper() -> list[TrainConfig]:
    """The train sizes of Figure 3c and one more, with the weight decays of memorisation."""
    base = TrainConfig("add", 113, 4000, 30_000)
    return grid(base, [4000, 5500, 7000, 8500, 10000], [1.0, 0.3, 0.4, 0.6, 0.8, 1.5, 2.0], range(5))
