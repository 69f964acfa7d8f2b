"""Training many configurations: alike ones together, resumable, one file a finished run.

`plan` groups runs that are alike into batches, each trained as one ensemble. `train_batch` trains one: it saves a
checkpoint every half minute or so, writes a file for each finished run (module `runs`), then deletes the checkpoint.
All state is in these files, so whatever is killed, the next plan for the same folder goes on from them. A run that
others start from is a run like any other and comes first.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from safetensors import safe_open
from tqdm.auto import tqdm

from grokbook import checkpoints, runs
from grokbook.config import ALIKE
from grokbook.experiments import log_steps, metrics
from grokbook.model import Params, shapes
from grokbook.training import DivergedError, TrainConfig, train


@dataclass(frozen=True)
class Batch:
    """Runs that train as one ensemble; `key` names its checkpoint."""

    configs: tuple[TrainConfig, ...]

    @property
    def key(self) -> str:
        """A short hash of its runs' keys."""
        return hashlib.sha256(" ".join(c.key for c in self.configs).encode()).hexdigest()[:16]

    def checkpoint(self, folder: str | Path) -> Path:
        """Where the state of its training is while it is not finished."""
        return Path(folder) / "checkpoints" / f"{self.key}.safetensors"

    def step(self, folder: str | Path) -> int:
        """The step its checkpoint stands at; 0 without one."""
        return int(checkpoints.header(self.checkpoint(folder)).get("step", 0))

    def seconds(self, steps: int) -> float:
        """A rough cost of `steps` steps on one CPU core; a millisecond of each is there however small the runs."""
        return steps * (1e-3 + len(self.configs) * seconds_per_step(self.configs[0]))


def seconds_per_step(config: TrainConfig) -> float:
    """A rough cost of one step of one run on one CPU core: 30 multiply-adds a nanosecond, and the optimiser."""
    n = config.n_symbols
    sizes = shapes(config.model, n, n)
    d, m = sizes["W_in"]
    products = 3 * config.train_size * (d * m + d * n + m * n)
    return products / 30e9 + 10e-9 * sum(torch.Size(shape).numel() for shape in sizes.values())


def depth(config: TrainConfig) -> int:
    """How many runs come before this one, each starting from the one before."""
    return 0 if config.start is None else 1 + depth(config.start)


def with_starts(configs: Iterable[TrainConfig]) -> list[TrainConfig]:
    """The runs and those they start from, without repetition, every run after the one it starts from."""
    found: dict[TrainConfig, None] = {}
    for config in configs:
        next_one: TrainConfig | None = config
        while next_one is not None and next_one not in found:
            found[next_one] = None
            next_one = next_one.start
    return sorted(found, key=depth)


