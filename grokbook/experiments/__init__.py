"""Each figure's sweep as a list of runs, at three scales: `EXPERIMENTS`.

live: seconds to two minutes on two CPU cores, in the chapter; the modulus is 53, 31 or 23.
small: what the repository records; hours on two cores. Experiments with 113 in their names, and the two of Figure 1a,
use Appendix A's model at the paper's modulus, the others a narrower one at modulus 53, 31, 29 or 23, or in S5.
paper: as Varma et al. 2023 describe the figure, for a GPU or a cluster.

Runs are listed most important first; a sweep takes them roughly in that order. What is measured, and when, is a
function of the run alone (`metrics`, `log_steps`), so that experiments can share runs. The lists themselves stand in
the modules beside this one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from grokbook.circuits import key_metric, trig_metrics
from grokbook.experiments import alone, regularisers, scratch, smaller, threshold
from grokbook.experiments.grids import TINY, from_scratch
from grokbook.regularisers import norm_metrics
from grokbook.training import Metric, TrainConfig, log_spaced

SCALES = ("live", "small", "paper")
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

    The small networks of model TINY, of which only tables are recorded, also say which frequencies they use, and their
    weights' other norms. On random labels these norms are measured where something other than weight decay charges.
    """
    if config.random_labels and config.regulariser != "decoupled":
        return (norm_metrics,)
    has_trig = config.task == "add" and config.modulus % 2 == 1 and not config.random_labels
    if not has_trig:
        return ()
    return (trig_metrics, key_metric, norm_metrics) if config.model == TINY else (trig_metrics,)


def log_steps(config: TrainConfig) -> list[int]:
    """The steps after which a run is measured: 30 a factor of ten."""
    return log_spaced(config.steps, per_decade=30)


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "grokking",
            "Figures 1a, 9",
            "Modular addition from scratch on 30% of all pairs.",
            {"live": scratch.grokking_live, "small": scratch.grokking, "paper": lambda: scratch.grokking(seeds=10)},
            keeps_network=True,
        ),
        Experiment(
            "grokking-medium",
            "Figures 1a, 9",
            "The grokking runs with bfloat16 matrix products.",
            {"small": lambda: scratch.grokking("medium")},
        ),
        Experiment(
            "ungrokking",
            "Figures 1b, 4, 7, 10",
            "Networks trained on all pairs, then on fewer of them.",
            {"live": smaller.ungrokking_live, "small": smaller.ungrokking_small, "paper": smaller.ungrokking_paper},
        ),
        Experiment(
            "memorisation",
            "Figures 3a, 3b",
            "Random labels: memorisation alone.",
            {"live": alone.memorisation_live, "small": alone.memorisation_small, "paper": alone.memorisation_paper},
        ),
        Experiment(
            "generalisation",
            "Figures 3c, 3d",
            "Large train sets: the generalising circuit alone.",
            {
                "live": alone.generalisation_live,
                "small": alone.generalisation_small,
                "paper": alone.generalisation_paper,
            },
        ),
        Experiment(
            "other-tasks",
            "Figure 8",
            "Ungrokking on the other tasks; at small scale the six modular ones.",
            {"live": smaller.other_tasks_live, "small": smaller.other_tasks_small, "paper": smaller.other_tasks_paper},
        ),
        Experiment(
            "semi-grokking",
            "Figures 1c, 5, 6",
            "Modular addition from scratch on train sets around the critical size, for long.",
            {
                "live": scratch.semi_grokking_live,
                "small": scratch.semi_grokking_small,
                "paper": scratch.semi_grokking_paper,
            },
        ),
        Experiment(
            "key-frequencies",
            "Appendix B",
            "Modular addition from scratch, many seeds: which frequencies are used, and how long grokking takes.",
            {"live": lambda: scratch.key_frequencies(2), "small": lambda: scratch.key_frequencies(48)},
        ),
        Experiment(
            "ungrokking-113",
            "Figures 1b, 7, 10",
            "Ungrokking at the paper's modulus.",
            {"small": smaller.ungrokking_113},
        ),
        Experiment(
            "memorisation-113",
            "Figures 3a, 3b",
            "Random labels at the paper's modulus.",
            {"small": alone.memorisation_113},
        ),
        Experiment(
            "generalisation-113",
            "Figures 3c, 3d",
            "Large train sets at the paper's modulus.",
            {"small": alone.generalisation_113},
        ),
        Experiment(
            "ungrokking-113-decay",
            "Figure 4",
            "Ungrokking at the paper's modulus, other weight decays.",
            {"small": smaller.ungrokking_113_decay},
        ),
        Experiment(
            "long-ungrokking-113",
            "Figures 1b, 7",
            "Ungrokking at the paper's modulus with its 100,000 steps.",
            {"small": smaller.long_ungrokking_113},
        ),
        Experiment(
            "trading-norm",
            "Figure 10, Appendix A.4",
            "Ungrokking's twins from random weights; at small scale also larger sets from trained networks.",
            {
                "live": lambda: from_scratch(smaller.ungrokking_live()),
                "small": smaller.trading_small,
                "paper": lambda: from_scratch(run for run in smaller.ungrokking_paper() if run.steps == 100_000),
            },
        ),
        Experiment(
            "threshold",
            "Chapter 12",
            "Memorising, generalising and forgetting at several moduli, widths and weight decays: D_crit two ways.",
            {"live": threshold.threshold_live, "small": threshold.threshold_small},
        ),
        Experiment(
            "regularisers",
            "Chapter 13",
            "Other regularisers than weight decay, and none: from random weights, and on fewer pairs after all.",
            {"live": regularisers.regularisers_live, "small": regularisers.regularisers_small},
        ),
        Experiment(
            "other-tasks-s5", "Figure 8", "Ungrokking on the three tasks in S5.", {"small": smaller.other_tasks_s5}
        ),
    )
}
"""Every sweep by name. Figure 10 draws on the ungrokking runs as well."""
