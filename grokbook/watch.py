"""One run on the terminal: a table that grows while it trains, and a comparison of a run with its recording."""

import numpy as np
import pandas as pd
from rich.console import Console
from rich.live import Live
from rich.table import Table
from torch import Tensor

from grokbook.convergence import drift
from grokbook.model import Params
from grokbook.tasks import Task
from grokbook.training import TrainConfig, TrainResult, log_spaced, measure, train

SHOWN = ("step", "train_loss", "test_loss", "train_accuracy", "test_accuracy", "mirror_free_accuracy", "parameter_norm")


def train_and_watch(config: TrainConfig) -> TrainResult:
    """Train one run, showing a row for each measurement, then a line on how it ended."""
    console = Console()
    steps = log_spaced(config.steps, per_decade=6)
    ahead = iter(steps)
    title = config.task if config.task.startswith("s5") else f"{config.task} mod {config.modulus}"
    table = Table(*(name.replace("_", " ") for name in SHOWN), title=title)

    with Live(table, console=console, refresh_per_second=4):

        def show(params: Params, task: Task, train_index: Tensor) -> dict[str, float]:
            row = measure(params, [config], [task], next(ahead))[0]
            table.add_row(*(f"{row[name]:.4g}" for name in SHOWN))
            return {}

        result = train([config], log_steps=steps, metrics=(show,), progress=False)
    last = result.history.iloc[-1]
    console.print(
        f"\nAfter {config.steps} steps: train accuracy {last['train_accuracy']:.3f}, test {last['test_accuracy']:.3f}, "
        f"loss {last['train_loss']:.2e}, norm {last['parameter_norm']:.1f}; {_ending(result.history)}."
    )
    return result


def _ending(history: pd.DataFrame) -> str:
    try:
        flat = drift(history).converged
    except ValueError:
        return "too short to say whether it still moves"
    return "flat over the last factor of four of its steps" if flat else "the run is still moving"


def compare(both: pd.DataFrame, console: Console | None = None) -> None:
    """Show the largest difference of each column of `record.rerun`'s table, and until when the two runs agree.

    Columns of which nothing is on record are left out.
    """
    console = console or Console()
    both = both[both.groupby("column")["recorded"].transform("count") > 0]
    gap = (both["recorded"] - both["rerun"]).abs()
    largest = both.groupby("column")["recorded"].transform(lambda values: np.nanmax(np.abs(values)))
    is_share = both["column"].str.contains("accuracy|share")
    both = both.assign(gap=gap, share=gap / largest.where(~is_share & (largest > 0), 1))
    table = Table("column", "largest difference", "at step", "last recorded", "last rerun")
    for name, rows in both.groupby("column", sort=False):
        worst = rows.iloc[int(rows["gap"].fillna(0).argmax())]
        last = rows.iloc[-1]
        table.add_row(
            str(name), f"{worst['gap']:.3g}", str(worst["step"]), f"{last['recorded']:.6g}", f"{last['rerun']:.6g}"
        )
    console.print(table)
    apart = both[both["share"] > 0.01]["step"]
    agreed = "at every recorded step" if apart.empty else f"before step {apart.min()}"
    console.print(f"The two agree to 1% of each column's largest value (accuracies and shares: to 0.01) {agreed}.")
