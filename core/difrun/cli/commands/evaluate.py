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
    plan = request.plan
    of_likelihood = likelihood_flags(likelihood, likelihood_options)
    # Options of a metric that the user sets ask for new metrics as much as a name does.
    named = "metric" in request.named or any(section.startswith("metric.") for section, _ in request.given)
    chosen, n = plan.metrics if named else None, request.only_given("sample", "n", plan.sample.n)
    others = "guidance" in request.named or ("sample", "label") in request.given
    others = others or any(section.startswith("guidance.") for section, _ in request.given)
    if others and (samples is not None or of_likelihood):
        flag = "--likelihood" if of_likelihood else "--samples"
        raise click.UsageError(
            f"{flag} goes without --guidance and --label, which draw samples to be measured."
        )
    found, metrics, told, advice = None, None, "", ""
    with work(quiet, "No metrics were written.") as listener:
        running = reopened(request, folder, listener)
        if others:
            samples = str(running.samples_by(plan.guidance, plan.sample.label, n))
        if of_likelihood:
            found = running.likelihood(of_likelihood.request())
        if samples is not None:
            metrics, path = running.evaluate_file(Path(samples), chosen, n)
            told = f"Metrics: {path}"
        elif found is None or named or n is not None:  # the likelihood alone leaves the metrics as they are
            metrics = running.evaluate(chosen, n)
            advice = running.suggestion
    if samples is None and (running.path / "report.html").is_file():
        told = f"Report: {running.path / 'report.html'}"
    tables = [
        "" if metrics is None else metrics_table(metrics),
        advice,
        "" if found is None else likelihood_table(found),
    ]
    click.echo("\n".join(filter(None, [*tables, told])))


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
    sections={"sample": ("n", "label"), "": WHERE},
    help="Measure the samples of a run against real data, or (--likelihood) the model itself on held-out examples. "
    "What you do not give is as in the run.\n\n"
    "The numbers go into metrics.json and the report; those of --samples FILE.npz go into FILE.metrics.json. If you "
    "ask for more samples than the run has (--n), or for others (--guidance, --label), they are drawn into a file of "
    "their own.",
    short_help="Measure the samples of a run.",
)
