"""Running many configurations on Dask: a cluster of this machine's processes, or a scheduler's address.

Each batch of `batches.plan` is one Dask task. All state is in files, so whatever is killed (a worker, the scheduler,
this process), the next sweep goes on from them. Workers must see the same folder.
"""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dask
import torch
from dask.distributed import Client, Future, LocalCluster, wait
from tqdm.auto import tqdm

from grokbook import runs
from grokbook.batches import Batch, interrupted, plan, train_batch, with_starts
from grokbook.training import TrainConfig

CONFIG = {
    "distributed.scheduler.allowed-failures": 1000,  # a batch goes on from its checkpoint however often workers die
    "distributed.scheduler.worker-ttl": None,  # a worker that is silent for long is training, not lost
    "distributed.comm.timeouts.connect": "300s",
    "distributed.comm.timeouts.tcp": "300s",
    # Without Dask's MALLOC_TRIM_THRESHOLD_, which hands memory back after every use: a step is a fifth slower with it.
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1},
}


@contextmanager
def local_client(workers: int = 2) -> Iterator[Client]:
    """A client of a fresh cluster of worker processes on this machine."""
    with dask.config.set(CONFIG):
        options = {"dashboard_address": ":0", "memory_limit": 0, "silence_logs": "ERROR"}
        with LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, **options) as cluster:
            with Client(cluster) as client:
                yield client


def sweep(
    configs: Iterable[TrainConfig],
    folder: str | Path,
    client: Client,
    threads: int = 1,
    examples: int = 4096,
    checkpoint_seconds: float = 30,
) -> dict[Batch, BaseException]:
    """Run every unfinished configuration on the client's workers, showing runs done and time left.

    threads: torch threads a worker uses; examples: the most train equations in one ensemble; checkpoint_seconds: about
    how much a lost worker loses.
    Returns the exceptions of the batches that failed, of which a run has no file; all others have then been finished.
    Raises ValueError when a worker has several threads of its own.
    """
    for worker, count in client.nthreads().items():
        if count != 1:  # two batches in one process would share torch's precision (`arithmetic.products`)
            raise ValueError(f"client has the worker {worker} with {count} threads; start workers with --nthreads 1")
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    where = hashlib.sha256(str(folder).encode()).hexdigest()[:8]  # each folder has tasks of its own
    configs = with_starts(configs)
    batches = plan(configs, folder, examples)
    home = {config: batch for batch in batches for config in batch.configs}
    futures: dict[Batch, Future] = {}
    for place, batch in enumerate(batches):
        after = list({futures[home[c.start]] for c in batch.configs if c.start in home})
        futures[batch] = client.submit(
            _task,
            batch,
            str(folder),
            threads,
            checkpoint_seconds,
            after,
            key=f"batch-{batch.key}-{where}",
            priority=-place,
            pure=False,
        )
    with Progress(configs, batches, folder) as progress:
        pending = list(futures.values())
        while pending:
            try:
                pending = list(wait(pending, timeout=progress.interval, return_when="FIRST_COMPLETED").not_done)
            except TimeoutError:
                pass
            progress.update()
    for batch in interrupted(folder):  # left over where a run diverged and the process was killed at that moment
        if all(runs.path(folder, config).exists() for config in batch.configs):
            batch.checkpoint(folder).unlink(missing_ok=True)
    failed: dict[Batch, BaseException] = {}
    there = set(os.listdir(folder))
    for batch, future in futures.items():
        if not all(runs.path(folder, config).name in there for config in batch.configs):
            error = future.exception() if future.status == "error" else None
            failed[batch] = error or FileNotFoundError(f"no files in {folder}; does every worker see this folder?")
    return failed


def _task(batch: Batch, folder: str, threads: int, checkpoint_seconds: float, after: Sequence[None]) -> None:
    """What a worker does; Dask waits for `after`, the batches of the runs that these start from."""
    torch.set_num_threads(threads)
    train_batch(batch, folder, checkpoint_seconds)


class Progress:
    """A bar over the estimated work, read from the files: steps count once they are in a checkpoint."""

    def __init__(self, configs: Sequence[TrainConfig], batches: Sequence[Batch], folder: Path):
        self.configs, self.batches, self.folder = configs, batches, folder
        self.interval = 2 if sys.stderr.isatty() else 60  # seconds; a log file needs fewer lines
        layout = "{percentage:3.0f}%|{bar:30}| {postfix} [{elapsed}<{remaining}]"
        total = sum(batch.seconds(batch.configs[0].steps) for batch in batches)
        self.bar = tqdm(total=total, initial=self._work(), bar_format=layout, smoothing=0)
        self.update()

    def _steps(self, batch: Batch) -> int:
        finished = all(runs.path(self.folder, config).exists() for config in batch.configs)
        return batch.configs[0].steps if finished else batch.step(self.folder)

    def _work(self) -> float:
        return sum(batch.seconds(self._steps(batch)) for batch in self.batches)

    def update(self) -> None:
        """Look at the files and redraw."""
        done = sum(runs.path(self.folder, config).exists() for config in self.configs)
        steps = sum(self._steps(batch) * len(batch.configs) for batch in self.batches)
        self.bar.set_postfix_str(f"{done} of {len(self.configs)} runs, {steps:,} steps", refresh=False)
        self.bar.n = self._work()
        self.bar.refresh()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
