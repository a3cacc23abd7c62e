"""`difrun.run`, and `difrun.resume`, which continues a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from difrun.config.plan import Plan, assemble
from difrun.config.selection import choose
from difrun.config.settings import Settings, from_dict, merge, read_file, with_file_dataset
from difrun.errors import ConfigError
from difrun.face.arguments import Heard, Options, Sections, given_kinds, listening, sections
from difrun.face.checks import a_path, maybe_whole
from difrun.face.data import GivenData
from difrun.face.opening import reopen
from difrun.face.subject import heard_by
from difrun.model.base import ScoreModel
from difrun.options.attrs_fields import GivenValue
from difrun.plugin.own import replaced
from difrun.plugin.registry import Registry, get_registry
from difrun.runs.opening import start
from difrun.runs.run import Run


def run(
    *,
    process: Any = None,
    dataset: Any = None,
    model: Any = None,
    loss: Any = None,
    sampler: Any = None,
    grid: Any = None,
    guidance: Any | Sequence[Any] = None,
    metric: Any | Sequence[Any] = None,
    options: Options | None = None,
    steps: int | None = None,
    n: int | None = None,
    seed: int | None = None,
    out: Path | str | None = None,
    force: bool = False,
    config: Path | str | None = None,
    start_from: Run | Path | str | None = None,
    listener: Heard = None,
) -> Run:
    """Train a model, draw samples, measure them and write a report: `difrun run`.

    Every component may be a name, a class, or an object: see docs/python.md. What is not given is chosen to fit.

    Args:
        process: The forward process.
        dataset: The data: a name, the path of a file, an array, a tensor, a data frame, a dataset of torch, a pair
            (x, y) of examples and classes, a `difrun.data.Dataset` or a `difrun.data.GaussianMixture`.
        model: The network, a `torch.nn.Module` F(x, c_noise) of which a copy is trained; or a `ScoreModel`, which is
            taken as it is and brings its process.
        loss: The training loss.
        sampler: The sampler.
        grid: The time grid; also a list of times.
        guidance: One guidance, or a list of them, the innermost first.
        metric: One metric, or a list of them.
        options: ``{"process.theta": 0.5, "train.steps": 500}``: the names of the flags of `difrun run`.
        steps: Sampling steps.
        n: How many samples.
        seed: The seed of every random number.
        out: The run folder; None takes the next free ``runs/<process>-<dataset>-<k>``.
        force: Replace the run in that folder.
        config: A TOML file with names and options, such as the run.toml of an earlier run. What is given here wins.
        start_from: An earlier run, or its folder: begin with its weights, and its names and options where no others
            are given.
        listener: Receives notes and progress, or a function that receives the notes, such as `print`; None: nobody.

    Returns:
        The finished run: ``run.samples``, ``run.metrics``, ``run.path``.

    Raises:
        ConfigError: If a name, a combination, an option or a value does not work.
        DifrunError: If the folder is taken, the data cannot be used, or a stage fails.
    """
    a_path("out", out)
    a_path("config", config)
    if not isinstance(start_from, Run):
        a_path("start_from", start_from, "a run, or ")
    named = given_kinds(
        process=process, model=model, loss=loss, sampler=sampler, grid=grid, guidance=guidance, metric=metric
    )
    given = sections(options, steps=steps, n=n, seed=seed)
    exact = model if isinstance(model, ScoreModel) else None
    if exact is not None:
        named["process"] = process_of(exact, process)
    data = GivenData(dataset, given, exact)
    if data.named is not None:
        named["dataset"] = data.named
    plan, earlier = _planned(named, given, config, start_from)
    examples = data.made(plan)
    if exact is not None and examples is not None and tuple(exact.shape) != examples.shape:
        raise ConfigError(
            f"the model is one of examples of shape {tuple(exact.shape)}; those of the dataset have shape "
            f"{examples.shape}."
        )
    heard = listening(listener)
    for note in plan.notes:
        heard.note(note)
    started = start(plan, out, force=force, listener=heard, examples=examples, examples_of=earlier)
    return started.execute()


def process_of(model: ScoreModel, process: Any = None) -> Any:
    """Return the process of a model that needs no training. Raises ConfigError for another one beside it."""
    if process is not None and process is not model.process:
        raise ConfigError("the model brings its own process: leave process out, or give model.process.")
    return model.process


def _planned(
    named: dict[str, Any],
    options: Sections,
    config: Path | str | None,
    start_from: Run | Path | str | None,
) -> tuple[Plan, Path | None]:
    """The plan, and the folder of an earlier run whose examples are used."""
    registry = get_registry()
    named, options = replaced(registry, named, options)
    if config is None and start_from is None:
        settings = with_file_dataset(Settings(named, options))
        return assemble(choose(registry, settings.named), settings.options), None
    earlier = (
        None if start_from is None else Path(start_from.path if isinstance(start_from, Run) else start_from)
    )
    file = Path(config) if config is not None else (earlier or Path()) / "run.toml"
    if file.is_dir():
        file = file / "run.toml"
    if isinstance(start_from, Run):
        registry = knowing(registry, start_from.plan)
    lower = from_dict(read_file(file), registry, str(file))
    if earlier is not None:
        for option in ("restarts", "stop_at", "start_from"):  # how that run came to its end is not repeated
            lower.options.get("train", {}).pop(option, None)
        lower.give("train", "start_from", GivenValue(str(earlier), "start_from="))
    upper = with_file_dataset(
        Settings({kind: _sourced(kind, thing) for kind, thing in named.items()}, options)
    )
    merged = merge(registry, lower, upper)
    plan = assemble(choose(registry, merged.named), merged.options)
    plan = attrs.evolve(plan, notes=(*merged.notes, *plan.notes))
    same_data = "dataset" not in named and "dataset" not in options and "seed" not in options.get("", {})
    holds = file.name == "run.toml" and (file.parent / "data.safetensors").is_file()
    return plan, file.parent if same_data and holds else None


def _sourced(kind: str, thing: Any) -> Any:
    if isinstance(thing, list | tuple):
        return [_sourced(kind, part) for part in thing]
    return thing if isinstance(thing, GivenValue) else GivenValue(thing, f"{kind}=")


def knowing(registry: Registry, plan: Plan) -> Registry:
    """Return a registry that knows the user's own components of a plan under the names that run.toml has."""
    own = {(chosen.kind, entry.label): entry for chosen in plan.components() for entry in [chosen.entry]}
    return attrs.evolve(registry, given={**registry.given, **own})


