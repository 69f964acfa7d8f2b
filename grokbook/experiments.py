"""Each figure's sweep as a list of runs, at three scales.

live: seconds to two minutes on two CPU cores, in the chapter; the modulus is 53, 31 or 23.
small: what the repository records; hours on two cores. An experiment whose name ends in -113 uses Appendix A's model at
the paper's modulus, the others a narrower one at modulus 53, 31 or 23.
paper: as Varma et al. 2023 describe the figure, for a GPU or a cluster.

Runs are listed most important first; a sweep takes them roughly in that order. What is measured, and when, is a
function of the run alone (`metrics`, `log_steps`), so that experiments can share runs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from grokbook.circuits import key_metric, trig_metrics
from grokbook.model import ModelConfig
from grokbook.training import Metric, TrainConfig, log_spaced

SCALES = ("live", "small", "paper")
NARROW = ModelConfig(d_model=64, d_head=32, d_mlp=256)
TINY = ModelConfig(d_model=32, d_head=16, d_mlp=128)
DECAYS = (1.0, 0.5, 1.5, 2.0)
P1_DECAYS = (1.0, 0.5, 2.0, 3.0)
Scales = Mapping[str, Callable[[], list[TrainConfig]]]


@dataclass(frozen=True)
class Experiment:
    """The runs behind one or more figures of the paper; `keeps_network`: the first run's network is recorded too."""

    name: str
    figure: str
    description: str
    scales: Scales
    keeps_network: bool = False

    def runs(self, scale: str) -> list[TrainConfig]:
        """The runs at `scale`, most important first; those they start from are not listed. Raises ValueError."""
        if scale not in self.scales:
            raise ValueError(f"scale is {scale!r}; {self.name} has {', '.join(self.scales)}")
        return self.scales[scale]()


def metrics(config: TrainConfig) -> tuple[Metric, ...]:
    """The extra columns of a run's history: the trigonometric proxies wherever the task is modular addition.

    The small networks of model TINY also say which frequencies they use, as only their tables are recorded.
    """
    has_trig = config.task == "add" and config.modulus % 2 == 1 and not config.random_labels
    if not has_trig:
        return ()
    return (trig_metrics, key_metric) if config.model == TINY else (trig_metrics,)


def log_steps(config: TrainConfig) -> list[int]:
    """The steps after which a run is measured: 30 a factor of ten."""
    return log_spaced(config.steps, per_decade=30)


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


def _grokking(precision: str = "highest", seeds: int = 4) -> list[TrainConfig]:
    return grid(TrainConfig("add", 113, 3831, 10_000, precision=precision), [3831], [1.0], range(seeds))


def _grokking_live() -> list[TrainConfig]:
    return [TrainConfig("add", 53, 1400, 2500, seed=1, model=NARROW)]


def _memorisation_live() -> list[TrainConfig]:
    base = TrainConfig("add", 53, 150, 1500, random_labels=True, model=NARROW)
    return grid(base, [150, 300, 600], [2.0], range(2))


def _memorisation_small() -> list[TrainConfig]:
    base = TrainConfig("add", 53, 150, 8000, random_labels=True, model=NARROW)
    return grid(base, geometric(150, 2400, 5), P1_DECAYS, range(5))


def _memorisation_113(seeds: int = 2) -> list[TrainConfig]:
    base = TrainConfig("add", 113, 500, 10_000, random_labels=True, precision="medium")
    runs = grid(base, [500, 1000, 2000, 4000, 8000], [1.0, 0.6, 2.0], range(seeds))
    return runs + slower(runs, 0.3, 20_000)


def _memorisation_paper() -> list[TrainConfig]:
    base = TrainConfig("add", 113, 500, 30_000, random_labels=True)
    return grid(base, [500, 1000, 2000, 4000, 8000], [1.0, 0.3, 0.4, 0.6, 0.8, 1.5, 2.0], range(5))


def _generalisation_live() -> list[TrainConfig]:
    return grid(TrainConfig("add", 53, 1600, 1500, model=NARROW), [1600, 2400], [2.0], range(2))


def _generalisation_small() -> list[TrainConfig]:
    return grid(TrainConfig("add", 53, 1500, 6000, model=NARROW), [1500, 1900, 2300, 2700], P1_DECAYS, range(5))


