"""Running many configurations on Dask: batched, resumable, on this machine or on a cluster.

`plan` groups runs that are alike into batches, each trained as one ensemble. A batch is one Dask task: it saves a
checkpoint every half minute or so, writes a file for each finished run (module `runs`), then deletes the checkpoint.
All state is in these files, so whatever is killed (a worker, the scheduler, this process), the next sweep goes on from
them. Workers must see the same folder. A run that others start from is a run like any other and is done first.
"""

import hashlib
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from json import loads
from pathlib import Path

import pandas as pd
import torch
from dask.distributed import Client, Future, wait
from safetensors import SafetensorError, safe_open
from tqdm.auto import tqdm

from grokbook import runs
from grokbook.experiments import log_steps, metrics
from grokbook.model import Params, shapes
from grokbook.training import DivergedError, TrainConfig, train

CHECKPOINT_SECONDS = 30


@dataclass(frozen=True)
class Batch:
    """Runs that train as one ensemble; `key` names its Dask task and its checkpoint."""

    configs: tuple[TrainConfig, ...]

    @property
    def key(self) -> str:
        return hashlib.sha256(" ".join(c.key for c in self.configs).encode()).hexdigest()[:16]

    def checkpoint(self, folder: str | Path) -> Path:
        return Path(folder) / "checkpoints" / f"{self.key}.safetensors"

    def step(self, folder: str | Path) -> int:
        """The step its checkpoint stands at; 0 without one."""
        return int(_metadata(self.checkpoint(folder)).get("step", 0))


def depth(config: TrainConfig) -> int:
    """How many runs come before this one, each starting from the one before."""
    return 0 if config.start is None else 1 + depth(config.start)


def with_starts(configs: Iterable[TrainConfig]) -> list[TrainConfig]:
    """The runs and those they start from, without repetition, every run after the one it starts from."""
    found: dict[TrainConfig, None] = {}
    for config in configs:
        while config is not None and config not in found:
            found[config] = None
            config = config.start
    return sorted(found, key=depth)


def seconds_per_step(config: TrainConfig) -> float:
    """A rough cost of one step of one run on one CPU core: 50 multiply-adds a nanosecond, 10 for the optimiser."""
    sizes = shapes(config.model, *((120, 120) if config.task.startswith("s5") else (config.modulus,) * 2))
    d, m, classes = *sizes["W_in"], sizes["W_U"][1]
    products = 3 * config.train_size * (d * m + d * classes + m * classes)
    updates = 50 * sum(torch.Size(shape).numel() for shape in sizes.values())
    return products / 50e9 + updates / 10e9


