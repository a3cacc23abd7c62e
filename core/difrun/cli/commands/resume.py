"""`difrun resume`: continue an interrupted run."""

import click

from difrun.cli.plan_builder import CommandRequest
from difrun.cli.plan_command import PlanCommand
from difrun.cli.progress import Listener
from difrun.cli.run_folder import FOLDER, QUIET, WHERE, reopened, show_results
from difrun.errors import ConfigError


class Count(click.IntRange):
    """A whole number within bounds, which errors call so."""

    name = "whole number"


def _resume(request: CommandRequest, folder: str, quiet: bool, finish: bool, train_steps: int | None) -> None:
    if finish and train_steps is not None:
        raise ConfigError("--finish ends training and --train.steps goes on with it: give one of the two.")
    listener = Listener(quiet)
    with listener.signals(), listener.refusing_first():
        running = reopened(request, folder, listener)
        if finish:
            running.finish()
        elif train_steps is not None:
            running.extend(train_steps)
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
        click.Option(
            ["--train.steps", "train_steps"],
            type=Count(min=1),
            metavar="N",
            help="Train further, to N steps in all; the learning rate begins a new schedule. What was sampled and "
            "measured before is replaced.",
        ),
    ],
    sections={"": WHERE},
    help="Continue an interrupted run; the result is as if it had never stopped. With --finish, training ends where it "
    "stopped; with --train.steps, it goes on beyond what was planned.",
)
