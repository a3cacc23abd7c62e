"""`difrun tune`: the best few steps for the model of a run."""

import re
from typing import Any

import click

from difrun.builtin.options import TUNABLE
from difrun.cli.output import table
from difrun.cli.plan_builder import CommandRequest
from difrun.cli.plan_command import PlanCommand
from difrun.cli.progress import Listener
from difrun.cli.run_folder import FOLDER, QUIET, WHERE, reopened, work
from difrun.config.run_options import MOST_STEPS
from difrun.text import quoted


class StepCounts(click.ParamType):
    """Numbers of steps within some bounds, separated by commas, each once."""

    name = "counts"

    def __init__(self, bounds: range = range(1, MOST_STEPS + 1), why: str = "") -> None:
        """why: the reason for the bounds, for the end of an error message."""
        self.bounds, self.why = bounds, why

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Read whole numbers separated by commas."""
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", value):
            self.fail(
                f"expected whole numbers separated by commas, such as 5,10,20; got {value!r}", param, ctx
            )
        texts = [part.strip().lstrip("0") or "0" for part in value.split(",")]
        lowest, highest = self.bounds[0], self.bounds[-1]
        for text in texts:
            # Python reads no whole number of thousands of digits.
            if len(text) > len(str(highest)) or int(text) not in self.bounds:
                shown = text if len(text) <= 20 else f"{text[:17]}..."
                self.fail(f"expected {lowest} to {highest} steps, not {shown}{self.why}", param, ctx)
        return tuple(dict.fromkeys(int(text) for text in texts))


def _tune(
    request: CommandRequest,
    folder: str,
    steps: tuple[int, ...],
    coefficients: bool,
    iterations: int | None,
    quiet: bool,
) -> None:
    rows: list[tuple[str, ...]] = [
        ("steps", "untuned: median", "rms", "tuned: median", "rms", "gain: median", "rms")
    ]
    with work(quiet, "What was tuned before this number of steps is kept.") as listener:
        run = reopened(request, folder, listener)
        try:
            for count in steps:
                tuning = run.tune(count, free_weights=coefficients, iterations=iterations)
                measured = tuning.median_before, tuning.before, tuning.median, tuning.error
                gains = tuning.median_before / tuning.median, tuning.before / tuning.error
                rows.append((str(count), *(f"{x:.2g}" for x in measured), *(f"{x:.2g} times" for x in gains)))
        finally:
            _table(rows, listener)
    click.echo(
        "Distance to a fine solution from the same noise, over the radius of the data, on noise that tuning has not\n"
        "seen: its median, and its root mean square, which depends most on the few samples that end in another mode.\n"
        "It is the error of the solver alone. Untuned: adams on the pilot grid, the default, whatever the run uses.\n"
        "To use it:"
    )
    for count in steps:
        click.echo(f"  difrun sample {quoted(folder)} --sampler tuned --steps {count}")


def _table(rows: list[tuple[str, ...]], listener: Listener) -> None:
    """Print the gains that were measured, even if the work was interrupted."""
    listener.close()
    if len(rows) > 1:
        click.echo(table(rows, right=(0, 1, 2, 3, 4, 5, 6)))


tune = PlanCommand(
    "tune",
    callback=_tune,
    params=[
        FOLDER,
        click.Option(
            ["--steps"],
            type=StepCounts(TUNABLE, ": one step has no grid to tune, and beyond there is nothing to gain"),
            default="6",
            show_default=True,
            metavar="N[,N...]",
            help=f"Numbers of steps to tune for, {TUNABLE[0]} to {TUNABLE[-1]}.",
        ),
        click.Option(
            ["--coefficients"], is_flag=True, help="Tune the weights of the method too, not the grid alone."
        ),
        click.Option(
            ["--iterations"],
            type=click.IntRange(1),
            default=None,
            help="Iterations of L-BFGS, in tens. Default: 40 for a grid alone; with the weights 150, or 1500/N for N "
            "beyond 10 steps.",
        ),
        QUIET,
    ],
    sections={"": WHERE},
    help="Find the grid on which a few steps of this model come nearest to its own fine solution.\n\n"
    "The result is stored in the run folder; --sampler tuned uses it.",
    short_help="Optimise the sampler for few steps.",
)
