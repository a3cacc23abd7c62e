"""`difrun.invert`: from data to the noise from which they are drawn."""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack, overload

from numpy.typing import NDArray
from torch import Tensor

from difrun.face.arguments import Heard, Options, given_kinds, sections
from difrun.face.checks import level_of, refuse_other_options
from difrun.face.drawing import options_taken, sampler_of, times_of, watch_of
from difrun.face.subject import Model, Subject, like
from difrun.runs.stages.labels import ARGUMENTS, in_words
from difrun.sampler import inversion
from difrun.sampler.inversion import Inversion
from difrun.sampler.level import check_level


class InversionWishes(TypedDict, total=False):
    """What `invert` takes by name in every case."""

    grid: Any
    guidance: Any
    label: Any
    condition: Any
    at: float | None
    chunk: int | None
    options: Options | None
    dataset: Any
    listener: Heard


@overload
def invert(
    model: Model, x0: NDArray[Any], sampler: Any = "heun", steps: int = 50, **wishes: Unpack[InversionWishes]
) -> Inversion[NDArray[Any]]: ...
@overload
def invert(
    model: Model,
    x0: Tensor | Sequence[Any],
    sampler: Any = "heun",
    steps: int = 50,
    **wishes: Unpack[InversionWishes],
) -> Inversion[Tensor]: ...
@in_words(ARGUMENTS)
def invert(
    model: Model,
    x0: Any,
    sampler: Any = "heun",
    steps: int = 50,
    *,
    grid: Any = None,
    guidance: Any | Sequence[Any] = None,
    label: Any = None,
    condition: Any = None,
    at: float | None = None,
    chunk: int | None = None,
    options: Options | None = None,
    dataset: Any = None,
    listener: Heard = None,
) -> Inversion[Any]:
    """Find the noise from which a deterministic sampler draws given examples, and tell how well it leads back.

    The flow of the model is followed in increasing time, with a sampler and a grid (`difrun.sampler.inversion`), and
    back by the same steps. ``difrun.sample(model, start=found.x, at=found.at, sampler=..., steps=...)`` is that way
    back. Its error tells how well the two ways agree; that of the noise itself falls with the order of the sampler, and
    for a method of even order more slowly than that of the round trip.

    Args:
        model: A run, its folder, or a `ScoreModel`.
        x0: Examples (n, *shape), in the units of the data.
        sampler: A deterministic sampler.
        steps: Steps of each way.
        grid: The grid; None takes that of the run, or what suits the sampler.
        guidance: A guidance or a list of them; None takes those of the run.
        label: The class of all examples, or one for each.
        condition: The condition of all examples, or one for each, in the units of the data.
        at: The level to go to, a time in (t_min, T]; None: T.
        chunk: How many examples are carried at a time.
        options: Options of the components, as for `difrun.sample`.
        dataset: The data of a score model, for guidances that ask for them.
        listener: Receives notes and progress, or a function that receives the notes.

    Returns:
        The states, their time, and the error of the round trip of each example, in the units of the data.

    Raises:
        ConfigError: If a name, a combination or an option does not work.
        DifrunError: If the process has no flow, the sampler cannot take its steps in increasing time, or the examples
            do not fit.
    """
    given = sections(options, steps=steps, chunk=chunk)
    refuse_other_options(given, "difrun.invert", options_taken(model, "sample.steps", "sample.chunk"))
    level = None if at is None else level_of(at)
    subject = Subject.of(
        model,
        given_kinds(sampler=sampler, grid=grid, guidance=guidance),
        given,
        dataset=dataset,
        listener=listener,
    )
    examples = subject.encode(x0)
    if subject.run is not None:
        examples = examples.float()
    with subject.working():
        guided = subject.model()
        if level is not None:
            check_level(guided.process, level)
        times = times_of(subject, guided, level)
        asked = subject.plan.sample if subject.run is not None else None
        of_run = asked is not None and (asked.label is not None or asked.condition is not None)
        labels = None
        if label is not None or condition is not None or of_run:
            labels = subject.labels(guided, label, len(examples), condition)
        states, returned = inversion.invert(
            guided,
            examples.to(subject.device),
            sampler_of(subject),
            times,
            chunk=subject.plan.sample.chunk,
            labels=labels,
            watch=watch_of(subject),
        )
    error = inversion.rms(subject.decode(returned.cpu()) - subject.decode(examples.cpu()))
    return Inversion(like(states.cpu(), x0), times[0], like(error, x0))
