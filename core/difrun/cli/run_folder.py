"""What the commands that work on a run folder share: arguments, signals that stop the work, and opening the run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from difrun.cli.likelihood import likelihood_table
from difrun.cli.output import metrics_table
from difrun.cli.plan_builder import CommandRequest
from difrun.cli.progress import Listener
from difrun.cli.run_path import RunPath
from difrun.errors import Interrupted
from difrun.plugin.registry import get_registry

if TYPE_CHECKING:
    from difrun.runs import Run

WHERE = ("device", "threads")
QUIET = click.Option(["--quiet"], is_flag=True, help="Print results and errors only.")
FOLDER = click.Argument(["folder"], metavar="RUN", type=RunPath())


def reopened(request: CommandRequest, folder: str, listener: Listener) -> "Run":
    """Open the run in a folder, on the device and with the threads that the user named, if any."""
    from difrun.runs import reopen

    plan = request.plan
    get_registry().report = listener.note
    run = reopen(
        Path(folder),
        listener,
        device=request.only_given("", "device", plan.device),
        threads=request.only_given("", "threads", plan.threads),
    )
    run.plan = attrs.evolve(run.plan, loggers=plan.loggers)
    return run


def show_results(running: "Run") -> None:
    """Print the metrics of a run, its likelihood if it was measured, and where the report is."""
    likelihood = running.facts.get("likelihood")
    texts = [metrics_table(running.metrics), running.suggestion]
    if likelihood:
        texts.append(likelihood_table(likelihood))
    click.echo("\n".join(filter(None, texts)))
    click.echo(f"Report: {running.path / 'report.html'}")


@contextmanager
def work(quiet: bool, outcome: str = "") -> Iterator[Listener]:
    """Give the block a listener, and stop it on signals.

    Args:
        quiet: Show no progress.
        outcome: What an interrupted command says about its results; empty leaves that to the error.
    """
    listener = Listener(quiet, saves=False)
    with listener.signals(), listener.refusing_first():
        try:
            yield listener
        except Interrupted as error:
            error.outcome = outcome or error.outcome  # the run itself is finished, so nothing can be resumed
            raise
