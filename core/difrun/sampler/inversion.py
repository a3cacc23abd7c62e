"""Inversion: from data to the noise from which a deterministic sampler draws them."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import attrs
import torch
from torch import Tensor

from difrun.data.checks import finite_data
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.eval_mode import in_eval_mode
from difrun.process.gaussian import GaussianProcess
from difrun.process.times import decreasing
from difrun.sampler.base import Sampler
from difrun.sampler.integration import carry, to_data

Array = TypeVar("Array")


@attrs.frozen(eq=False)
class Inversion(Generic[Array]):
    """States at a level, and how well sampling leads back from them.

    Attributes:
        x: The states x_t, (n, *shape), from which sampling starts.
        at: Their time t.
        error: The distance of each example from what is sampled from its state with the same sampler and grid: the
            root mean square over its coordinates, (n,), in the units of the examples.
    """

    x: Array
    at: float
    error: Array


@in_eval_mode
def invert(
    model: ScoreModel,
    x0: Tensor,
    sampler: Sampler,
    times: Sequence[float],
    *,
    chunk: int = 4096,
    labels: Tensor | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Carry examples x_0 along the probability flow to the noise at times[0], and back.

    The flow starts at t_min from μ + α(x_0 − μ), where sampling ends. The sampler takes its steps in increasing time:
    the step of Euler's method is then the inversion of DDIM. A method of order p returns with an error of O(h^p) in the
    step h, as both ways are solutions of one equation.

    Args:
        model: The model.
        x0: The examples, (n, *model.shape).
        sampler: A deterministic sampler of a fixed step.
        times: The times of the way back, strictly decreasing, as for sampling.
        chunk: Number of examples at a time.
        labels: The class of each example, (n,) int64.
        watch: Called with the number of steps done and their total.

    Returns:
        The states at times[0], (n, *shape), and the examples as they come back from there.

    Raises:
        DifrunError: If the process has no probability flow, the sampler draws random numbers or chooses its own steps,
            the examples do not have the shape of the model's, or a state is not finite.

    References:
        Song et al. (2021), arXiv 2010.02502, sec. 4.3: DDIM in increasing time.
    """
    x0, times = finite_data(x0, "examples"), decreasing(times)
    _refuse(model, x0, sampler)
    upwards = times[::-1]
    process, centre = model.process, model.process.centre_like(x0)
    start = centre + process.at(upwards[0]).alpha * (x0 - centre)
    states, returned, done = [], [], 0
    total = 2 * (len(times) - 1) * -(-len(x0) // chunk)

    def tick(*_: Any) -> None:
        nonlocal done
        done += 1
        if watch is not None:
            watch(done, total)

    for first in range(0, len(x0), chunk):
        rows = slice(first, first + chunk)
        of_rows = model if labels is None else model.condition_on(labels[rows])
        x = carry(sampler, of_rows, start[rows], upwards, watch=tick)
        states.append(x)
        returned.append(to_data(process, carry(sampler, of_rows, x, times, watch=tick), times[-1]))
    x, back = torch.cat(states), torch.cat(returned)
    lost = ~(x.isfinite() & back.isfinite()).flatten(1).all(1)
    if bool(lost.any()):
        raise DifrunError(
            f"{int(lost.sum())} of {len(x0)} examples have no finite way to the noise and back (the first is number "
            f"{int(lost.nonzero()[0])}). Take more steps, or examples nearer to the data."
        )
    return x, back


def rms(difference: Tensor) -> Tensor:
    """Return the root mean square over the coordinates of each row, (n,)."""
    return difference.flatten(1).square().mean(1).sqrt()


def _refuse(model: ScoreModel, x0: Tensor, sampler: Sampler) -> None:
    if not isinstance(model.process, GaussianProcess):
        raise DifrunError(
            f"inversion follows the probability flow of a Gaussian process; {type(model.process).__name__} has none."
        )
    if sampler.stochastic:
        raise DifrunError(
            f"inversion needs a deterministic sampler; {type(sampler).__name__} draws random numbers. Take heun, rk4, "
            "adams or euler."
        )
    if not sampler.inverts:
        raise DifrunError(
            f"inversion takes steps in increasing time, and {type(sampler).__name__} does not say that its own may be "
            "(`inverts`). Take heun, rk4, adams or euler."
        )
    if tuple(x0.shape[1:]) != tuple(model.shape) or not len(x0):
        raise DifrunError(
            f"examples of shape {tuple(x0.shape)} do not fit a model of examples of shape {tuple(model.shape)}."
        )
