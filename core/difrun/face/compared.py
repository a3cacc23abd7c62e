"""`difrun.compare`: samplers, grids, numbers of steps and models beside each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from difrun.config.plan import ChosenComponent, Plan
from difrun.config.run_options import Threads
from difrun.config.settings import section_of
from difrun.errors import ConfigError
from difrun.face.arguments import Heard, Options, Sections, altered, as_flag, listening, sections
from difrun.face.checks import a_path, a_seed, maybe_whole, refuse_other_options, several_whole
from difrun.face.opening import check_place, reopen
from difrun.face.subject import Model, Subject
from difrun.model.base import ScoreModel
from difrun.options.attrs_fields import build
from difrun.plugin import own_kinds
from difrun.plugin.listener import Listener
from difrun.plugin.own import is_name, own_entry
from difrun.plugin.registry import get_registry
from difrun.runs.build import Components
from difrun.runs.compare import compare as comparing
from difrun.runs.compare.compared_model import ComparedModel
from difrun.runs.compare.results import Comparison
from difrun.runs.run import Run
from difrun.runs.stages.labels import ARGUMENTS, in_words

_OF_OBJECTS = "those of a sampler or a grid come with an object of it, samplers=[Adaptive(rtol=1e-6)]"


@in_words(ARGUMENTS)
def compare(
    *models: Model | Plan,
    samplers: Sequence[Any] | Any = None,
    steps: int | Sequence[int] = comparing.STEPS,
    grids: Sequence[Any] | Any = None,
    metrics: Sequence[Any] | Any = None,
    guidance: Sequence[Any] | Any = None,
    label: str | int | None = None,
    condition: Any = None,
    n: int | None = None,
    seed: int | None = None,
    exact: bool = False,
    options: Options | None = None,
    dataset: Any = None,
    out: Path | str | None = None,
    force: bool = False,
    listener: Heard = None,
    device: str | None = None,
    threads: Threads = None,
) -> Comparison:
    """Draw samples with every sampler, grid and number of steps, and measure them: `difrun compare`.

    All rows start from the same noise, and metrics compare with the same real data. A sampler that fails gets a row
    with the reason. compare.csv and compare.json are written after every row.

    Args:
        *models: Trained runs, their folders, score models, or the plan of a model that needs no training.
        samplers: Names, classes or objects, or ``["all"]``; None takes a run's own sampler, `adams` and `heun`.
        steps: A number of steps, or several.
        grids: Names or functions, or ``["all"]``; None takes what suits each sampler.
        metrics: Names or functions; None takes the first metric of the first model.
        guidance: Guidances of every model, instead of its own.
        label: The class to draw; None draws what each model draws.
        condition: The values given which samples are drawn, one row for all, or a file of rows.
        n: How many samples; None takes the number of the first run, or the default.
        seed: The seed; None takes that of the first run.
        exact: Measure the distance of deterministic samplers to the endpoints of the probability flow as well.
        options: Options of metrics and guidances that are named, ``{"metric.w2.max_points": 500}``.
        dataset: The data of score models; those of an exact mixture are known.
        out: The folder of the results; None makes the next free ``runs/compare-<k>``.
        force: Replace the results that are there.
        listener: Receives notes and progress, or a function that receives the notes.
        device: The device, instead of that of the runs.
        threads: The number of CPU threads, instead of that of the runs.

    Returns:
        The comparison: ``.rows``, ``.records()``, ``.path``.

    Raises:
        ConfigError: If nothing can be compared.
        DifrunError: If a run does not exist or is not trained.
        Interrupted: If the user asks to stop; the finished rows are in the folder.
    """
    heard = listening(listener)
    given = sections(options)
    refuse_other_options(given, "difrun.compare", ["metric", "guidance"], _OF_OBJECTS)
    n, counts = maybe_whole("n", n, 2), several_whole("steps", steps, 1)
    seed = None if seed is None else a_seed(seed)
    a_path("out", out)
    _check_place(models, device, threads)
    if dataset is not None and not any(isinstance(model, ScoreModel) for model in models):
        raise ConfigError("runs and plans have their own data: leave dataset out.")
    opened = [_comparable(model, heard, dataset, device, threads) for model in models]
    first = None if not opened else opened[0] if isinstance(opened[0], Plan) else opened[0].plan
    return comparing.compare(
        *opened,
        samplers=_named("sampler", samplers),
        steps=counts,
        grids=_named("grid", grids),
        metrics=_of_plan("metric", metrics, first, given),
        guidance=_of_plan("guidance", guidance, first, given),
        label=None if label is None else str(label),
        condition=as_flag(condition),
        n=n,
        seed=seed,
        exact=exact,
        out=out,
        force=force,
        listener=heard,
        device=device,
        threads=threads,
    )


def _check_place(models: Sequence[Any], device: Any, threads: Any) -> None:
    """Raise ConfigError for a device or a number of threads that none is, or that a model would not take."""
    check_place(device, threads)
    for model in models:
        if isinstance(model, Run) and (device is not None or threads is not None):
            name = "threads" if device is None else "device"
            raise ConfigError(
                f"{name} is given beside a run that is open, which keeps its own: give its folder, or open it so, "
                f"difrun.reopen(folder, {name}=...)."
            )
        if isinstance(model, ScoreModel) and device is not None:
            raise ConfigError(
                "device is given beside a score model, which stays where it is: model.to(device)."
            )


def compared_model(subject: Subject) -> ComparedModel:
    """Return a score model with its data, as comparisons and metrics take it.

    Raises:
        ConfigError: If it has no data.
    """
    if subject.dataset is None:
        raise ConfigError("samples are measured against data, and this model has none: give dataset.")
    parts = Components(subject.plan.process.make(), subject.dataset, subject.base, None)
    name = type(subject.base).__name__
    return ComparedModel(name, subject.plan, parts, subject.model(), subject.device, subject.listener)


def _comparable(
    model: Model | Plan, listener: Listener, dataset: Any, device: str | None, count: Threads
) -> Run | Plan | ComparedModel:
    if isinstance(model, Plan | Run):
        return model
    if isinstance(model, str | Path):
        return reopen(model, listener, device=device, threads=count)
    options = sections(None, threads=count)
    return compared_model(Subject.of(model, {}, options, dataset=dataset, listener=listener))


def _named(kind: str, things: Any) -> list[str | ChosenComponent] | None:
    """Samplers or grids, by name where that is enough: those of a run then have its options."""
    if things is None:
        return None
    wanted = (
        list(things) if isinstance(things, list | tuple) and not own_kinds.are_times(things) else [things]
    )
    return [thing if is_name(thing) else _component(kind, thing) for thing in wanted]


def _of_plan(kind: str, things: Any, plan: Plan | None, given: Sections) -> list[ChosenComponent] | None:
    """Metrics or guidances with their options; those that the first model has too keep its own."""
    options = {name: own for name, own in given.items() if name.startswith(f"{kind}.")}
    if plan is None or (things is None and not options):
        return None
    chosen = altered(plan, {} if things is None else {kind: things}, options)
    if kind == "guidance":
        return list(chosen.guidance)
    # As in the command, giving an option of a metric asks for that metric.
    return [metric for metric in chosen.metrics if things is not None or f"metric.{metric.name}" in options]


def _component(kind: str, thing: Any) -> ChosenComponent:
    entry, given = own_entry(get_registry(), kind, thing)
    section = section_of(kind, entry.label)
    return ChosenComponent(kind, entry, build(entry.component.options, given, str(entry), section))