def plan(configs: Iterable[TrainConfig], folder: str | Path, examples: int = 4096, most_runs: int = 16) -> list[Batch]:
    """Batches that hold every unfinished run once, in the order of the first run of each.

    Batches that were interrupted are taken up as they were. Of the others each holds runs of one shape and train size,
    at most `most_runs` of them and `examples` train equations in all (but at least one run).
    """
    todo = [config for config in with_starts(configs) if not runs.path(folder, config).exists()]
    place = {config: i for i, config in enumerate(todo)}
    batches: list[Batch] = []
    taken: set[TrainConfig] = set()
    for batch in interrupted(folder):
        left = {c for c in batch.configs if c in place}
        if left and not left & taken:
            batches.append(batch)
            taken |= left
    groups: dict[tuple, list[TrainConfig]] = {}
    for c in todo:
        if c not in taken:
            alike = *(getattr(c, name) for name in ALIKE), c.train_size, c.random_labels, depth(c)
            groups.setdefault(alike, []).append(c)
    for group in groups.values():
        size = max(1, min(most_runs, examples // group[0].train_size))
        batches += [Batch(tuple(group[i : i + size])) for i in range(0, len(group), size)]
    return sorted(batches, key=lambda batch: min(place.get(c, len(place)) for c in batch.configs))


def train_batch(batch: Batch, folder: str | Path, checkpoint_seconds: float = 30) -> None:
    """Train a batch from its checkpoint if there is one, and write the file of every run that has none yet.

    A checkpoint is saved about every `checkpoint_seconds`. A run that diverges is recorded as such and the others go
    on without it. Raises ValueError for runs whose start diverged, when the others have been trained.
    """
    configs, checkpoint = batch.configs, batch.checkpoint(folder)
    if all(runs.path(folder, c).exists() for c in configs):
        return
    starts = {c.start: runs.load(folder, c.start) for c in configs if c.start is not None}
    able = tuple(c for c in configs if c.start is None or starts[c.start].diverged_at is None)
    if 0 < len(able) < len(configs):
        train_batch(Batch(able), folder, checkpoint_seconds)
    try:
        result = train(
            configs,
            start=_stacked(configs, starts),
            log_steps=log_steps(configs[0]),
            metrics=metrics(configs[0]),
            checkpoint=checkpoint,
            checkpoint_every=max(1, round(checkpoint_seconds / batch.seconds(1))),
            progress=False,
        )
    except DivergedError as error:
        rest = _without(batch, error, folder)
        return train_batch(rest, folder, checkpoint_seconds) if rest.configs else None
    seconds, origin = result.seconds / len(configs), runs.origin()
    for i, config in enumerate(configs):
        if not runs.path(folder, config).exists():
            history = result.history[result.history["run"] == i].drop(columns="run")
            params = {name: weight[i].clone() for name, weight in result.params.items()}
            runs.save(folder, runs.Run(config, history, params, seconds, origin))
    checkpoint.unlink(missing_ok=True)
    for path in (checkpoint, *(runs.path(folder, c) for c in configs)):
        for half_written in path.parent.glob(f".{path.name}.*"):  # by a process that was killed
            half_written.unlink(missing_ok=True)


def run_here(configs: Iterable[TrainConfig], folder: str | Path | None = None) -> list[runs.Run]:
    """Train the configurations, one batch after another, in this process, and return them.

    With a folder it can be interrupted and goes on where it was; without one nothing is kept.
    """
    configs = list(configs)
    if folder is None:
        with TemporaryDirectory() as folder:
            return run_here(configs, folder)
    batches = plan(configs, folder)
    with tqdm(total=sum(b.seconds(b.configs[0].steps) for b in batches), bar_format="{l_bar}{bar}| {elapsed}") as bar:
        for batch in batches:
            train_batch(batch, folder)
            bar.update(batch.seconds(batch.configs[0].steps))
    return [runs.load(folder, config) for config in configs]


def interrupted(folder: str | Path) -> list[Batch]:
    """The batches that have a checkpoint in the folder, those of few runs first; not those this version cannot read."""
    found = []
    for path in (Path(folder) / "checkpoints").glob("[!.]*.safetensors"):
        try:
            batch = Batch(tuple(map(TrainConfig.from_json, json.loads(checkpoints.header(path)["configs"]))))
        except (KeyError, TypeError, ValueError):
            continue
        if batch.checkpoint(folder) == path:
            found.append(batch)
    return sorted(found, key=lambda batch: len(batch.configs))


def _stacked(configs: Sequence[TrainConfig], starts: dict[TrainConfig, runs.Run]) -> Params | None:
    """The networks the runs continue, [run, ...]; None when they start afresh. Raises ValueError if one diverged."""
    if not starts:
        return None
    for start, run in starts.items():
        if run.diverged_at is not None:
            raise ValueError(f"start {start.key} diverged at step {run.diverged_at}; the runs from it cannot begin")
    networks = [starts[c.start].params for c in configs if c.start is not None]
    return {name: torch.stack([network[name] for network in networks]) for name in networks[0]}


def _without(batch: Batch, error: DivergedError, folder: str | Path) -> Batch:
    """Record the run that diverged; return the batch of the others, which goes on from the last good checkpoint."""
    old = batch.checkpoint(folder)
    keep = [i for i in range(len(batch.configs)) if i != error.run]
    rest = Batch(tuple(batch.configs[i] for i in keep))
    history: list[dict] = []
    if old.exists():
        with safe_open(old, framework="pt") as file:
            metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
        history = json.loads(metadata["history"])
        if keep:
            rows = [row | {"run": keep.index(row["run"])} for row in history if row["run"] != error.run]
            metadata |= {"configs": json.dumps([c.to_json() for c in rest.configs]), "history": json.dumps(rows)}
            checkpoints.write(rest.checkpoint(folder), {name: t[keep] for name, t in tensors.items()}, metadata)
    own = pd.DataFrame([row for row in history if row["run"] == error.run]).drop(columns="run", errors="ignore")
    runs.save(folder, runs.Run(batch.configs[error.run], own, {}, 0.0, runs.origin(), error.step))
    old.unlink(missing_ok=True)
    return rest