def _generalisation_113() -> list[TrainConfig]:
    base = TrainConfig("add", 113, 4000, 10_000, precision="medium")
    runs = grid(base, [4000, 5500, 7000, 8500], [1.0, 0.6, 2.0], range(2))
    return runs + slower(runs, 0.3, 20_000)


def _generalisation_paper() -> list[TrainConfig]:
    base = TrainConfig("add", 113, 4000, 30_000)
    return grid(base, [4000, 5500, 7000, 8500, 10000], [1.0, 0.3, 0.4, 0.6, 0.8, 1.5, 2.0], range(5))


def _ungrokking_live() -> list[TrainConfig]:
    base = TrainConfig("add", 31, 100, 1600, model=NARROW)
    return from_full(grid(base, [60, 100, 160, 260, 430], [1.0, 0.5, 2.0], [0]), steps=3000)


def _ungrokking_small() -> list[TrainConfig]:
    base = TrainConfig("add", 53, 120, 20_000, model=NARROW)
    runs: list[TrainConfig] = []
    for seed in range(3):
        of_seed = grid(base, geometric(120, 900, 10), DECAYS, [seed])
        runs += of_seed + slower(of_seed, 0.1, 40_000)
    return from_full(runs, steps=6000)


def _ungrokking_113() -> list[TrainConfig]:
    base = TrainConfig("add", 113, 390, 100_000)
    return from_full(grid(base, geometric(390, 1494, 7), [1.0], range(3)), steps=5000)


def _ungrokking_113_decay() -> list[TrainConfig]:
    sizes = geometric(390, 1494, 7)[1:5]
    base = TrainConfig("add", 113, 390, 50_000)
    runs = grid(base, sizes, [0.5, 2.0, 1.5], range(3))
    return from_full(runs + slower(runs, 0.1, 100_000), steps=5000)


def _ungrokking_paper() -> list[TrainConfig]:
    long = grid(TrainConfig("add", 113, 390, 1_000_000), geometric(390, 1494, 7), [1.0], range(10))
    wide = grid(TrainConfig("add", 113, 390, 100_000), geometric(300, 12_000, 16), [*DECAYS, 0.1], range(3))
    return from_full(long + wide, steps=20_000)


def from_scratch(runs: Iterable[TrainConfig]) -> list[TrainConfig]:
    """Twins of the runs of weight decay 1: the same but for random initial weights."""
    return [replace(run, start=None) for run in runs if run.weight_decay == 1]


def _trading_small() -> list[TrainConfig]:
    base = TrainConfig("add", 53, 1200, 5000, model=NARROW)
    large = from_full(grid(base, geometric(1200, 2600, 4), [1.0, 0.5, 2.0], range(3)), steps=6000)
    return sorted(from_scratch(_ungrokking_small()) + large, key=lambda run: run.seed)


MODULAR = ("subtract", "multiply", "divide", "divide-or-subtract", "sum-of-squares", "quadratic-form")
PERMUTATIONS = ("s5-conjugate", "s5-compose", "s5-sandwich")


def _other(
    tasks: Iterable[str], base: TrainConfig, sizes: Iterable[int], decays: Iterable[float], seeds: int, start: int
):
    runs = [replace(run, task=task) for run in grid(base, sizes, decays, range(seeds)) for task in tasks]
    return from_full(runs, steps=start)


def _other_tasks_live() -> list[TrainConfig]:
    base = TrainConfig("subtract", 23, 50, 2000, model=TINY)
    return _other(("subtract", "multiply", "sum-of-squares"), base, [50, 90, 150, 250], [1.0], 1, start=2000)


def _other_tasks_small() -> list[TrainConfig]:
    base = TrainConfig("subtract", 53, 150, 12_000, model=NARROW)
    return _other(MODULAR, base, geometric(150, 1600, 8), [1.0, 0.5], 2, start=6000)


def _other_tasks_s5() -> list[TrainConfig]:
    base = TrainConfig("s5-compose", 0, 1000, 20_000, precision="medium")
    return _other(PERMUTATIONS, base, geometric(500, 8000, 8), [1.0, 0.5], 1, start=5000)


def _other_tasks_paper() -> list[TrainConfig]:
    base = TrainConfig("subtract", 113, 300, 100_000)
    sizes, decays = geometric(300, 12_000, 12), [*DECAYS, 0.1]
    return _other((*MODULAR, *PERMUTATIONS), base, sizes, decays, 3, start=20_000)


