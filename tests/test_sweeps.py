import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import tiny
import torch
from dask.distributed import Client
from safetensors.torch import save_file

from grokbook import runs, sweeps
from grokbook.batches import interrupted, plan, run_here, with_starts
from grokbook.checkpoints import header

COMMAND = [sys.executable, str(Path(__file__).parent / "tiny.py"), "sweep", "tiny"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep that nothing disturbed, run in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run_here(tiny.runs(), folder)
    torch.set_num_threads(threads)
    return folder


def until(condition: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def workers(command: subprocess.Popen) -> list[psutil.Process]:
    def is_worker(child: psutil.Process) -> bool:
        try:
            return "spawn_main" in " ".join(child.cmdline())
        except psutil.NoSuchProcess:  # gone, or a zombie, between listing and looking
            return False

    return list(filter(is_worker, psutil.Process(command.pid).children()))


def alive(process: psutil.Process) -> bool:
    """A zombie, which whoever inherited it has yet to bury, is not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def under_way(folder: Path) -> bool:
    """Whether some batch has a checkpoint now that is well before its end."""
    return any(0 < batch.step(folder) < tiny.STEPS / 2 for batch in interrupted(folder))


def finished(folder: Path) -> dict[str, int]:
    """Name and time of writing of every finished run."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("[!.]*.safetensors")}


def assert_equal(one: Path, other: Path) -> None:
    """The same runs, histories and networks, bit for bit."""
    assert finished(one).keys() == finished(other).keys()
    for config in with_starts(tiny.runs()):
        a, b = runs.load(one, config), runs.load(other, config)
        assert a.history.equals(b.history)
        assert a.params.keys() == b.params.keys()
        assert all(torch.equal(a.params[name], b.params[name]) for name in a.params)


def test_killed_worker_and_killed_command_lose_and_repeat_nothing(undisturbed: Path, tmp_path: Path) -> None:
    folder, journal = tmp_path / "runs", tmp_path / "journal"
    options = ["--runs-dir", str(folder), "--checkpoint-seconds", "0.1"]
    environment = os.environ | {"JOURNAL": str(journal)}
    command = subprocess.Popen(COMMAND + options, env=environment)
    until(lambda: finished(folder) and under_way(folder))
    victim = workers(command)[0]
    victim.kill()
    until(lambda: not alive(victim))
    before = len(finished(folder))
    until(lambda: len(finished(folder)) > before and under_way(folder))
    orphans = workers(command)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    until(lambda: not any(map(alive, orphans)), seconds=60)

    kept = finished(folder)
    assert 0 < len(kept) < len(with_starts(tiny.runs()))
    assert interrupted(folder), "killed too late to test anything"
    subprocess.run(COMMAND + options, env=environment, check=True)

    assert_equal(folder, undisturbed)
    assert {name: time for name, time in finished(folder).items() if name in kept} == kept
    assert not list((folder / "checkpoints").iterdir())
    ended = [line.split() for line in journal.read_text().splitlines()]
    assert len({key for key, _ in ended}) == len(ended), "a batch was trained to its end twice"
    assert any(int(step) > 0 for _, step in ended), "nothing was resumed"


CHURN = """
import sys, time
from pathlib import Path
import torch
from safetensors.torch import save_file
path = Path(sys.argv[1])
while True:
    save_file({"a": torch.zeros(4)}, path.with_name("new"), {"step": "3"})
    path.with_name("new").replace(path)
    time.sleep(0.0002)
    path.unlink()
"""


def test_progress_reads_checkpoints_that_others_write_and_delete(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    worker = subprocess.Popen([sys.executable, "-c", CHURN, str(path)])
    try:
        until(lambda: header(path))
        seen = [header(path) for _ in range(50_000)]
    finally:
        worker.kill()
        worker.wait()
    assert {} in seen and {"step": "3"} in seen and all(found in ({}, {"step": "3"}) for found in seen)


def test_sweep_on_a_scheduler_started_separately(undisturbed: Path, tmp_path: Path) -> None:
    address, dask = tmp_path / "scheduler.json", [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    serve = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(address)]
    scheduler = subprocess.Popen([*dask, *serve], **quiet)
    try:
        until(address.exists)
        join = ["worker", "--scheduler-file", str(address), "--nthreads", "1", "--no-dashboard"]
        worker = subprocess.Popen([*dask, *join, "--local-directory", str(tmp_path)], **quiet)
        try:
            where = json.loads(address.read_text())["address"]
            subprocess.run([*COMMAND, "--scheduler", where, "--runs-dir", str(tmp_path / "runs")], check=True)
        finally:
            worker.terminate()
            worker.wait()
    finally:
        scheduler.terminate()
        scheduler.wait()
    assert_equal(tmp_path / "runs", undisturbed)


def test_folders_on_one_scheduler_are_swept_apart_and_missing_files_are_failures(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [config for config in with_starts(tiny.runs()) if config.start is None]

    def copy(batch, folder, *_) -> None:
        for config in batch.configs if "blind" not in folder else ():
            runs.save(folder, runs.load(undisturbed, config))

    monkeypatch.setattr(sweeps, "_task", copy)
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        submit, futures = client.submit, []  # a finished task is known as long as somebody holds its future
        monkeypatch.setattr(client, "submit", lambda *a, **b: futures.append(submit(*a, **b)) or futures[-1])
        assert sweeps.sweep(configs, tmp_path / "one", client) == {}
        assert sweeps.sweep(configs, tmp_path / "two", client) == {}
        failed = sweeps.sweep(configs, tmp_path / "blind", client)
    assert finished(tmp_path / "one").keys() == finished(tmp_path / "two").keys() != set()
    assert [config for batch in failed for config in batch.configs] == configs
    assert all("does every worker see this folder" in str(error) for error in failed.values())


def test_workers_with_several_threads_are_refused(tmp_path: Path) -> None:
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
        with pytest.raises(ValueError, match="with 2 threads; start workers with --nthreads 1"):
            sweeps.sweep(tiny.runs(), tmp_path / "runs", client)
    assert not (tmp_path / "runs").exists()


def test_a_finished_sweep_has_nothing_left(undisturbed: Path) -> None:
    assert plan(tiny.runs(), undisturbed) == []


def test_progress_counts_finished_runs_and_the_steps_in_checkpoints(tmp_path: Path, undisturbed: Path) -> None:
    folder = tmp_path / "runs"
    configs = with_starts(tiny.runs())  # two starts of 200 steps, then eight runs of 600 in batches
    batches = plan(configs, folder)
    with sweeps.Progress(configs, batches, folder) as progress:

        def shown() -> tuple[str, float]:
            progress.update()
            return progress.bar.postfix, progress.bar.n / progress.bar.total

        assert shown() == ("0 of 10 runs, 0 steps", 0)
        first = batches[0]
        assert {config.start for config in first.configs} == {None} and len(first.configs) == 2
        path = first.checkpoint(folder)
        path.parent.mkdir(parents=True)
        save_file({"a": torch.zeros(1)}, path, {"step": "150"})
        text, share = shown()
        assert text == "0 of 10 runs, 300 steps" and 0 < share < 0.2
        for config in first.configs:
            runs.save(folder, runs.load(undisturbed, config))
        assert shown()[0] == "2 of 10 runs, 400 steps" and shown()[1] > share
        for config in configs:
            runs.save(folder, runs.load(undisturbed, config))
        assert shown() == ("10 of 10 runs, 5,200 steps", pytest.approx(1))
