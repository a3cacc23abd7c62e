"""`difrun.sample`: from noise to data, or from a level to data."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

import torch
from numpy.typing import NDArray
from torch import Tensor

from difrun.data.casts import as_data, with_numbers
from difrun.errors import ConfigError, DifrunError
from difrun.face.arguments import Heard, Options, given_kinds, sections
from difrun.face.checks import count_of, level_of, refuse_other_options
from difrun.face.saving import file_for, save
from difrun.face.subject import Model, Subject, like
from difrun.model.base import ScoreModel
from difrun.model.wrappers import Counted
from difrun.plugin.own_kinds import FixedTimes
from difrun.randomness.generator import seed_of
from difrun.runs.build import grid_times, instantiate
from difrun.runs.stages import sampling
from difrun.runs.stages.labels import ARGUMENTS, in_words
from difrun.sampler.base import Sampler
from difrun.sampler.integration import Begin, generate
from difrun.sampler.level import beginning_at, check_level, from_data, from_states, times_from


class Wishes(TypedDict, total=False):
    """What `sample` takes by name in every case."""

    grid: Any
    guidance: Any
    label: Any
    condition: Any
    seed: int | None
    noise: str | None
    chunk: int | None
    dtype: torch.dtype
    options: Options | None
    dataset: Any
    out: Path | str | None
    force: bool
    listener: Heard


@overload
def sample(
    model: Model,
    n: int | None = None,
    sampler: Any = None,
    steps: int | None = None,
    *,
    start: NDArray[Any],
    at: float,
    **wishes: Unpack[Wishes],
) -> NDArray[Any]: ...
@overload
def sample(
    model: Model,
    n: int | None = None,
    sampler: Any = None,
    steps: int | None = None,
    *,
    data: NDArray[Any],
    at: float,
    **wishes: Unpack[Wishes],
) -> NDArray[Any]: ...
@overload
def sample(
    model: Model,
    n: int | None = None,
    sampler: Any = None,
    steps: int | None = None,
    *,
    start: Tensor | None = None,
    data: Tensor | None = None,
    at: float | None = None,
    **wishes: Unpack[Wishes],
) -> Tensor: ...
@in_words(ARGUMENTS)
def sample(
    model: Model,
    n: int | None = None,
    sampler: Any = None,
    steps: int | None = None,
    *,
    grid: Any = None,
    guidance: Any | Sequence[Any] = None,
    label: Any = None,
    condition: Any = None,
    seed: int | None = None,
    noise: str | None = None,
    chunk: int | None = None,
    dtype: torch.dtype = torch.float32,
    options: Options | None = None,
    start: Any = None,
    data: Any = None,
    at: float | None = None,
    dataset: Any = None,
    out: Path | str | None = None,
    force: bool = False,
    listener: Heard = None,
) -> Any:
    """Draw samples: `difrun sample`.

    Sampling begins with noise at T, or at the level t = `at`: from states ``start`` that are at that level already, or
    from examples ``data``, to which the noise of that level is added first (image to image). A level is a time in
    (t_min, T]; that of a noise-to-signal ratio r = σ/α is ``process.time_at(-math.log(r))``.

    Args:
        model: A run, its folder, or a `ScoreModel`.
        n: How many samples. None: as many as the run has, or one for each row of `start` or `data`, each label or each
            row of conditions. A single row of these serves all n.
        sampler: A name, a class or an object; None takes that of the run, or the default.
        steps: Sampling steps; None takes those of the run, or the default.
        grid: A name, a function, or a list of times; None takes that of the run, or what suits the sampler.
        guidance: A guidance or a list of them; None takes those of the run.
        label: A class by name or number for all samples, or one for each; None: all classes, in proportion.
        condition: What samples are drawn given, in the units of the data: one row of numbers for all samples, or one
            for each; or text as ``--condition`` takes it. None: the conditions of the data in turn.
        seed: The seed; None takes that of the run plus 1, as the command does, so that the samples are new.
        noise: "fresh" or "brownian"; see `difrun sample`.
        chunk: How many samples are drawn at a time.
        dtype: Of the samples: torch.float32 or torch.float64.
        options: ``{"sampler.rtol": 1e-6, "guidance.cfg.scale": 2}``.
        start: States x_t at the level, (n, *shape), in the units of the model, such as `Inversion.x`.
        data: Examples x_0 (n, *shape), in the units of the data.
        at: The level: the time t of `start`, or to which `data` are noised.
        dataset: The data of a score model, for guidances that ask for them.
        out: A .npz file into which the samples are written too, as the command does.
        force: Replace a file that is there.
        listener: Receives notes and progress, or a function that receives the notes.

    Returns:
        The samples (n, *shape) in the units of the data, on the CPU: an array if `start` or `data` is one, else a
        tensor.

    Raises:
        ConfigError: If a name, a combination or an option does not work, or `start`, `data`, `at` do not go together.
        DifrunError: If the model cannot be sampled so, or a sample is not finite.
    """
    file = None if out is None else file_for(out, force)
    own_steps = _steps_of(grid) if steps is None else steps
    given = sections(options, steps=own_steps, chunk=chunk, noise=noise, seed=seed)
    n = count_of(n, given)
    takes = options_taken(model, "sample.steps", "sample.chunk", "sample.noise", "seed")
    refuse_other_options(given, "difrun.sample", takes)
    subject = Subject.of(
        model,
        given_kinds(sampler=sampler, grid=grid, guidance=guidance),
        given,
        dataset=dataset,
        listener=listener,
    )
    if (start is not None or data is not None) != (at is not None) or (
        start is not None and data is not None
    ):
        raise ConfigError(
            "to begin at a level, give its time at, and either start, states that are at that level, or data, examples "
            "that are noised to it."
        )
    plan = subject.plan
    new = subject.run is not None and "seed" not in given.get("", {})
    drawn_with = plan.seed + 1 if new else plan.seed
    level = None if at is None else level_of(at)
    begin, n = _beginning(subject, start, data, level, subject.count(n, label, condition))
    with subject.working():
        guided = subject.model()
        labels = subject.labels(guided, label, n, condition)
        counted = Counted(guided)
        drawn = generate(
            sampler_of(subject),
            counted,
            n,
            times_of(subject, guided, level),
            seed=seed_of(drawn_with, "samples"),
            chunk=plan.sample.chunk,
            device=subject.device,
            dtype=dtype,
            noise=plan.sample.noise,
            labels=labels,
            begin=begin,
            watch=watch_of(subject),
        ).cpu()
    if file is not None:
        save(
            file, subject, drawn, labels, counted, seed=drawn_with, label=label, condition=condition, at=level
        )
    return like(subject.decode(drawn), start if data is None else data)


def options_taken(model: Model, *plain: str) -> list[str]:
    """Return the options that have an effect where a model is sampled or inverted, besides single ones."""
    if isinstance(model, ScoreModel):
        return ["sampler", "grid", "guidance", *plain, "dataset"]
    return ["sampler", "grid", "guidance", *plain, "sample.label", "sample.condition", "threads"]


def _steps_of(grid: Any) -> int | None:
    """The steps of a grid that is a list of times."""
    return len(grid) - 1 if hasattr(grid, "__len__") and not isinstance(grid, str) else None


def sampler_of(subject: Subject) -> Sampler:
    """Return the sampler. Raises DifrunError if it needs a score, which a model of couples does not have."""
    if subject.dataset is None:
        return instantiate(subject.plan.sampler)
    return sampling.sampler_for(subject.plan.sampler, subject.dataset)


def times_of(subject: Subject, model: ScoreModel, level: float | None) -> list[float]:
    """Return the times of the grid, from T or from a level."""
    plan, sampler = subject.plan, sampler_of(subject)
    if level is None or level == model.process.horizon or isinstance(plan.grid.entry.load(), FixedTimes):
        times = grid_times(plan.grid, model, plan.sample.steps, sampler)
        return times if level is None else beginning_at(level, times)

    def grid(of: ScoreModel, steps: int) -> list[float]:
        return grid_times(plan.grid, of, steps, sampler)

    return times_from(grid, model, plan.sample.steps, level)


def watch_of(subject: Subject) -> Callable[[int, int], None]:
    """Return what tells the listener of each step, and stops the work when the user asks to."""

    def watch(done: int, total: int) -> None:
        subject.listener.sample(done, total)
        if subject.listener.stopping():
            raise DifrunError("Stopped.")

    return watch


def _beginning(
    subject: Subject, start: Any, data: Any, level: float | None, n: int | None
) -> tuple[Begin | None, int]:
    """How the states at the first time are made, None by the prior; and how many samples there are."""
    if level is None:
        if n is None and subject.run is None:
            raise ConfigError("say how many samples to draw: difrun.sample(model, n).")
        return None, subject.plan.sample.n if n is None else n
    check_level(subject.base.process, level)
    if data is not None:
        rows = subject.encode(data, "data")
    else:
        rows = with_numbers(as_data(start, "start"), "start")
        shape = subject.base.process.state_shape(subject.base.shape)
        if tuple(rows.shape[1:]) != tuple(shape) or rows.ndim == 0 or not len(rows):
            raise DifrunError(
                f"start has shape {tuple(rows.shape)}; expected states (n, {', '.join(map(str, shape))})."
            )
        if not bool(rows.isfinite().all()):
            raise DifrunError("start must hold finite numbers.")
    count = len(rows) if n is None else n
    if len(rows) not in (1, count):
        raise ConfigError(
            f"n = {count} samples begin with {count} rows, or all with one; {'start' if data is None else 'data'} has "
            f"{len(rows)}. Leave n out to take one sample for each."
        )
    rows = rows.expand(count, *rows.shape[1:])
    begin = from_states(rows) if data is None else from_data(subject.base.process, rows, level)
    return begin, count
