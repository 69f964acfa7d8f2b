"""What a list of runs would cost on this device: ten steps are timed, and nothing is started."""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from grokbook import results
from grokbook.batches import Batch, plan
from grokbook.training import TrainConfig, choose_device, train

STEPS = 10
UNITS = {"years": 365 * 86_400, "days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}


def cost(configs: Iterable[TrainConfig], folder: str | Path | None = None, device: str = "auto") -> float:
    """Print what it would take to train the configurations here, one after another, and return it in seconds.

    With a folder, runs and steps done there cost nothing. Runs that others start from are counted. Ten steps of
    the most and of the least expensive ensemble are timed; what lies between them is interpolated by the rough cost
    of `Batch.seconds`. Measuring is left out: it adds a few per cent. Raises ValueError when the device is not here.
    """
    device = choose_device(device)
    folder = folder if folder is not None else "no folder"
    batches = plan(configs, folder)
    if not batches:
        print("Nothing is left to train.")
        return 0.0
    ends = [min(batches, key=_rough), max(batches, key=_rough)]
    timed = [seconds_per_step(batch, device) for batch in dict.fromkeys(ends)]
    paces = np.interp([_rough(batch) for batch in batches], [_rough(batch) for batch in ends], [timed[0], timed[-1]])
    steps = [batch.configs[0].steps - batch.step(folder) for batch in batches]
    runs, largest = [len(batch.configs) for batch in batches], ends[1].configs
    total = float(np.dot(paces, steps))
    where = (
        torch.cuda.get_device_name(device) if device != "cpu" else f"the CPU, torch threads: {torch.get_num_threads()}"
    )
    example = f"{len(largest)} x {largest[0].task}, p = {largest[0].modulus}, D = {largest[0].train_size}"
    print(f"{sum(runs)} runs, {np.dot(runs, steps):,} steps in all, on {where}.")
    print(f"{STEPS} steps of the largest ensemble ({example}): {readable(STEPS * timed[-1])}.")
    print(f"Everything: about {readable(total)}. Nothing was started.")
    return total


def core_hours(configs: Iterable[TrainConfig], like: str) -> float:
    """What runs would take on one core at the pace of the recorded runs of experiment `like`, by rough cost.

    Runs that these start from count only if they are among them. Raises ValueError when nothing of `like` is recorded.
    """
    known, hours = results.configs(like), results.provenance(like)["worker_hours"]
    done, left = (
        sum(Batch((config,)).seconds(config.steps) for config in runs)
        for runs in ((known[key] for key in results.recorded(like)), configs)
    )
    return hours * left / done


def seconds_per_step(batch: Batch, device: str) -> float:
    """The mean of ten steps of an ensemble, after two that load libraries; its runs begin afresh."""
    configs = [replace(config, steps=2 + STEPS, start=None) for config in batch.configs]
    began = 0.0

    def note_the_time(*_) -> dict[str, float]:
        nonlocal began
        began = time.perf_counter()
        return {}

    train(configs, log_steps=[2], metrics=[note_the_time], device=device, progress=False)
    return (time.perf_counter() - began) / STEPS


def readable(seconds: float) -> str:
    """A time with two digits, or whole, in the largest unit of which there is at least one."""
    unit = next((unit for unit, size in UNITS.items() if seconds >= size), "seconds")
    count = seconds / UNITS[unit]
    return f"{count:,.0f} {unit}" if count >= 10 else f"{count:.2g} {unit}"


def _rough(batch: Batch) -> float:
    return batch.seconds(1)
