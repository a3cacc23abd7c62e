"""Compare samplers, grids, numbers of steps and runs: same noise, same real data, counted evaluations."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.config.plan import ChosenComponent, Plan
from difrun.config.run_options import Threads
from difrun.errors import ConfigError, DifrunError, Interrupted
from difrun.model.base import ScoreModel
from difrun.model.wrappers import Counted
from difrun.options.parsing import python_number
from difrun.plugin.listener import Listener
from difrun.plugin.registry import get_registry
from difrun.randomness.generator import seed_of
from difrun.runs.build import grid_times
from difrun.runs.compare.compared_model import ComparedModel, with_distinct_names
from difrun.runs.compare.endpoints import ExactEndpoints
from difrun.runs.compare.pairs import distinct_titles, sampler_grid_pairs
from difrun.runs.compare.progress import Progress
from difrun.runs.compare.results import Comparison, ComparisonRow, output_folder
from difrun.runs.environment import faults
from difrun.runs.environment.threads import threads
from difrun.runs.run import Run
from difrun.runs.stages import evaluation, sampling
from difrun.runs.stages.labels import labels_of, rows_asked
from difrun.sampler.base import Sampler
from difrun.sampler.integration import generate

STEPS = (5, 10, 20, 50)


def compare(
    *runs: Run | Plan | ComparedModel | Path | str,
    samplers: Sequence[str | ChosenComponent] | None = None,
    steps: Sequence[int] = STEPS,
    grids: Sequence[str | ChosenComponent] | None = None,
    metrics: Sequence[str | ChosenComponent] | None = None,
    guidance: Sequence[ChosenComponent] | None = None,
    label: str | None = None,
    condition: str | None = None,
    n: int | None = None,
    seed: int | None = None,
    exact: bool = False,
    out: Path | str | None = None,
    force: bool = False,
    listener: Listener | None = None,
    device: str | None = None,
    threads: Threads = None,
    loggers: Mapping[str, Any] | None = None,
) -> Comparison:
    """Draw samples from every run, with every sampler, grid and number of steps, and measure them.

    All rows start from the same noise, and metrics compare with the same real data. A sampler that fails gets a row
    with the reason. compare.csv and compare.json are written after every row.

    Args:
        *runs: Trained runs, their folders, the plan of a model that needs no training, or a model with its data.
        samplers: Names or components, or ``["all"]`` for all that fit; None takes a run's own sampler, `adams` and
            `heun`. A run's own sampler and grid have the options of the run, all others their defaults.
        steps: Numbers of steps.
        grids: Names or components, or ``["all"]``; None takes a run's own grid for each sampler, unless it prefers
            another.
        metrics: Names, with the options of the first run; None takes the first metric of that run.
        guidance: Guidances of every run, instead of its own; None keeps its own.
        label: The class to draw; None draws what each run draws.
        condition: The values of a condition, or a file of one row per sample; None draws what each run draws.
        n: How many samples; None takes the number of the first run, or of the rows of a file of conditions.
        seed: The seed; None takes that of the first run.
        exact: Measure the distance of deterministic samplers to the endpoints of the probability flow as well
            (`difrun.analysis.reference`), on at most 2000 samples.
        out: The folder of the results; None makes the next free ``runs/compare-<k>``.
        force: Replace the results that are there.
        listener: Receives notes and progress; None is silent.
        device: The device, instead of that of the runs.
        threads: The number of CPU threads, instead of that of the runs.
        loggers: Name of a plugin -> the options of its logger.

    Returns:
        The comparison, with its rows in the order in which they were computed.

    Raises:
        ConfigError: If nothing can be compared.
        DifrunError: If a run does not exist or is not trained.
        Interrupted: If the user asks to stop; the finished rows are in the folder.
    """
    listener = listener or Listener()
    counts = _checked_steps(steps)
    if not runs:
        raise ConfigError("There is nothing to compare: name a run, or give the plan of an exact model.")
    around = None if guidance is None else tuple(guidance)
    models = with_distinct_names([ComparedModel.of(run, listener, device, threads, around) for run in runs])
    first = models[0].plan
    if n is None:
        n = rows_asked(condition, models[0].parts.dataset) or first.sample.n
    seed = first.seed if seed is None else seed
    if n < 2:
        raise ConfigError(f"--n {n}: at least 2 samples are needed to compare them with data.")
    measures = _chosen_metrics(models[0], metrics)
    for model in models:
        model.prepare(n, seed, measures, label, condition)
    notes = _choose_pairs(models, samplers, grids)
    for note in notes:
        listener.note(note)
    pairs = sum(len(model.pairs) for model in models)
    facts: dict[str, Any] = {"n": n, "seed": seed, "asked": pairs * len(counts)}
    facts["runs"] = {model.name: model.facts() for model in models}
    comparison = Comparison(output_folder(out, force), facts, notes)
    progress = Progress(listener, comparison.path, pairs * sum(counts), loggers or first.loggers)
    with progress.told(models[0].plan, facts):
        listener.stage("compare")
        _fill(comparison, models, counts, exact, progress)
        listener.stage("draw")
        comparison.draw()
    return comparison


def _chosen_metrics(
    first: ComparedModel, metrics: Sequence[str | ChosenComponent] | None
) -> Sequence[ChosenComponent]:
    """The metrics that the user names, or the first one of the first run."""
    if metrics is None:
        return first.plan.metrics[:1]
    return [first.chosen("metric", metric) for metric in metrics]


def _choose_pairs(
    models: Sequence[ComparedModel],
    samplers: Sequence[str | ChosenComponent] | None,
    grids: Sequence[str | ChosenComponent] | None,
) -> list[str]:
    """Give every model its pairs of sampler and grid, and return notes on those that are left out.

    Raises:
        ConfigError: If no pair is left.
    """
    notes: list[str] = []
    for model in models:
        model.pairs = sampler_grid_pairs(get_registry(), model, samplers, grids, notes, len(models) > 1)
    if not any(model.pairs for model in models):
        raise ConfigError("\n".join(["There is nothing to compare.", *notes]))
    return notes


def _fill(
    comparison: Comparison,
    models: Sequence[ComparedModel],
    counts: Sequence[int],
    exact: bool,
    progress: Progress,
) -> None:
    """Compute the rows and write them one after the other. An interruption says how many are finished."""
    try:
        for model in models:
            endpoints = ExactEndpoints(model, progress, several=len(models) > 1) if exact else None
            for row in _rows(model, counts, endpoints, progress):
                comparison.rows.append(row)
                comparison.write()
                progress.tell("difrun_compared", row=comparison.records()[-1])
    except Interrupted:
        finished, folder = len(comparison.rows), comparison.path
        outcome = "Nothing was written."
        if finished:
            comparison.draw()
            outcome = f"The finished rows are in {folder}."
        else:
            with contextlib.suppress(OSError):  # a folder that holds files of the user stays
                folder.rmdir()
        text = f"Stopped after {finished} of {comparison.facts['asked']} rows."
        raise Interrupted(folder, text, outcome) from None


def _rows(
    compared: ComparedModel, counts: Sequence[int], endpoints: ExactEndpoints | None, progress: Progress
) -> Iterator[ComparisonRow]:
    """Compute the rows of one model, one after the other."""
    count, counted_samples_are_noted = compared.plan.threads, False
    titles = distinct_titles(compared.pairs)
    with threads(count if isinstance(count, int) else None):
        for sampler, grid in compared.pairs:
            sampler_title, grid_title = titles[id(sampler)], titles[id(grid)]
            plan = attrs.evolve(compared.plan, sampler=sampler, grid=grid)
            for steps in counts:
                place: dict[str, Any] = {
                    "run": compared.name,
                    "sampler": sampler_title,
                    "grid": grid_title,
                    "steps": steps,
                }
                progress.stop_if_asked()
                try:
                    with faults.blame_plugin(plan):
                        row = _row(compared, place, sampler, grid, endpoints, progress)
                except (Interrupted, ConfigError):
                    raise
                except DifrunError as error:
                    row = ComparisonRow(**place, problem=str(error))
                progress.add(steps)
                if row.metrics and not counted_samples_are_noted:
                    shape = (compared.n, *compared.parts.dataset.shape)
                    evaluation.say_how_many(compared, torch.zeros(()).expand(shape))
                    counted_samples_are_noted = True
                yield row


def _row(
    compared: ComparedModel,
    place: dict[str, Any],
    chosen_sampler: ChosenComponent,
    grid: ChosenComponent,
    endpoints: ExactEndpoints | None,
    progress: Progress,
) -> ComparisonRow:
    """Draw the samples of one row and measure them; place: the run, sampler, grid and steps of the row."""
    dataset, chunk = compared.parts.dataset, compared.plan.sample.chunk
    labels = labels_of(compared.model, dataset, compared.plan.sample, compared.n)
    sampler = sampling.sampler_for(chosen_sampler, dataset)
    times = grid_times(grid, compared.model, place["steps"], sampler)
    if not compared.warm:  # the first call is slower, so it is not timed
        _draw(compared, compared.model, sampler, times, 2, labels, progress.stop_if_asked)
        compared.warm = True
    counted, chunks = Counted(compared.model), -(-compared.n // chunk)

    def watch(done: int, total: int) -> None:
        progress.report(done / chunks)

    start = time.perf_counter()
    samples = _draw(compared, counted, sampler, times, compared.n, labels, watch)
    seconds = time.perf_counter() - start
    numbers, problems = _measure(compared, samples, labels, progress)
    exact: dict[str, Any] = {} if endpoints is None else endpoints.compare(samples, sampler)
    evaluations = round(counted.examples / compared.n, 1)
    return ComparisonRow(
        **place,
        evaluations=int(evaluations) if evaluations.is_integer() else evaluations,
        seconds=round(seconds, 4),
        metrics=numbers,
        problem="; ".join(problems),
        **exact,
    )


def _draw(
    compared: ComparedModel,
    model: ScoreModel,
    sampler: Sampler,
    times: Sequence[float],
    n: int,
    labels: Tensor | None,
    watch: Callable[[int, int], None],
) -> Tensor:
    """Draw n samples from the noise that all rows of a comparison share, (n, ...) on the CPU."""
    return generate(
        sampler,
        model,
        n,
        times,
        seed=seed_of(compared.plan.seed, "samples"),
        chunk=compared.plan.sample.chunk,
        device=compared.device,
        labels=None if labels is None else labels[:n],
        watch=watch,
    ).cpu()


def _measure(
    compared: ComparedModel, samples: Tensor, labels: Tensor | None, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """The numbers of all metrics, and the errors of those that cannot be computed."""
    numbers: dict[str, Any] = {}
    problems = []
    for metric in compared.metrics:
        progress.stop_if_asked()
        try:
            numbers |= evaluation.measure_all(
                compared, samples, [metric], "", strict=True, floors=compared.floors, labels=labels
            )
        except DifrunError as error:
            problems.append(f"metric {metric.name}: {error}")
    return numbers, problems


def _checked_steps(steps: Sequence[int]) -> list[int]:
    """The numbers of steps without repetitions. Raises ConfigError for anything that is not a number of steps."""
    counts = list(dict.fromkeys(python_number(count) for count in steps))
    for count in counts:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigError(
                f"Invalid number of steps {count!r}: expected whole numbers of at least 1, such as 5, 10, 20."
            )
    if not counts:
        raise ConfigError("No number of steps is given: expected some, such as 5, 10, 20.")
    return counts
