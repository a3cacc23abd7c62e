"""Measure a run's samples, or samples in a file, beside the floors of the metrics."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from torch import Tensor

from difrun.config.plan import ChosenComponent
from difrun.config.settings import section_of
from difrun.errors import DifrunError
from difrun.metric.base import measure, reading
from difrun.metric.comparison import comparable, compared
from difrun.options.attrs_fields import values
from difrun.plugin.signatures import Lazy, refuse_misfit
from difrun.randomness.generator import seed_of
from difrun.runs.build import naming_component
from difrun.runs.environment import faults
from difrun.runs.stages import sample_file, sampling
from difrun.runs.stages.suited_metrics import kind_of, needs, suited_metrics
from difrun.storage import atomic

if TYPE_CHECKING:
    from difrun.runs.compare.compared_model import ComparedModel
    from difrun.runs.run import Run

Numbers = dict[str, dict[str, Any]]

UNITS = {
    "std": "standardised, each coordinate scaled to mean 0 and variance 1 over the training examples",
    "robust": "each coordinate scaled to median 0 and interquartile range 1.349 over the training examples",
    "pixels": "of pixels, −1 for black and 1 for white",
}
"""Units of distances by the kind of the scaling."""


def measure_all(
    run: "Run | ComparedModel",
    samples: Tensor,
    metrics: Sequence[ChosenComponent],
    of: str,
    *,
    strict: bool,
    floors: dict[str, Numbers] | None = None,
    labels: Tensor | None = None,
) -> Numbers:
    """Measure samples by every metric.

    Args:
        run: The run, or a model of a comparison.
        samples: The samples, in the units of the model.
        metrics: The metrics.
        of: The name of the file of the samples.
        strict: Raise if a metric cannot be computed. Otherwise a note is written and the other metrics are computed.
        floors: Name of a metric -> its numbers for the same number of other samples of this run, whose floors are used
            again. The numbers of metrics that are not in it are added.
        labels: The classes of the samples, if they have any.

    Returns:
        Name -> the entry in metrics.json; a metric with several numbers has one entry for each, ``metric.number``.
        "value", "value_sd", "exact", "floor", "floor_sd": as `difrun.metric.measure` gives them.
        "n": how many samples were compared, and "bound": why not all of them.
        "of": the file of the samples.
        "better", "ratio", "meaning": how the number is read (`difrun.metric.Reading`), if the metric declares it.
        "units": the units of distances, if they are not the user's.

    Raises:
        DifrunError: If a metric cannot be computed, and `strict`.
    """
    entries: Numbers = {}
    for chosen in metrics:
        try:
            floor = None if floors is None else floors.get(chosen.name)
            numbers = evaluate_metric(run, samples, chosen, of, floor, labels)
        except DifrunError as error:
            if strict:
                raise
            run.listener.note(f"metric {chosen.name} is left out: {error}")
            continue
        except BaseException as error:  # the samples are drawn: they are not lost to one metric
            fault = None if strict else faults.named_fault(error, [chosen.entry])
            if fault is None:
                raise
            run.listener.note(f"metric {chosen.name} is left out: {fault}")
            continue
        if floors is not None:
            floors.setdefault(chosen.name, numbers)
        prefix = "" if list(numbers) == [chosen.entry.name] else f"{chosen.entry.name}."
        entries |= {prefix + name: number for name, number in numbers.items()}
    return entries


def evaluate_metric(
    run: "Run | ComparedModel",
    samples: Tensor,
    chosen: ChosenComponent,
    of: str,
    floors: Numbers | None = None,
    labels: Tensor | None = None,
) -> Numbers:
    """Measure samples by one metric; see `measure_all`.

    Raises:
        DifrunError: If the metric cannot be computed.
    """
    dataset, metric = run.parts.dataset, chosen.entry.load()
    if needs(chosen) == "conditions" and kind_of(labels) != "conditions":
        raise DifrunError(
            f"metric '{chosen.name}' compares samples with their conditions, and these have none: it needs data with "
            "a condition (--dataset.condition) and a model that was trained with it (--train.label-dropout below "
            "1), or a condition of an exact model (--condition)."
        )
    if needs(chosen) == "labels" and kind_of(labels) != "labels":
        raise DifrunError(
            f"metric '{chosen.name}' compares samples with classes, and these samples have none: it needs labelled "
            "data and a model that was trained with their labels (--train.label-dropout below 1), or a class of an "
            "exact model (--label)."
        )
    refuse_misfit("metric", metric, values(chosen.options), str(chosen.entry))
    with naming_component(chosen.entry):
        numbers = measure(
            metric,
            samples,
            dataset,
            seed=seed_of(run.plan.seed, "metrics"),
            floors=floors,
            labels=labels,
            **values(chosen.options),
        )
    sets = comparable(samples, dataset)
    n = compared(metric, sets, **values(chosen.options))
    facts: dict[str, Any] = {"n": n, "of": of}
    if n < sets:
        facts["bound"] = section_of("metric", chosen.name).flag(metric.most)
    elif n < len(samples):
        facts["bound"] = "the held-out examples" if n == dataset.references else "the training examples"
    if dataset.scaling is not None:
        facts["units"] = UNITS[dataset.scaling.kind]
    entries: Numbers = {}
    for name, number in numbers.items():
        declared = {
            key: value for key, value in attrs.asdict(reading(metric, name)).items() if value is not None
        }
        declared["meaning"] = declared["meaning"] or chosen.entry.component.summary
        entries[name] = {**number, **facts, **declared}
    return entries


def enough_samples(run: "Run", drawn: Tensor, n: int | None) -> tuple[Tensor, Tensor | None, Path]:
    """The first n samples of a run (None: all), their labels, and their file.

    If the run has fewer than n samples, n samples are drawn into a separate file, or read from it if it exists. The
    first of them are the samples of the run.

    Args:
        run: The run.
        drawn: The samples of the run.
        n: How many samples to return.
    """
    dataset = run.parts.dataset
    if n is None or n <= len(drawn):
        first = drawn[:n]
        return first, sample_file.read_labels(dataset, run.folder.samples, len(first)), run.folder.samples
    request = sampling.SampleRequest.of(run.plan, n=n)
    path = run.path / request.file_name()
    if not path.is_file():
        sampling.draw_into(path, run, request)
        run.listener.note(f"the run has fewer than {n} samples; {n} are drawn into {path}")
    return sampling.read(run, path), sample_file.read_labels(dataset, path, n), path


def evaluate_run(
    run: "Run", metrics: Sequence[ChosenComponent], n: int | None, *, strict: bool, added: bool
) -> Numbers:
    """Measure the run's samples, the first n or all, and write metrics.json; see `measure_all`.

    Args:
        run: The run.
        metrics: The metrics.
        n: How many samples to compare; None: all.
        strict: Raise when a metric cannot be computed.
        added: Whether the numbers are added to those in the file. If not, they replace them, and metrics that do not
            suit the samples are left out (`suited_metrics`).
    """
    drawn, facts = run.drawn()
    samples, labels, source = enough_samples(run, drawn, n)
    if not added:
        metrics = suited_metrics(run, metrics, labels)
    run.listener.stage("evaluate")
    numbers = measure_all(run, samples, metrics, source.name, strict=strict, labels=labels)
    if n is not None:
        say_how_many(run, samples)
    text = json.dumps(content(run, numbers, len(drawn), facts, added=added), indent=2)
    atomic.write_text(run.folder.metrics, text + "\n")
    _tell(run, numbers, run.folder.metrics)
    return numbers


def is_complete(run: "Run") -> bool:
    """Whether metrics.json exists and holds every metric of the run."""
    measured = {name.split(".")[0] for name in run.metrics}
    has = {"labels": bool(run.model.shares), "conditions": run.model.known_conditions is not None}
    wanted = [chosen for chosen in run.plan.metrics if has.get(needs(chosen) or "", True)]
    return run.folder.metrics.is_file() and all(chosen.entry.name in measured for chosen in wanted)


def evaluate_file(
    run: "Run", path: Path, metrics: Sequence[ChosenComponent], n: int | None, named: bool = True
) -> tuple[Numbers, Path]:
    """Measure the samples in a file, and write the numbers beside it; see `measure_all`.

    Args:
        run: The run whose data the samples are compared with.
        path: The file of samples (`sample_file.read_samples`).
        metrics: The metrics.
        n: How many samples to compare; None: all.
        named: Whether the user named these metrics. If not, metrics that do not suit the samples are left out
            (`suited_metrics`).

    Returns:
        The numbers, and the file that they are written to.
    """
    samples = sample_file.read_samples(path, run.parts.dataset, n)
    labels = sample_file.read_labels(run.parts.dataset, path, len(samples))
    if not named:
        metrics = suited_metrics(run, metrics, labels)
    run.listener.stage("evaluate")
    numbers = measure_all(run, samples, metrics, path.name, strict=True, labels=labels)
    say_how_many(run, samples)
    target = path.with_suffix(".metrics.json")
    atomic.write_text(target, json.dumps({"metrics": numbers}, indent=2) + "\n")
    _tell(run, numbers, target)
    return numbers, target


def _tell(run: "Run", numbers: Numbers, file: Path) -> None:
    """Tell the loggers what was measured; each gets numbers of its own, so that none changes those of the run."""
    run.tell("difrun_evaluated", metrics=Lazy(lambda: copy.deepcopy(numbers)), file=file)


def say_how_many(run: "Run | ComparedModel", samples: Tensor) -> None:
    """Write a note if there are too few real examples to compare all samples with."""
    least, n = comparable(samples, run.parts.dataset), len(samples)
    if least < n:
        run.listener.note(
            f"{least} of {n} samples are compared: a comparison needs the same number of held-out examples and of "
            f"training examples, and dataset '{run.parts.dataset.name}' has no more."
        )


def content(run: "Run", numbers: Numbers, n: int, facts: dict[str, Any], *, added: bool) -> dict[str, Any]:
    """What metrics.json holds: metrics, samples, signal, training.

    Args:
        run: The run.
        numbers: The measured numbers. Each of them names the file of its samples.
        n: How many samples are in samples.npz.
        facts: How these samples were drawn.
        added: Whether the metrics that are already in the file stay there.
    """
    old = run.folder.read_metrics()
    facts_of_run: dict[str, Any] = {"metrics": {**old.get("metrics", {}), **numbers} if added else numbers}
    facts_of_run["samples"] = {"n": n} | facts
    if "likelihood" in old:  # still valid, because the model has not changed
        facts_of_run["likelihood"] = old["likelihood"]
    if run.signal is not None:
        facts_of_run["signal"] = attrs.asdict(run.signal)
    if run.trainer is not None:
        facts_of_run["training"] = {
            "steps": run.trainer.step,
            "seconds": round(run.trainer.seconds, 3),
            "steps_per_second": round(run.trainer.rate, 1),
        }
        if run.trainer.last < run.trainer.options.steps:
            facts_of_run["training"]["steps_planned"] = run.trainer.options.steps
    return facts_of_run
