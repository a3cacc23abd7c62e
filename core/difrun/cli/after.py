"""Commands on a finished run: more samples, other metrics, the report again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from difrun.cli.command import PlanCommand, Request
from difrun.cli.likelihood import LIKELIHOOD, asked, likelihood_table
from difrun.cli.output import metrics_table
from difrun.cli.progress import Listener
from difrun.cli.run import FOLDER, QUIET, WHERE, reopened
from difrun.errors import Interrupted


@contextmanager
def work(quiet: bool, outcome: str = "") -> Iterator[Listener]:
    """A listener, and signals that stop the work; `outcome` is what an interrupted command then says.

    Without one it is for the error itself to say.
    """
    listener = Listener(quiet, saves=False)
    with listener.signals(), listener.refusing_first():
        try:
            yield listener
        except Interrupted as error:
            error.outcome = outcome or error.outcome  # the run itself is finished: there is nothing to resume
            raise


def _sample(request: Request, folder: str, out: str | None, quiet: bool, force: bool) -> None:
    plan = request.plan
    with work(quiet, "No samples were written.") as listener:
        if ("", "seed") not in request.given:
            own = plan.seed - 1
            listener.note(
                f"seed {plan.seed}, for new samples; --seed {own} starts from the noise of the run's own"
            )
        path = reopened(request, folder, listener).draw_samples(
            plan.sample.n,
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
        )
    click.echo(f"Samples: {path}")


def _evaluate(
    request: Request,
    folder: str,
    samples: str | None,
    quiet: bool,
    likelihood: bool,
    **likelihood_options: int | None,
) -> None:
    plan = request.plan
    of_likelihood = asked(likelihood, likelihood_options)
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


def _report(request: Request, folder: str, quiet: bool) -> None:
    with work(quiet, "No new report was written.") as listener:
        path = reopened(request, folder, listener).report()
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
    kinds=("sampler", "grid", "guidance"),
    sections={"sample": ("n", "steps", "chunk", "noise", "label"), "": ("seed", *WHERE)},
    new_seed=True,
    help="Draw samples from the model of a run. What is not named is as in the run, but for the seed: without --seed "
    "it is the run's plus one, so that the samples are new ones.",
    short_help="Draw more samples from a run.",
)

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
    "What is not named is as in the run.\n\n"
    "The numbers go into metrics.json and the report; those of --samples FILE.npz into FILE.metrics.json. "
    "Of more samples than the run has (--n), or others (--guidance, --label), a file of their own is drawn.",
    short_help="Measure the samples of a run.",
)

report = PlanCommand(
    "report",
    callback=_report,
    params=[FOLDER, QUIET],
    sections={"": WHERE},
    help="Draw the pictures and the report of a run again.",
)
