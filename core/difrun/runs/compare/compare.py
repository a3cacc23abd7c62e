"""Samplers, grids, numbers of steps and runs beside each other: same noise, same real data, counted evaluations."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.analysis.reference import Endpoint, Modes, distance, endpoint, modes, radius
from difrun.config.plan import ChosenComponent, Plan
from difrun.config.run_options import Threads
from difrun.errors import ConfigError, DifrunError, Interrupted
from difrun.listener import Listener
from difrun.model.base import ScoreModel
from difrun.model.wrappers import Counted
from difrun.plugin.registry import get_registry
from difrun.randomness.generator import Generator, seed_of
from difrun.runs.build import grid_times
from difrun.runs.compare.compared_model import ComparedModel, sampler_grid_pairs, with_distinct_names
from difrun.runs.compare.results import Comparison, ComparisonRow, output_folder
from difrun.runs.environment import faults
from difrun.runs.environment.threads import threads
from difrun.runs.run import Run
from difrun.runs.stages import evaluation, sampling
from difrun.sampler.base import Sampler
from difrun.sampler.integrate import generate, to_data

STEPS = (5, 10, 20, 50)
ENDPOINTS = 2000
"""How many samples, at most, are compared with their exact endpoints."""


def compare(
    *runs: Run | Plan | Path | str,
    samplers: Sequence[str] | None = None,
    steps: Sequence[int] = STEPS,
    grids: Sequence[str] | None = None,
    metrics: Sequence[str | ChosenComponent] | None = None,
    guidance: Sequence[ChosenComponent] | None = None,
    label: str | None = None,
    n: int | None = None,
    seed: int | None = None,
    exact: bool = False,
    out: Path | str | None = None,
    force: bool = False,
    listener: Listener | None = None,
    device: str | None = None,
    threads: Threads = None,
) -> Comparison:
    """Draw samples by every sampler on every grid in every number of steps, from every run, and measure them.

    runs: trained runs, or their folders, or the plan of a model that needs no training. samplers, grids: names, or
    ``["all"]`` for all that fit; by default a run's own sampler, `adams` and `heun`, each on the run's own grid
    unless it prefers another. A run's own sampler and grid have the options of the run, all others their defaults.
    metrics: names, with the options of the first run; by default its first. guidance: around the model of every run,
    in the place of what it has; None: its own. label: the class to draw; None: what each run draws. n, seed: those of
    the first run. exact: measure the distance of deterministic samplers to the endpoints of the probability flow as
    well (`difrun.analysis.reference`), on at most 2000 samples. out: where the results go; None: the next free
    ``runs/compare-<k>``. force: replace the results that are there.

    All rows start from the same noise, and metrics compare with the same real data. A sampler that fails is a row
    that says so. compare.csv and compare.json are written after every row. Raises Interrupted when asked to stop: the
    rows so far are then in the folder; ConfigError where nothing can be compared, DifrunError for a run that is not
    there or not trained.
    """
    listener = listener or Listener()
    counts = _counted(steps)
    if not runs:
        raise ConfigError("There is nothing to compare: name a run, or give the plan of an exact model.")
    around = None if guidance is None else tuple(guidance)
    subjects = with_distinct_names([ComparedModel.of(run, listener, device, threads, around) for run in runs])
    first = subjects[0].plan
    n, seed = first.sample.n if n is None else n, first.seed if seed is None else seed
    if n < 2:
        raise ConfigError(f"--n {n}: at least 2 samples are needed to compare them with data.")
    notes: list[str] = []
    measures = (
        first.metrics[:1] if metrics is None else [subjects[0].chosen("metric", metric) for metric in metrics]
    )
    for subject in subjects:
        subject.take(n, seed, measures)
        if label is not None:
            subject.plan = attrs.evolve(subject.plan, sample=attrs.evolve(subject.plan.sample, label=label))
        sampling.labels_of(subject.model, subject.parts.dataset, subject.plan.sample.label, 1)
        subject.pairs = sampler_grid_pairs(
            get_registry(), subject, samplers, grids, notes, several=len(subjects) > 1
        )
    rows = sum(len(subject.pairs) for subject in subjects) * len(counts)
    if not rows:
        raise ConfigError("\n".join(["There is nothing to compare.", *notes]))
    for note in notes:
        listener.note(note)
    facts = {
        "n": n,
        "seed": seed,
        "asked": rows,
        "runs": {subject.name: subject.facts() for subject in subjects},
    }
    found = Comparison(output_folder(out, force), facts, notes)
    progress = _Progress(listener, found, rows // len(counts) * sum(counts))
    try:
        for subject in subjects:
            for row in _rows(subject, counts, exact, progress):
                found.rows.append(row)
                found.write()
    except Interrupted:
        if found.rows:
            found.draw()
        else:
            with contextlib.suppress(OSError):  # what is in a folder of the user's stays
                found.path.rmdir()
        kept = f"The {len(found.rows)} that are finished are in {found.path}."
        raise Interrupted(
            found.path,
            f"Stopped after {len(found.rows)} of {rows} rows.",
            kept if found.rows else "Nothing was written.",
        ) from None
    listener.stage("draw")
    found.draw()
    return found


def _rows(
    subject: ComparedModel, counts: Sequence[int], exact: bool, progress: "_Progress"
) -> Iterator[ComparisonRow]:
    """The rows, one after the other."""
    count = subject.plan.threads
    with threads(count if isinstance(count, int) else None):
        reference, said = _Reference(subject, progress) if exact else None, False
        for sampler, grid in subject.pairs:
            plan = attrs.evolve(subject.plan, sampler=sampler, grid=grid)
            for steps in counts:
                where: dict[str, Any] = {
                    "run": subject.name,
                    "sampler": sampler.name,
                    "grid": grid.name,
                    "steps": steps,
                }
                progress.begin()
                try:
                    with faults.blame_plugin(plan):
                        row = _row(subject, where, sampler, grid, reference, progress)
                except (Interrupted, ConfigError):
                    raise
                except DifrunError as error:
                    row = ComparisonRow(**where, problem=str(error))
                progress.end(steps)
                if row.metrics and not said:
                    shape = (subject.n, *subject.parts.dataset.shape)
                    evaluation.say_how_many(subject, torch.zeros(()).expand(shape))
                    said = True
                yield row


def _row(
    subject: ComparedModel,
    where: dict[str, Any],
    sampler: ChosenComponent,
    grid: ChosenComponent,
    reference: "_Reference | None",
    progress: "_Progress",
) -> ComparisonRow:
    steps, chunk = where["steps"], subject.plan.sample.chunk
    dataset, label = subject.parts.dataset, subject.plan.sample.label
    labels = sampling.labels_of(subject.model, dataset, label, subject.n)
    method = sampling.sampler_for(sampler, subject.parts.dataset)
    times = grid_times(grid, subject.model, steps, method)

    def draw(n: int, model: ScoreModel, watch: Callable[[int, int], None]) -> Tensor:
        return generate(
            method,
            model,
            n,
            times,
            seed=seed_of(subject.plan.seed, "samples"),
            chunk=chunk,
            device=subject.device,
            labels=None if labels is None else labels[:n],
            watch=watch,
        ).cpu()

    if progress.warm is not subject:  # what only the first call pays for is no part of a time
        draw(2, subject.model, progress.stop_if_asked)
        progress.warm = subject
    counted, chunks = Counted(subject.model), -(-subject.n // chunk)
    began = time.perf_counter()
    samples = draw(subject.n, counted, lambda done, total: progress.told(done / chunks))
    seconds = time.perf_counter() - began
    found: dict[str, Any] = {}
    problems = []
    for metric in subject.metrics:
        progress.stop_if_asked()
        try:
            found |= evaluation.measure_all(
                subject, samples, [metric], "", strict=True, floors=subject.floors, labels=labels
            )
        except DifrunError as error:
            problems.append(f"metric {metric.name}: {error}")
    told: dict[str, Any] = {} if reference is None else reference.told(samples, method)
    evaluations = round(counted.examples / subject.n, 1)
    return ComparisonRow(
        **where,
        evaluations=int(evaluations) if evaluations.is_integer() else evaluations,
        seconds=round(seconds, 4),
        metrics=found,
        problem="; ".join(problems),
        **told,
    )


class _Reference:
    """The endpoints of the first samples of a subject, solved when they are first needed."""

    def __init__(self, subject: ComparedModel, progress: "_Progress"):
        self.subject, self.progress = subject, progress
        dataset = subject.parts.dataset
        self.n = min(subject.n, ENDPOINTS)
        self.radius = radius(dataset.var)
        self.modes: Modes | None = modes(dataset.distribution)
        self.why = ""
        self._end: Endpoint | None = None
        if not {"gaussian", "ode"} <= subject.plan.process.entry.component.provides:
            self.why = f"process '{subject.plan.process.name}' has no probability flow"

    def told(self, samples: Tensor, method: Sampler) -> dict[str, Any]:
        """What a row says of the distance to the endpoints, or why it says nothing."""
        why = self.why or ("stochastic: its samples follow no flow" if _stochastic(method) else "")
        if not why and self._end is None:
            try:
                self._end = self._solved()
            except Interrupted:
                raise
            except DifrunError as error:
                self.why = why = str(error)
        if why or self._end is None:
            return {"exact_note": why}
        apart = distance(samples[: self.n], self._end.x, self.radius, self.modes)
        return {"exact": apart, "exact_reference_error": self._end.error}

    def _solved(self) -> Endpoint:
        subject = self.subject
        if not self.progress.solved:
            each = " of every run" if len(self.progress.found.facts["runs"]) > 1 else ""
            subject.listener.note(
                f"the exact endpoints of {self.n} samples{each} are found with the model's own flow, in 200 steps and "
                "in 400"
            )
        self.progress.solved = True
        model = subject.model
        label = subject.plan.sample.label
        labels = sampling.labels_of(model, subject.parts.dataset, label, self.n)
        if labels is not None:
            model = model.condition_on(labels.to(subject.device))
        random = Generator(seed_of(subject.plan.seed, "samples"), device=subject.device)
        noise = model.prior(self.n, random, device=subject.device)
        with torch.no_grad():
            end = endpoint(model, noise, self.radius, self.progress.stop_if_asked)
        return attrs.evolve(end, x=to_data(model.process, end.x, model.process.t_min))


class _Progress:
    """How far all rows are, told to the listener; raises Interrupted when the user asks to stop."""

    def __init__(self, listener: Listener, found: Comparison, total: int):
        self.listener, self.found, self.total = listener, found, total
        self.done = 0
        self.warm: ComparedModel | None = None
        self.solved = False
        """Whether endpoints have been solved, which is told once."""

    def begin(self) -> None:
        if not self.found.rows and not self.done:
            self.listener.stage("compare")
        self.stop_if_asked()

    def told(self, steps: float) -> None:
        self.listener.sample(self.done + int(steps), self.total)
        self.stop_if_asked()

    def end(self, steps: int) -> None:
        self.done += steps

    def stop_if_asked(self, *_: Any) -> None:
        if self.listener.stopping():
            raise Interrupted(self.found.path)


def _stochastic(method: Sampler) -> bool:
    return bool(getattr(method, "stochastic", False))


def _counted(steps: Sequence[int]) -> list[int]:
    counts: list[int] = list(dict.fromkeys(steps))
    for count in counts:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigError(
                f"Invalid number of steps {count!r}: expected whole numbers from 1 on, such as 5, 10, 20."
            )
    if not counts:
        raise ConfigError("No number of steps is given: expected some, such as 5, 10, 20.")
    return counts