def resume(
    run: Run | Path | str,
    *,
    steps: int | None = None,
    finish: bool = False,
    listener: Heard = None,
    **given: Any,
) -> Run:
    """Continue an interrupted run, or train a finished one further: `difrun resume`.

    Args:
        run: The run, or its folder.
        steps: Train to this many steps in all, beyond what was planned (`Run.extend`).
        finish: Train no more: sample and measure with the weights that are saved (`Run.finish`).
        listener: Receives notes and progress, or a function that receives the notes.
        **given: Kind -> a class or an object of yours that the run was made with (`difrun.reopen`).

    Returns:
        The finished run.

    Raises:
        ConfigError: If both `steps` and `finish` are given, or components for a run that is open already.
        DifrunError: If there is no run, or it cannot be continued so.
    """
    if finish and steps is not None:
        raise ConfigError("finish ends training and steps goes on with it: give one of the two.")
    steps = maybe_whole("steps", steps, 1)
    if isinstance(run, Run) and given:
        raise ConfigError(
            f"{next(iter(given))} is given for a run that is open already: leave it out, or give the folder of the run."
        )
    if not isinstance(run, Run):
        a_path("run", run, "a run, or ")
    opened = run if isinstance(run, Run) else reopen(run, listener, **given)
    with heard_by(opened, listener):
        if finish:
            return opened.finish()
        return opened.resume() if steps is None else opened.extend(steps)
