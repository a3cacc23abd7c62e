"""`difrun evaluate`: the samples of a run, or a file of samples, measured against real data."""

from pathlib import Path

import click

from difrun.cli.likelihood import LIKELIHOOD, likelihood_flags, likelihood_table
from difrun.cli.output import metrics_table
from difrun.cli.plan_builder import CommandRequest
from difrun.cli.plan_command import PlanCommand
from difrun.cli.run_folder import FOLDER, QUIET, WHERE, reopened, work


def _evaluate(
    request: CommandRequest,
    folder: str,
    samples: str | None,
    quiet: bool,
    likelihood: bool,
    **likelihood_options: int | None,
) -> None:
    plan, n = request.plan, request.only_given("sample", "n", request.plan.sample.n)
    chosen = plan.metrics if request.sets_options_of("metric") else None
    wants_others = request.sets_options_of("guidance") or any(
        ("sample", name) in request.given for name in ("label", "condition")
    )
    wants_likelihood = likelihood_flags(likelihood, likelihood_options)
    if wants_others and (samples is not None or wants_likelihood):
        flag = "--likelihood" if wants_likelihood else "--samples"
        raise click.UsageError(
            f"{flag} cannot be used with --guidance, --label or --condition, which draw samples to be measured."
        )
    texts = []
    with work(quiet, "No metrics were written.") as listener:
        running = reopened(request, folder, listener)
        if wants_others:
            samples = str(running.samples_by(plan.guidance, plan.sample.label, n, plan.sample.condition))
        measured = running.likelihood(wants_likelihood.request()) if wants_likelihood else None
        if samples is not None:
            metrics, path = running.evaluate_file(Path(samples), chosen, n)
            texts.append(metrics_table(metrics))
        elif (
            measured is None or chosen is not None or n is not None
        ):  # the likelihood alone keeps the metrics
            texts += [metrics_table(running.evaluate(chosen, n)), running.suggestion]
    if measured is not None:
        texts.append(likelihood_table(measured))
    if samples is not None:
        texts.append(f"Metrics: {path}")
    elif (running.path / "report.html").is_file():
        texts.append(f"Report: {running.path / 'report.html'}")
    click.echo("\n".join(filter(None, texts)))


evaluate = PlanCommand(
    "evaluate",
    callback=_evaluate,
    params=[
        FOLDER,
        click.Option(
            ["--samples"],
            metavar="FILE",
            type=click.Path(),
            help="Measure the samples in this file (.npz, .npy or .csv, in your units) instead of the run's own.",
        ),
        *LIKELIHOOD,
        QUIET,
    ],
    kinds=("guidance", "metric"),
    sections={"sample": ("n", "label", "condition"), "": WHERE},
    help="Measure the samples of a run against real data, or (--likelihood) the model itself on held-out examples. "
    "What you do not give is as in the run.\n\n"
    "The numbers go into metrics.json and the report; those of --samples FILE.npz go into FILE.metrics.json. If you "
    "ask for more samples than the run has (--n), or for others (--guidance, --label, --condition), they are drawn "
    "into a separate file.",
    short_help="Measure the samples of a run.",
)
