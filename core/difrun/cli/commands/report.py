"""`difrun report`: draw the pictures and the report of a run again."""

import click

from difrun.cli.plan_builder import CommandRequest
from difrun.cli.plan_command import PlanCommand
from difrun.cli.run_folder import FOLDER, QUIET, WHERE, reopened, work


def _report(request: CommandRequest, folder: str, quiet: bool) -> None:
    with work(quiet, "No new report was written.") as listener:
        path = reopened(request, folder, listener).report()
    click.echo(f"Report: {path}")


report = PlanCommand(
    "report",
    callback=_report,
    params=[FOLDER, QUIET],
    sections={"": WHERE},
    help="Draw the pictures and the report of a run again.",
)
