"""`difrun.evaluate` and `difrun.log_likelihood`: samples and a model beside data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from numpy.typing import NDArray
from torch import Tensor

from difrun.analysis.sample_density import density_of_samples
from difrun.config.plan import ChosenComponent
from difrun.errors import ConfigError, DifrunError
from difrun.face.arguments import Heard, Options, Sections, as_flag, given_kinds, sections
from difrun.face.checks import (
    a_seed,
    count_of,
    is_file,
    maybe_whole,
    refuse_guidance,
    refuse_other_options,
    whole,
)
from difrun.face.compared import compared_model
from difrun.face.drawing import sample, watch_of
from difrun.face.subject import Model, Subject, heard_by, like
from difrun.model.base import ScoreModel
from difrun.model.labels import check_labels
from difrun.runs.stages import evaluation
from difrun.runs.stages.labels import ARGUMENTS, in_words


@in_words(ARGUMENTS)
def evaluate(
    model: Model,
    samples: Any = None,
    *,
    metric: Any | Sequence[Any] = None,
    n: int | None = None,
    guidance: Any | Sequence[Any] = None,
    label: Any = None,
    condition: Any = None,
    options: Options | None = None,
    dataset: Any = None,
    listener: Heard = None,
) -> evaluation.Numbers:
    """Measure samples against real data, each number beside its floor: `difrun evaluate`.

    Args:
        model: A run, its folder, or a `ScoreModel`, whose data are `dataset`.
        samples: Samples in the units of the data, an array, a tensor or a file; None: those of the run, whose
            metrics.json and report then hold the numbers, or new ones of a score model.
        metric: A metric or a list of them; None takes those of the run, or all that fit.
        n: How many samples are compared; None: all.
        guidance: Draw other samples of the run, with these guidances.
        label: Draw samples of this class; the class of `samples`, or one for each.
        condition: Draw samples given these values; the condition of `samples`, or one for each.
        options: Options of the metrics and guidances, ``{"metric.w2.max_points": 500}``.
        dataset: The data of a score model; those of an exact mixture are known.
        listener: Receives notes and progress, or a function that receives the notes.

    Returns:
        Name -> "value", "value_sd", "floor", "floor_sd", and how the number is read, as in metrics.json.

    Raises:
        ConfigError: If a name, a combination or an option does not work.
        DifrunError: If samples do not fit the data, or a metric cannot be computed.
    """
    given = sections(options)
    n = count_of(n, given)
    alone = isinstance(model, ScoreModel)
    refuse_other_options(given, "difrun.evaluate", _taken(alone, samples is None))
    asks = label is not None or condition is not None
    if samples is not None:
        refuse_guidance(guidance, given)
    if is_file(samples) and asks:
        raise ConfigError(
            "a file of samples holds their classes or conditions: leave out label and condition."
        )
    subject = Subject.of(
        model, given_kinds(metric=metric, guidance=guidance), given, dataset=dataset, listener=listener
    )
    chosen = subject.plan.metrics
    # As in the command, an option of a metric asks for the metrics, and one of a guidance for other samples.
    asked = None if metric is None and not _has(given, "metric") else chosen
    if subject.run is not None and (samples is None or is_file(samples)):
        with heard_by(subject.run, listener):
            if samples is not None:
                return subject.run.evaluate_file(Path(samples), asked, n)[0]
            if guidance is None and not asks and not _has(given, "guidance"):
                return subject.run.evaluate(asked, n)
            text = None if label is None else str(label)
            path = subject.run.samples_by(subject.plan.guidance, text, n, as_flag(condition))
            return subject.run.evaluate_file(path, asked, n)[0]
    if subject.dataset is None:
        raise ConfigError("samples are measured against data, and this model has none: give dataset.")
    if is_file(samples):
        raise ConfigError(
            "a file of samples is measured against the data of a run; give an array beside a model."
        )
    drawn = samples is None
    if drawn:
        samples = sample(
            model,
            n or subject.plan.sample.n,
            label=label,
            condition=condition,
            guidance=guidance,
            options=_of_sampling(given),
            dataset=subject.dataset,
            listener=listener,
        )
    x = subject.encode(samples, "samples").float().cpu()[:n]
    if n is not None and len(x) < n:
        raise DifrunError(f"samples holds {len(x)} samples, fewer than n = {n}.")
    labels = subject.labels(subject.base, label, len(x), condition) if asks else None
    if label is not None and labels is not None and not drawn:
        _check_classes(subject, labels)
    measured = subject.run if subject.run is not None else compared_model(subject)
    with subject.working():
        metrics = chosen if metric is not None or labels is not None else _without_classes(chosen)
        return evaluation.measure_all(measured, x, metrics, "samples given", strict=True, labels=labels)


def _check_classes(subject: Subject, labels: Tensor) -> None:
    """Raise DifrunError unless the classes of given samples are classes of the data."""
    classes = () if subject.dataset is None else subject.dataset.classes
    if not classes:
        raise ConfigError("label says the class of the samples, and the data have no classes: leave it out.")
    check_labels(labels, len(classes))


def _taken(alone: bool, draws: bool) -> list[str]:
    """The options that have an effect on measuring a model alone or a run, which may have to draw samples first."""
    takes = ["metric"]
    if draws:
        takes.append("guidance")
    elif not alone:
        takes.append("threads")
    if alone:
        takes += ["seed", "dataset"]
    if alone and draws:
        takes += ["sampler", "grid", "sample.steps", "sample.chunk", "sample.noise"]
    return takes


def _has(given: Sections, kind: str) -> bool:
    return any(section.startswith(f"{kind}.") for section in given)


def _of_sampling(given: Sections) -> dict[str, Any]:
    """The options of sampling, as `sample` takes them; the data are made and the metrics chosen already."""
    return {
        f"{section}.{name}" if section else name: value.value
        for section, own in given.items()
        if section != "dataset" and not section.startswith("metric.")
        for name, value in own.items()
    }


def _without_classes(metrics: Sequence[ChosenComponent]) -> list[ChosenComponent]:
    return [chosen for chosen in metrics if "labels" not in chosen.entry.component.provides]


@overload
def log_likelihood(
    model: Model,
    x: NDArray[Any],
    *,
    label: Any = None,
    condition: Any = None,
    steps: int = 100,
    probes: int | None = None,
    seed: int = 0,
    guidance: Any | Sequence[Any] = None,
    options: Options | None = None,
    dataset: Any = None,
    listener: Heard = None,
) -> NDArray[Any]: ...
@overload
def log_likelihood(
    model: Model,
    x: Tensor | Sequence[Any],
    *,
    label: Any = None,
    condition: Any = None,
    steps: int = 100,
    probes: int | None = None,
    seed: int = 0,
    guidance: Any | Sequence[Any] = None,
    options: Options | None = None,
    dataset: Any = None,
    listener: Heard = None,
) -> Tensor: ...
@in_words(ARGUMENTS)
def log_likelihood(
    model: Model,
    x: Any,
    *,
    label: Any = None,
    condition: Any = None,
    steps: int = 100,
    probes: int | None = None,
    seed: int = 0,
    guidance: Any | Sequence[Any] = None,
    options: Options | None = None,
    dataset: Any = None,
    listener: Heard = None,
) -> Any:
    """Return log p(x) of the samples that a model draws, by its probability flow: nats, (n,).

    It is the density in the units of the data, of samples with the noise σ/α that remains at t_min; its mean over
    held-out examples is minus the ``nll`` of `difrun evaluate --likelihood`. See docs/likelihood.md.

    Args:
        model: A run, its folder, or a `ScoreModel`, on a Gaussian process.
        x: Examples (n, *shape), in the units of the data.
        label: log p(x | class): the class of all examples, or one for each. None: log p(x) of a model that also
            predicts without a class.
        condition: log p(x | c): the condition of all examples, or one for each, in the units of the data.
        steps: Steps of the flow.
        probes: Random probes of the divergence; 0: exact; None chooses by the dimension.
        seed: The seed of the probes.
        guidance: A guidance or a list of them; None takes those of the run.
        options: Options of the guidances.
        dataset: The data of a score model, for guidances that ask for them.
        listener: Receives notes and progress, or a function that receives the notes.

    Returns:
        log p(x), (n,), float64: an array if x is one, else a tensor.

    Raises:
        ConfigError: If a name or an option does not work.
        DifrunError: If the model has no likelihood, or the examples do not fit.
    """
    given = sections(options)
    takes = ["guidance", "dataset"] if isinstance(model, ScoreModel) else ["guidance", "threads"]
    refuse_other_options(given, "difrun.log_likelihood", takes)
    steps, probes, seed = whole("steps", steps, 1), maybe_whole("probes", probes, 0), a_seed(seed)
    subject = Subject.of(model, given_kinds(guidance=guidance), given, dataset=dataset, listener=listener)
    examples = subject.encode(x)
    exact = subject.plan.loss is None and subject.device.type != "mps"
    examples = examples.double() if exact else examples.float()
    with subject.working():
        guided = subject.model()
        labels = None
        if label is not None or condition is not None:
            labels = subject.labels(guided, label, len(examples), condition)
        if labels is not None:
            guided = guided.condition_on(labels.to(subject.device))
        elif guided.classes and not guided.knows_any:
            raise DifrunError(
                "this model predicts for a class alone: give label, one class or one for each example."
            )
        nats = density_of_samples(
            guided,
            examples.to(subject.device),
            steps=steps,
            probes=probes,
            seed=seed,
            watch=watch_of(subject),
        )
    scaling = None if subject.dataset is None else subject.dataset.scaling
    if scaling is not None:
        nats = nats - float(scaling.scale.log().sum())
    return like(nats, x)
