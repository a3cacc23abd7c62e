"""`difrun.tune`: the best few steps for a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import overload

from difrun.errors import ConfigError, DifrunError
from difrun.face.arguments import Heard
from difrun.face.checks import a_seed, is_whole, maybe_whole, several_whole
from difrun.face.drawing import watch_of
from difrun.face.opening import reopen
from difrun.face.subject import Model, Subject, heard_by
from difrun.runs.run import Run
from difrun.sampler.tuning.result import Tuning
from difrun.sampler.tuning.search import tune as search


@overload
def tune(
    model: Model,
    steps: int = 6,
    *,
    coefficients: bool = False,
    iterations: int | None = None,
    seed: int = 0,
    listener: Heard = None,
) -> Tuning: ...
@overload
def tune(
    model: Model,
    steps: Sequence[int],
    *,
    coefficients: bool = False,
    iterations: int | None = None,
    seed: int = 0,
    listener: Heard = None,
) -> dict[int, Tuning]: ...
def tune(
    model: Model,
    steps: int | Sequence[int] = 6,
    *,
    coefficients: bool = False,
    iterations: int | None = None,
    seed: int = 0,
    listener: Heard = None,
) -> Tuning | dict[int, Tuning]:
    """Find the grid on which a few steps of a model come nearest to its own fine solution: `difrun tune`.

    The model then knows it, and so does the folder of a run: ``difrun.sample(model, n, "tuned", steps)`` uses it.

    Args:
        model: A run, its folder, or a `ScoreModel`, on a Gaussian process.
        steps: The number of steps to tune for, 2 to 60, or several.
        coefficients: Tune the weights of the method too, not the grid alone.
        iterations: Iterations of L-BFGS, in tens; see `difrun.sampler.tuning.tune`.
        seed: The seed of the noise; a run takes its own.
        listener: Receives notes and progress, or a function that receives the notes.

    Returns:
        What was found, and how much it gains; for several numbers of steps, a dict by number.

    Raises:
        DifrunError: If the model is not trained, has a guidance or no probability flow, or for other numbers of steps.
    """
    several, counts = not is_whole(steps), several_whole("steps", steps, 1)
    iterations, seed = maybe_whole("iterations", iterations, 1), a_seed(seed)
    if isinstance(model, str | Path):
        model = reopen(model, listener)
    if isinstance(model, Run):
        if seed:
            raise ConfigError("a run is tuned with its own seed: leave seed out.")
        with heard_by(model, listener):
            found = {
                count: model.tune(count, free_weights=coefficients, iterations=iterations) for count in counts
            }
        return found if several else found[counts[0]]
    subject = Subject.of(model, {}, {}, listener=listener)
    if not {"gaussian", "ode"} <= subject.plan.process.entry.component.provides:
        raise DifrunError("Tuning needs the probability flow of a model on a Gaussian process.")
    found = {}
    for count in counts:
        found[count] = search(
            subject.base,
            count,
            free_weights=coefficients,
            iterations=iterations,
            seed=seed,
            watch=watch_of(subject),
        )
        subject.base.tunings = {**subject.base.tunings, count: found[count]}
    return found if several else found[counts[0]]
