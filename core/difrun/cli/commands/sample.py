"""`difrun sample`: more samples from the model of a run."""

from pathlib import Path

import click

from difrun.cli.plan_builder import CommandRequest
from difrun.cli.plan_command import PlanCommand
from difrun.cli.run_folder import FOLDER, QUIET, WHERE, reopened, work


def _sample(request: CommandRequest, folder: str, out: str | None, quiet: bool, force: bool) -> None:
    plan = request.plan
    with work(quiet, "No samples were written.") as listener:
        if ("", "seed") not in request.given:
            seed_of_run = plan.seed - 1
            listener.note(
                f"seed {plan.seed}, for new samples; --seed {seed_of_run} starts from the noise of the run's own"
            )
        path = reopened(request, folder, listener).draw_samples(
            request.only_given("sample", "n", plan.sample.n),
            plan.sampler,
            plan.grid,
            plan.sample.steps,
            plan.seed,
            plan.sample.chunk,
            Path(out) if out else None,
            force,
            plan.sample.noise,
            plan.sample.label,
            plan.guidance,
            plan.sample.condition,
        )
    click.echo(f"Samples: {path}")


sample = PlanCommand(
    "sample",
    callback=_sample,
    params=[
        FOLDER,
        click.Option(["--out"], metavar="FILE.npz", type=click.Path(), help="Where the samples go."),
        QUIET,
        click.Option(["--force"], is_flag=True, help="Overwrite an existing file."),
    ],
    kinds=("sampler", "grid", "guidance"),
    sections={"sample": ("n", "steps", "chunk", "noise", "label", "condition"), "": ("seed", *WHERE)},
    new_seed=True,
    help="Draw samples from the model of a run. What you do not give is as in the run, except the seed: it is the "
    "run's plus one, so that the samples are new.",
    short_help="Draw more samples from a run.",
)