def plan(configs: Iterable[TrainConfig], folder: str | Path, examples: int = 4096, most_runs: int = 16) -> list[Batch]:
    """Batches that hold every unfinished run once, in the order of the first run of each.

    Batches that were interrupted are taken up as they were. Of the others each holds runs of one shape and train size,
    at most `most_runs` of them and `examples` train equations in all (but at least one run).
    """
    todo = [config for config in with_starts(configs) if not runs.path(folder, config).exists()]
    place = {config: i for i, config in enumerate(todo)}
    batches, taken = [], set[TrainConfig]()
    for interrupted in _interrupted(folder):
        left = {c for c in interrupted.configs if c in place}
        if left and not left & taken:
            batches.append(interrupted)
            taken |= left
    groups: dict[tuple, list[TrainConfig]] = {}
    for c in todo:
        if c not in taken:
            alike = c.task, c.modulus, c.train_size, c.steps, c.learning_rate, c.betas, c.model, c.precision
            groups.setdefault((*alike, c.random_labels, depth(c)), []).append(c)
    for group in groups.values():
        size = max(1, min(most_runs, examples // group[0].train_size))
        batches += [Batch(tuple(group[i : i + size])) for i in range(0, len(group), size)]
    return sorted(batches, key=lambda batch: min(place.get(c, len(place)) for c in batch.configs))


def train_batch(batch: Batch, folder: str, threads: int, after: Sequence[None] = ()) -> None:
    """Train a batch on this worker and write its runs' files. `after` makes Dask wait for the runs it starts from."""
    torch.set_num_threads(threads)
    configs = batch.configs
    if all(runs.path(folder, c).exists() for c in configs):
        return
    checkpoint, began, first_step = batch.checkpoint(folder), time.perf_counter(), batch.step(folder)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    every = max(1, round(CHECKPOINT_SECONDS / (seconds_per_step(configs[0]) * len(configs))))
    try:
        result = train(
            configs,
            start=_starts(configs, folder),
            log_steps=log_steps(configs[0]),
            metrics=metrics(configs[0]),
            checkpoint=checkpoint,
            checkpoint_every=every,
            progress=False,
        )
    except DivergedError as error:
        _record_divergence(batch, folder, error)
        rest = Batch(tuple(c for i, c in enumerate(configs) if i != error.run))
        return train_batch(rest, folder, threads) if rest.configs else None
    steps = max(1, configs[0].steps)
    seconds = (time.perf_counter() - began) * steps / max(1, steps - first_step) / len(configs)
    for i, config in enumerate(configs):
        if not runs.path(folder, config).exists():
            history = result.history[result.history["run"] == i].drop(columns="run")
            params = {name: weight[i].clone() for name, weight in result.params.items()}
            runs.save(folder, runs.Run(config, history, params, seconds, runs.origin()))
    checkpoint.unlink(missing_ok=True)


def _record_divergence(batch: Batch, folder: str, error: DivergedError) -> None:
    runs.save(folder, runs.Run(batch.configs[error.run], pd.DataFrame(), {}, 0.0, runs.origin(), error.step))
    batch.checkpoint(folder).unlink(missing_ok=True)


def _starts(configs: Sequence[TrainConfig], folder: str) -> Params | None:
    """The networks the runs continue, stacked [run, ...]; None when they start afresh. Raises ValueError."""
    if configs[0].start is None:
        return None
    loaded = {c.start: runs.load(folder, c.start) for c in configs}
    for start, run in loaded.items():
        if run.diverged_at is not None:
            raise ValueError(f"start {start.key} diverged at step {run.diverged_at}; the runs from it cannot begin")
    return {
        name: torch.stack([loaded[c.start].params[name] for c in configs]) for name in loaded[configs[0].start].params
    }


def sweep(configs: Iterable[TrainConfig], folder: str | Path, client: Client, threads: int = 1, **limits: int) -> dict:
    """Run every unfinished configuration on the client's workers, showing runs done and time left.

    Returns the exceptions of the batches that failed, by batch. The others have then been finished all the same.
    """
    folder = str(Path(folder).resolve())
    configs = with_starts(configs)
    batches = plan(configs, folder, **limits)
    home = {config: batch for batch in batches for config in batch.configs}
    futures: dict[Batch, Future] = {}
    for place, batch in enumerate(batches):
        after = list({futures[home[c.start]] for c in batch.configs if c.start in home})
        futures[batch] = client.submit(
            train_batch, batch, folder, threads, after, key=f"batch-{batch.key}", priority=-place, pure=False
        )
    with Progress(configs, batches, folder) as progress:
        pending = set(futures.values())
        while pending:
            try:
                pending = wait(list(pending), timeout=progress.interval, return_when="FIRST_COMPLETED").not_done
            except TimeoutError:
                pass
            progress.update()
    return {batch: future.exception() for batch, future in futures.items() if future.status == "error"}


class Progress:
    """A bar over the estimated work; steps count once they are in a checkpoint."""

    def __init__(self, configs: Sequence[TrainConfig], batches: Sequence[Batch], folder: str):
        self.configs, self.batches, self.folder = configs, batches, folder
        self.interval = 2 if sys.stderr.isatty() else 60  # seconds; a log file needs fewer lines
        layout = "{percentage:3.0f}%|{bar:30}| {postfix} [{elapsed}<{remaining}]"
        self.bar = tqdm(total=self._work(whole=True), initial=self._work(), bar_format=layout, smoothing=0)
        self.update()

    def _work(self, whole: bool = False) -> float:
        done = 0.0
        for batch in self.batches:
            finished = whole or all(runs.path(self.folder, c).exists() for c in batch.configs)
            steps = batch.configs[0].steps if finished else batch.step(self.folder)
            done += steps * len(batch.configs) * seconds_per_step(batch.configs[0])
        return done

    def update(self) -> None:
        """Look at the files and redraw."""
        done = sum(runs.path(self.folder, config).exists() for config in self.configs)
        self.bar.set_postfix_str(f"{done} of {len(self.configs)} runs", refresh=False)
        self.bar.n = self._work()
        self.bar.refresh()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()


def _metadata(path: Path) -> dict[str, str]:
    """A checkpoint's header; empty when there is none to read."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError):
        return {}


def _interrupted(folder: str | Path) -> list[Batch]:
    """The batches that have a checkpoint, small ones first."""
    found = []
    for path in (Path(folder) / "checkpoints").glob("*.safetensors"):
        configs = loads(_metadata(path).get("configs", "[]"))
        batch = Batch(tuple(TrainConfig.from_json(text) for text in configs))
        if batch.checkpoint(folder) == path:
            found.append(batch)
    return sorted(found, key=lambda batch: len(batch.configs))
