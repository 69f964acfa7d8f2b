"""The command line with a small experiment of its own, for test_sweeps to start and to kill.

Workers import this file too, so in each process the ends of training are written to the journal that JOURNAL names.
"""

import os
from dataclasses import replace

from grokbook import batches
from grokbook.cli import app
from grokbook.experiments import EXPERIMENTS, Experiment
from grokbook.model import ModelConfig
from grokbook.training import TrainConfig, train

STEPS = 600


def runs() -> list[TrainConfig]:
    base = TrainConfig("add", 7, 49, 200, model=ModelConfig(8, 4, 16))
    starts = [replace(base, seed=seed) for seed in (0, 1)]
    sizes = (15, 20, 25, 30)
    return [replace(start, train_size=size, steps=STEPS, start=start) for start in starts for size in sizes]


def train_and_note(configs, **options):
    key = batches.Batch(tuple(configs)).key
    step = batches.Batch(tuple(configs)).step(options["checkpoint"].parent.parent)
    result = train(configs, **options)
    if step < configs[0].steps:
        with open(os.environ["JOURNAL"], "a") as journal:
            journal.write(f"{key} {step}\n")
    return result


EXPERIMENTS["tiny"] = Experiment("tiny", "none", "For tests.", {"live": runs})
if "JOURNAL" in os.environ:
    batches.train = train_and_note

if __name__ == "__main__":
    app()
