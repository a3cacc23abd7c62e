"""`difrun tune`: the best few steps for the model of a run."""

import re
from typing import Any

import click

from difrun.cli.after import work
from difrun.cli.command import PlanCommand, Request
from difrun.cli.output import table
from difrun.cli.run import FOLDER, QUIET, WHERE, reopened
from difrun.words import quoted


class Counts(click.ParamType):
    """Whole numbers from 1 on, separated by commas, each once."""

    name = "counts"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", value):
            self.fail(
                f"expected whole numbers separated by commas, such as 5,10,20; got {value!r}", param, ctx
            )
        counts = tuple(dict.fromkeys(int(part) for part in value.split(",")))
        if min(counts) < 1:
            self.fail("a number of steps is at least 1", param, ctx)
        return counts


def _tune(
    request: Request, folder: str, steps: tuple[int, ...], coefficients: bool, iterations: int, quiet: bool
) -> None:
    rows: list[tuple[str, ...]] = [
        ("steps", "untuned: median", "rms", "tuned: median", "rms", "gain: median", "rms")
    ]
    with work(quiet, "What was tuned before stays.") as listener:
        run = reopened(request, folder, listener)
        for count in steps:
            tuning = run.tune(count, free_weights=coefficients, iterations=iterations)
            rows.append(
                (
                    str(count),
                    *(f"{x:.2g}" for x in (tuning.median_before, tuning.before, tuning.median, tuning.error)),
                    f"{tuning.median_before / tuning.median:.2g} times",
                    f"{tuning.before / tuning.error:.2g} times",
                )
            )
    click.echo(table(rows, right=(0, 1, 2, 3, 4, 5, 6)))
    click.echo(
        "Distance to a fine solution from the same noise, over the radius of the data, on noise that tuning has not\n"
        "seen: its median, and its root mean square, which the few samples that end in another mode decide. It is the\n"
        "error of the solver alone. Untuned: adams on the pilot grid, the default, whatever the run itself uses.\n"
        f"To use it: difrun sample {quoted(folder)} --sampler tuned --steps {steps[0]}"
    )


tune = PlanCommand(
    "tune",
    callback=_tune,
    params=[
        FOLDER,
        click.Option(
            ["--steps"],
            type=Counts(),
            default="6",
            show_default=True,
            metavar="N[,N...]",
            help="Numbers of steps to tune for, 2 to 60.",
        ),
        click.Option(
            ["--coefficients"], is_flag=True, help="Tune the weights of the method too, not the grid alone."
        ),
        click.Option(
            ["--iterations"],
            type=click.IntRange(1),
            default=100,
            show_default=True,
            help="Iterations of L-BFGS for the weights; the grid takes at most 40.",
        ),
        QUIET,
    ],
    sections={"": WHERE},
    help="Find the grid with which few steps of this model come nearest to its own fine solution.\n\n"
    "The result is kept in the run; --sampler tuned uses it.",
    short_help="Optimise the sampler for few steps.",
)