def _semi_grokking_live() -> list[TrainConfig]:
    return grid(TrainConfig("add", 23, 300, 4000, model=TINY), [300, 340, 400], [1.0], range(2))


def _semi_grokking_small() -> list[TrainConfig]:
    return grid(TrainConfig("add", 23, 280, 40_000, model=TINY), range(230, 330, 10), [1.0], range(10))


def _semi_grokking_paper() -> list[TrainConfig]:
    sizes = np.linspace(1500, 2050, 20).round().astype(int).tolist()
    return grid(TrainConfig("add", 113, 1500, 30_000_000), sizes, [1.0], range(10))


def _key_frequencies(seeds: int) -> list[TrainConfig]:
    sizes = (460, 420, 380, 340)  # one size a seed: every network has an initialisation of its own
    return [TrainConfig("add", 23, sizes[seed % 4], 3000, seed=seed, model=TINY) for seed in range(seeds)]


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "grokking",
            "Figures 1a, 9",
            "Modular addition from scratch on 30% of all pairs.",
            {"live": _grokking_live, "small": _grokking, "paper": lambda: _grokking(seeds=10)},
            keeps_network=True,
        ),
        Experiment(
            "grokking-medium",
            "Figures 1a, 9",
            "The grokking runs with bfloat16 matrix products.",
            {"small": lambda: _grokking("medium")},
        ),
        Experiment(
            "ungrokking",
            "Figures 1b, 4, 7, 10",
            "Networks trained on all pairs, then on fewer of them.",
            {"live": _ungrokking_live, "small": _ungrokking_small, "paper": _ungrokking_paper},
        ),
        Experiment(
            "memorisation",
            "Figures 3a, 3b",
            "Random labels: memorisation alone.",
            {"live": _memorisation_live, "small": _memorisation_small, "paper": _memorisation_paper},
        ),
        Experiment(
            "generalisation",
            "Figures 3c, 3d",
            "Large train sets: the generalising circuit alone.",
            {"live": _generalisation_live, "small": _generalisation_small, "paper": _generalisation_paper},
        ),
        Experiment(
            "other-tasks",
            "Figure 8",
            "Ungrokking on the other tasks; at small scale the six modular ones.",
            {"live": _other_tasks_live, "small": _other_tasks_small, "paper": _other_tasks_paper},
        ),
        Experiment(
            "semi-grokking",
            "Figures 1c, 5, 6",
            "Modular addition from scratch on train sets around the critical size, for long.",
            {"live": _semi_grokking_live, "small": _semi_grokking_small, "paper": _semi_grokking_paper},
        ),
        Experiment(
            "key-frequencies",
            "Appendix B",
            "Modular addition from scratch, many seeds: which frequencies are used, and how long grokking takes.",
            {"live": lambda: _key_frequencies(2), "small": lambda: _key_frequencies(48)},
        ),
        Experiment(
            "ungrokking-113", "Figures 1b, 7, 10", "Ungrokking at the paper's modulus.", {"small": _ungrokking_113}
        ),
        Experiment(
            "memorisation-113",
            "Figures 3a, 3b",
            "Random labels at the paper's modulus.",
            {"small": _memorisation_113},
        ),
        Experiment(
            "generalisation-113",
            "Figures 3c, 3d",
            "Large train sets at the paper's modulus.",
            {"small": _generalisation_113},
        ),
        Experiment(
            "ungrokking-113-decay",
            "Figure 4",
            "Ungrokking at the paper's modulus, other weight decays.",
            {"small": _ungrokking_113_decay},
        ),
        Experiment(
            "trading-norm",
            "Figure 10, Appendix A.4",
            "Ungrokking's twins from random weights; at small scale also larger sets from trained networks.",
            {
                "live": lambda: from_scratch(_ungrokking_live()),
                "small": _trading_small,
                "paper": lambda: from_scratch(run for run in _ungrokking_paper() if run.steps == 100_000),
            },
        ),
        Experiment("other-tasks-s5", "Figure 8", "Ungrokking on the three tasks in S5.", {"small": _other_tasks_s5}),
    )
}
"""Every sweep by name. Figure 10 draws on the ungrokking runs as well."""
