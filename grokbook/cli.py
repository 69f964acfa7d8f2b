"""The command line: `grokbook train | sweep | record | rerun`, thin over the package."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@app.command()
def sweep(
    name: Annotated[str, typer.Argument(help="An experiment, as listed by `grokbook experiments`.")],
    scale: Annotated[str, typer.Option(help="live, small or paper.")] = "live",
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler; own workers when absent.")] = None,
    workers: Annotated[int, typer.Option(help="Own worker processes.")] = 2,
    threads: Annotated[int, typer.Option(help="Torch threads a worker.")] = 1,
    runs_dir: Annotated[
        Path, typer.Option(help="Where finished runs and checkpoints are; workers must see it.")
    ] = Path("runs"),
    examples: Annotated[int, typer.Option(help="Most train equations in one ensemble; raise it on a GPU.")] = 4096,
) -> None:
    """Run an experiment's runs. Stop it whenever you like: the same command goes on where it was."""
    import dask
    from dask.distributed import Client, LocalCluster

    from grokbook import sweeps
    from grokbook.experiments import EXPERIMENTS

    configs = EXPERIMENTS[name].runs(scale)
    batches = sweeps.plan(configs, runs_dir, examples)
    work = sum(sweeps.seconds_per_step(c) * c.steps for b in batches for c in b.configs)
    typer.echo(
        f"{name} at scale {scale}: {sum(len(b.configs) for b in batches)} runs left in {len(batches)} batches, "
        f"about {work / 3600:.2g} core hours"
    )
    dask.config.set({"distributed.scheduler.allowed-failures": 1000})
    if scheduler is None:
        cluster = LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0
        )
        client = Client(cluster)
    else:
        client = Client(scheduler)
    with client:
        failed = sweeps.sweep(configs, runs_dir, client, threads, examples=examples)
    for batch, error in failed.items():
        typer.echo(f"batch {batch.key} failed: {error!r}", err=True)
    if scheduler is None:
        cluster.close()
    raise typer.Exit(bool(failed))


@app.callback()
def main() -> None:
    """grokbook."""
