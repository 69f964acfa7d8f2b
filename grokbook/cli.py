"""The command line: `grokbook experiments | sweep | record | train | rerun`, thin over the package."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from grokbook import results
from grokbook.experiments import EXPERIMENTS, Experiment
from grokbook.model import ModelConfig
from grokbook.runs import commit
from grokbook.training import DivergedError, TrainConfig

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Name = Annotated[str, typer.Argument(help="An experiment; `grokbook experiments` lists them.")]
Scale = Annotated[str, typer.Option(help="live, small or paper.")]
RunsDir = Annotated[Path, typer.Option(help="Finished runs and checkpoints; every worker must see this folder.")]


def _experiment(name: str) -> Experiment:
    if name not in EXPERIMENTS:
        raise typer.BadParameter(f"{name!r} is not an experiment; there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def _runs(name: str, scale: str) -> list[TrainConfig]:
    try:
        return _experiment(name).runs(scale)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
def experiments() -> None:
    """List the experiments, their figures, scales, and rough cost."""
    from grokbook.batches import plan, with_starts

    for experiment in EXPERIMENTS.values():
        typer.echo(f"{experiment.name}: {experiment.figure}. {experiment.description}")
        for scale in experiment.scales:
            runs = with_starts(experiment.runs(scale))
            hours = sum(batch.seconds(batch.configs[0].steps) for batch in plan(runs, "nowhere")) / 3600
            typer.echo(f"    {scale:6} {len(runs):5} runs, about {hours:.2g} CPU core hours")


@app.command()
def sweep(
    name: Name,
    scale: Scale = "live",
    scheduler: Annotated[
        str | None, typer.Option(help="A running Dask scheduler's address, tcp://...; its workers with --nthreads 1.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes to start, without --scheduler.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Torch threads a worker.")] = 1,
    runs_dir: RunsDir = Path("runs"),
    first: Annotated[int | None, typer.Option(min=1, help="Only so many runs, the most important ones.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also the runs that are already on record.")] = False,
    examples: Annotated[int, typer.Option(min=1, help="Most train equations in one ensemble; raise on a GPU.")] = 4096,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0.1, help="About how much work a lost worker may lose.")
    ] = 30,
) -> None:
    """Run what is not yet recorded of an experiment. Stop it whenever you like: the same command goes on from there."""
    recorded = set() if again else results.recorded(name)
    configs = [config for config in _runs(name, scale)[:first] if config.key not in recorded]
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"--runs-dir is {runs_dir}; it must be a folder to write to ({error})") from error
    try:
        from dask.distributed import Client

        from grokbook import sweeps
    except ModuleNotFoundError as error:
        raise SystemExit(f"{error}; sweeps need Dask: pip install 'grokbook[cluster]'") from error

    batches = sweeps.plan(configs, runs_dir, examples)
    left = sum(batch.seconds(batch.configs[0].steps - batch.step(runs_dir)) for batch in batches)
    n = sum(len(batch.configs) for batch in batches)
    typer.echo(f"{name}, {scale}: {n} runs left in {len(batches)} batches, about {left / 3600:.2g} CPU core hours")
    if not batches:
        return
    try:
        remote = Client(scheduler) if scheduler else None
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"--scheduler is {scheduler!r}; no Dask scheduler answers there ({error})") from error
    try:
        with remote or sweeps.local_client(workers) as client:
            failed = sweeps.sweep(configs, runs_dir, client, threads, examples, checkpoint_seconds)
    except KeyboardInterrupt:
        raise SystemExit("stopped; the same command goes on from the last checkpoints") from None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    for batch, reason in failed.items():
        typer.echo(f"{len(batch.configs)} runs failed (batch {batch.key}): {reason!r}", err=True)
    raise typer.Exit(code=1 if failed else 0)


@app.command()
def record(
    name: Name,
    scale: Scale = "small",
    runs_dir: RunsDir = Path("runs"),
    drop: Annotated[bool, typer.Option("--replace", help="Drop recorded runs that are not of this scale.")] = False,
) -> None:
    """Pack an experiment's finished runs into the package's recorded data. Needs a checkout."""
    from grokbook import record as recording

    _runs(name, scale)
    if commit() == "unknown":
        raise typer.BadParameter(f"{recording.DATA} is in no git checkout of grokbook; clone it and record from there")
    try:
        provenance = recording.record(EXPERIMENTS[name], scale, runs_dir, recording.DATA, drop)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    states = ", ".join(f"{count} {state}" for state, count in provenance["runs_by_state"].items())
    size = (recording.DATA / f"{name}.parquet").stat().st_size
    typer.echo(f"{name}.parquet: {size / 1e6:.2f} MB; runs: {states}; {provenance['worker_hours']} worker hours")


@app.command()
def train(
    task: Annotated[str, typer.Argument(help="An operation, such as add.")] = "add",
    modulus: Annotated[int, typer.Option(help="p; the S5 tasks ignore it.")] = 53,
    train_size: Annotated[int, typer.Option(help="D, in equations.")] = 1400,
    steps: Annotated[int, typer.Option(help="Full-batch updates.")] = 3000,
    weight_decay: Annotated[float, typer.Option(help="Decoupled, per unit of learning rate and step.")] = 1.0,
    learning_rate: Annotated[float, typer.Option(help="Adam's.")] = 1e-3,
    seed: Annotated[int, typer.Option(help="Of the network, the train set and random labels.")] = 0,
    random_labels: Annotated[bool, typer.Option("--random-labels", help="Nothing to learn but by heart.")] = False,
    d_model: Annotated[int, typer.Option(help="Width of the residual stream.")] = 64,
    d_head: Annotated[int, typer.Option(help="Width of a head; it divides d_model.")] = 32,
    d_mlp: Annotated[int, typer.Option(help="Hidden neurons.")] = 256,
) -> None:
    """Train one network and watch it. The defaults grok within half a minute; the paper's widths are 128, 32, 512."""
    from grokbook.watch import train_and_watch

    try:
        model = ModelConfig(d_model, d_head, d_mlp)
        config = TrainConfig(task, modulus, train_size, steps, weight_decay, learning_rate, seed=seed, model=model)
        train_and_watch(replace(config, random_labels=random_labels))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    except DivergedError as error:
        typer.echo(f"{error}. A smaller learning rate may help.", err=True)
        raise typer.Exit(1) from error


@app.command()
def rerun(
    name: Name,
    key: Annotated[str, typer.Argument(help="The run's key, or its beginning.")],
    steps: Annotated[int | None, typer.Option(help="Only so many steps of it.")] = None,
) -> None:
    """Run a recorded run again from its stored configuration and compare the numbers."""
    from grokbook.record import rerun as run_again
    from grokbook.watch import compare

    try:
        config = results.config(name, key)
        table = pd.concat([results.load(name), results.load_starts(name)])
        rows = table[table["run"] == config.key]
        if rows.empty:
            state = next(run["state"] for run in results.provenance(name)["runs"] if run["key"] == config.key)
            raise ValueError(f"key is {key!r}; that run is {state}, and no row of it is on record")
        both = run_again(config, rows, steps)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    except DivergedError as error:
        typer.echo(f"{error}. There is nothing to compare.", err=True)
        raise typer.Exit(1) from error
    compare(both)
