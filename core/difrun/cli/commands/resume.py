"""`difrun resume`: continue an interrupted run."""

import click

from difrun.cli.plan_builder import CommandRequest
from difrun.cli.plan_command import PlanCommand
from difrun.cli.progress import Listener
from difrun.cli.run_folder import FOLDER, QUIET, WHERE, reopened, show_results


def _resume(request: CommandRequest, folder: str, quiet: bool, finish: bool) -> None:
    listener = Listener(quiet)
    with listener.signals(), listener.refusing_first():
        running = reopened(request, folder, listener)
        if finish:
            running.finish()
        else:
            running.resume()
    show_results(running)


resume = PlanCommand(
    "resume",
    callback=_resume,
    params=[
        FOLDER,
        QUIET,
        click.Option(
            ["--finish"],
            is_flag=True,
            help="Stop training: sample and measure with the weights that are saved.",
        ),
    ],
    sections={"": WHERE},
    help="Continue an interrupted run; the result is as if it had never stopped. With --finish, training ends where it "
    "stopped.",
)
