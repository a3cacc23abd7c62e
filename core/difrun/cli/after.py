"""Commands on a finished run: more samples, other metrics, the report again."""

from pathlib import Path

import click

from difrun.cli.command import PlanCommand, Request
from difrun.cli.output import metrics_table
from difrun.cli.progress import Listener
from difrun.cli.run import FOLDER, QUIET, as_heard, reopened

WHERE = ("device", "threads")


def _sample(request: Request, folder: str, out: str | None, quiet: bool, force: bool) -> None:
    listener = Listener(quiet)
    plan = request.plan
    with listener.signals():
        run = reopened(request, folder, listener)
        path = run.draw_samples(
            plan.sample.n,
            plan.sampler,
            plan.grid,
            plan.sample.steps,
            plan.seed,
            plan.sample.chunk,
            Path(out) if out else None,
            force,
        )
    click.echo(f"Samples: {path}")


def _evaluate(request: Request, folder: str, quiet: bool) -> None:
    listener = Listener(quiet)
    plan = request.plan
    # Options of a metric that the user sets ask for new metrics as much as a name does.
    named = "metric" in request.named or any(section.startswith("metric.") for section, _ in request.given)
    with listener.signals():
        run = reopened(request, folder, listener)
        metrics = run.evaluate(
            plan.metrics if named else None, request.only_given("sample", "n", plan.sample.n)
        )
    click.echo(metrics_table(metrics))


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(file_okay=False))
@click.option("--quiet", is_flag=True, help="Print the path only.")
def report(folder: str, quiet: bool) -> None:
    """Draw the pictures and the report of a run again."""
    from difrun.errors import ConfigError

    if not (Path(folder) / "run.toml").exists():
        raise ConfigError(f"There is no run in {folder}: {Path(folder) / 'run.toml'} does not exist.")
    listener = Listener(quiet)
    with listener.signals():
        from difrun.run import reopen

        path = reopen(Path(folder), as_heard(listener)).report()
    click.echo(f"Report: {path}")


sample = PlanCommand(
    "sample",
    callback=_sample,
    params=[
        FOLDER,
        click.Option(["--out"], metavar="FILE.npz", type=click.Path(), help="Where the samples go."),
        QUIET,
        click.Option(["--force"], is_flag=True, help="Overwrite an existing file."),
    ],
    kinds=("sampler", "grid"),
    sections={"sample": None, "": ("seed", *WHERE)},
    help="Draw samples from the model of a run. What is not named is as in the run.",
    short_help="Draw more samples from a run.",
)

evaluate = PlanCommand(
    "evaluate",
    callback=_evaluate,
    params=[FOLDER, QUIET],
    kinds=("metric",),
    sections={"sample": ("n",), "": WHERE},
    help="Measure the samples of a run against real data. What is not named is as in the run.",
    short_help="Measure the samples of a run.",
)
