"""Metrics of a run's samples, or of samples in a file, beside their floors."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun.config.plan import ChosenComponent
from difrun.config.settings import section_of
from difrun.data.dataset import Dataset
from difrun.data.files import read
from difrun.errors import DifrunError
from difrun.metric.base import measure, reading
from difrun.metric.comparison import comparable, compared
from difrun.options.fields import values
from difrun.plugin.signatures import refuse_misfit, requires
from difrun.randomness.generator import seed_of
from difrun.runs.build import naming_component
from difrun.runs.stages import sampling
from difrun.storage import atomic
from difrun.text import listed

if TYPE_CHECKING:
    from difrun.runs.compare.compared_model import ComparedModel
    from difrun.runs.run import Run

Numbers = dict[str, dict[str, Any]]

STANDARDISED = "standardised, each coordinate scaled to mean 0 and variance 1 over the training examples"


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
    """Every metric beside its floor: name -> what metrics.json says of it.

    "value", "value_sd", "exact", "floor", "floor_sd": as `difrun.metric.measure` gives them. "n": how many samples were
    compared, and "bound": why not all of them. "of": the file that they are in. "better", "ratio", "meaning": how the
    number is read (`difrun.metric.Reading`), where the metric says so. "units": of distances, where they are not
    the user's.

    A metric with several numbers gives ``metric.number`` each. strict: raise when one cannot be computed; otherwise
    tell the listener and go on, so that a run is not lost for a metric. floors: name of a metric -> what it gave for as
    many other samples of this run; what is there is used, what is not is added. labels: the classes of the samples,
    for metrics of those.
    """
    found: Numbers = {}
    for chosen in metrics:
        try:
            known = None if floors is None else floors.get(chosen.name)
            numbers = evaluate_metric(run, samples, chosen, of, known, labels)
        except DifrunError as error:
            if strict:
                raise
            run.listener.note(f"metric {chosen.name} is left out: {error}")
            continue
        if floors is not None:
            floors.setdefault(chosen.name, numbers)
        prefix = "" if list(numbers) == [chosen.entry.name] else f"{chosen.entry.name}."
        found |= {prefix + name: number for name, number in numbers.items()}
    return found


def evaluate_metric(
    run: "Run | ComparedModel",
    samples: Tensor,
    chosen: ChosenComponent,
    of: str,
    floors: Numbers | None = None,
    labels: Tensor | None = None,
) -> Numbers:
    """The numbers of one metric. floors: its numbers of as many other samples, whose floors are these."""
    dataset, metric = run.parts.dataset, chosen.entry.load()
    if labels is None and _of_classes(chosen):
        raise DifrunError(
            f"metric '{chosen.name}' is of samples with classes, and these have none: it needs labelled data and a "
            "model that was trained with their labels (--train.label-dropout below 1), or a class of an exact model "
            "(--label)."
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
        facts["units"] = STANDARDISED
    told: Numbers = {}
    for name, number in numbers.items():
        how = {key: value for key, value in attrs.asdict(reading(metric, name)).items() if value is not None}
        how["meaning"] = how["meaning"] or chosen.entry.component.summary
        told[name] = {**number, **facts, **how}
    return told


def suited_metrics(
    run: "Run", metrics: Sequence[ChosenComponent], labels: Tensor | None
) -> tuple[ChosenComponent, ...]:
    """The metrics without those of classes where the samples have no labels (n,); that is told, not done in silence.

    So is that samples of a single class are compared with data of all, as every other metric does.
    """
    of_classes = [chosen for chosen in metrics if _of_classes(chosen)]
    others = [chosen for chosen in metrics if not _of_classes(chosen)]
    if labels is None:
        if of_classes:
            names = listed([f"'{chosen.name}'" for chosen in of_classes])
            run.listener.note(
                f"metric {names} is left out: it is of samples with classes, and these have none"
            )
        return tuple(others)
    classes = run.parts.dataset.classes
    if others and len(classes) > 1 and len(found := labels.unique()) == 1:
        run.listener.note(
            f"all samples are of class '{classes[int(found)]}'; metrics other than per-class compare them with data "
            f"of all {len(classes)} classes"
        )
    return tuple(metrics)


def enough_samples(run: "Run", own: Tensor, n: int | None) -> tuple[Tensor, Tensor | None, Path]:
    """The first n of the run's own samples (None: all), their labels, and the file that they are in.

    Where the run has fewer, n are drawn, of which its own are the first, into a file named after them; or read from
    it, where it is there.
    """
    dataset = run.parts.dataset
    if n is None or n <= len(own):
        own = own[:n]
        return own, sampling.read_labels(dataset, run.folder.samples, len(own)), run.folder.samples
    order = sampling.Order.of(run.plan, n=n)
    path = run.path / order.file_name()
    if not path.is_file():
        drawn, labels, facts = sampling.draw(run, order)
        sampling.write(path, drawn, labels, dataset, order, facts)
        run.listener.note(f"the run has fewer than {n} samples; so many are drawn into {path}")
    return sampling.read(run, path), sampling.read_labels(dataset, path, n), path


def evaluate_run(
    run: "Run", metrics: Sequence[ChosenComponent], n: int | None, *, strict: bool, added: bool
) -> Numbers:
    """Metrics of the run's samples, the first n or all, as `measure_all` gives them; written to metrics.json.

    added: whether they were asked for beside the run's own, so that what the file holds stays; else those that do not
    suit the samples are left out (`suited`).
    """
    own, facts = run.drawn()
    samples, labels, source = enough_samples(run, own, n)
    if not added:
        metrics = suited_metrics(run, metrics, labels)
    run.listener.stage("evaluate")
    found = measure_all(run, samples, metrics, source.name, strict=strict, labels=labels)
    if n is not None:
        say_how_many(run, samples)
    told = content(run, found, len(own), facts, added=added)
    atomic.write_text(run.folder.metrics, json.dumps(told, indent=2) + "\n")
    return found


def is_complete(run: "Run") -> bool:
    """Whether metrics.json is there and holds every metric of the run."""
    found = {name.split(".")[0] for name in run.metrics}
    wanted = [chosen for chosen in run.plan.metrics if run.model.shares or not _of_classes(chosen)]
    return run.folder.metrics.is_file() and all(chosen.entry.name in found for chosen in wanted)


def _of_classes(metric: ChosenComponent) -> bool:
    """Whether a metric cannot do without the classes of the samples."""
    return requires(metric.entry.load(), "labels")


def evaluate_file(
    run: "Run", path: Path, metrics: Sequence[ChosenComponent], n: int | None, named: bool = True
) -> tuple[Numbers, Path]:
    """Metrics of the samples in a file, as `measure_all` gives them, and the file that they are written to.

    named: whether the user asked for these very metrics; else those that do not suit the file are left out (`suited`).
    """
    samples = samples_of(path, run.parts.dataset, n)
    labels = sampling.read_labels(run.parts.dataset, path, len(samples))
    if not named:
        metrics = suited_metrics(run, metrics, labels)
    run.listener.stage("evaluate")
    found = measure_all(run, samples, metrics, path.name, strict=True, labels=labels)
    say_how_many(run, samples)
    target = path.with_suffix(".metrics.json")
    atomic.write_text(target, json.dumps({"metrics": found}, indent=2) + "\n")
    return found, target


def say_how_many(run: "Run | ComparedModel", samples: Tensor) -> None:
    """Tell when the data allow to compare fewer samples than were asked for."""
    least, n = comparable(samples, run.parts.dataset), len(samples)
    if least < n:
        run.listener.note(
            f"{least} of {n} samples are compared: a comparison needs as many held-out examples, and training "
            f"examples, and dataset '{run.parts.dataset.name}' has no more."
        )


def samples_of(path: Path, dataset: Dataset, n: int | None) -> Tensor:
    """The first n samples (None: all) in a file in the user's units, as `difrun sample` writes it; in the model's.

    path: .npz (its array x), .npy or .csv. Raises DifrunError when it cannot be read, holds fewer than n, or has
    other columns than the data.
    """
    try:
        array, columns = read(path, "x" if path.suffix.lower() == ".npz" else None)
    except DifrunError as error:
        raise DifrunError(f"--samples: {error}") from None
    columns = columns or _columns(path)
    if columns and dataset.columns and columns != dataset.columns:
        raise DifrunError(
            f"--samples {path} has the columns {', '.join(columns)}; the data of the run have "
            f"{', '.join(dataset.columns)}."
        )
    if n is not None and n > len(array):
        raise DifrunError(f"--samples {path} holds {len(array)} samples, fewer than --n {n}.")
    x = torch.from_numpy(array[:n])
    # Shapes that do not fit are told by `comparable`, which knows what was expected.
    fits = dataset.scaling is not None and tuple(x.shape[1:]) == dataset.shape
    return (dataset.scaling.encode(x) if fits and dataset.scaling is not None else x).float()


def _columns(path: Path) -> tuple[str, ...]:
    """The names of columns in a file of samples."""
    if not zipfile.is_zipfile(path):
        return ()
    with np.load(path, allow_pickle=False) as file:
        return tuple(map(str, file["columns"])) if "columns" in file.files else ()


def content(run: "Run", found: Numbers, n: int, facts: dict[str, Any], *, added: bool) -> dict[str, Any]:
    """What metrics.json holds: metrics, samples, signal, training.

    n, facts: of samples.npz; each metric says itself of which samples it is. added: metrics found earlier stay.
    """
    old = run.folder.read_metrics()
    told: dict[str, Any] = {"metrics": {**old.get("metrics", {}), **found} if added else found}
    told["samples"] = {"n": n} | facts
    if "likelihood" in old:  # of the model, which has not changed
        told["likelihood"] = old["likelihood"]
    if run.signal is not None:
        told["signal"] = attrs.asdict(run.signal)
    if run.trainer is not None:
        told["training"] = {
            "steps": run.trainer.step,
            "seconds": round(run.trainer.seconds, 3),
            "steps_per_second": round(run.trainer.rate, 1),
        }
        if run.trainer.last < run.trainer.options.steps:
            told["training"]["steps_planned"] = run.trainer.options.steps
    return told
