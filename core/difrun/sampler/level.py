"""Sampling that starts at a level t below T: from states x_t, or from data that are noised to t.

A time grid belongs to a process and begins at its T. A grid from a level is that of the same process with T = t.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.wrappers import ModelWrapper
from difrun.process.base import ForwardProcess
from difrun.process.gaussian import GaussianProcess, SameSchedule
from difrun.randomness.generator import Generator
from difrun.sampler.integration import Begin

MOST_TRIED = 50
"""How many times more steps than asked for are tried on the whole of [t_min, T], for a grid that knows no level."""


class Shortened(SameSchedule):
    """A Gaussian process up to a level, which is its T; all else is that of the process.

    Args:
        process: The process.
        level: The time that is to be T.
    """

    def __init__(self, process: GaussianProcess, level: float):
        super().__init__(process)
        self.horizon = level
        self.centre = process.centre

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_process" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._process, name)


class UpToLevel(ModelWrapper):
    """A model whose process ends at a level: what a grid of a model asks.

    Args:
        inner: The model.
        level: The time that is to be T.
    """

    def __init__(self, inner: ScoreModel, level: float):
        super().__init__(inner, same_distribution=True)
        self.process = Shortened(inner.process, level)

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        return self.inner.predict(x, at, kind)


Grid = Callable[[ScoreModel, int], Sequence[float]]
"""Called with a model and a number of steps; returns the times of the grid."""


def times_from(grid: Grid, model: ScoreModel, steps: int, level: float) -> list[float]:
    """Return the times of a grid from a level down to t_min, in a number of steps.

    Args:
        grid: The grid.
        model: The model.
        steps: The number of steps.
        level: The time of the first.

    Returns:
        steps + 1 times. For a process that is not Gaussian they are the last ones of a grid on all of [t_min, T].

    Raises:
        DifrunError: If the level is not in (t_min, T], or the grid begins elsewhere.
    """
    check_level(model.process, level)
    if isinstance(model.process, GaussianProcess):
        return beginning_at(level, list(grid(UpToLevel(model, level), steps)))
    for count in range(steps, MOST_TRIED * steps + 1):
        below = [t for t in grid(model, count) if t < level * (1 - 1e-9)]
        if len(below) >= steps:
            return [level, *below[-steps:]]
    raise DifrunError(
        f"this grid has no {steps} times below t = {level:g}. Take fewer steps, a later level or another grid."
    )


def beginning_at(level: float, times: list[float]) -> list[float]:
    """Return times; raises DifrunError unless the first is the level, at which the states are."""
    if not math.isclose(times[0], level, rel_tol=1e-6):
        raise DifrunError(
            f"sampling begins at = {level:g}, and the grid at {times[0]:g}: both must be the same time."
        )
    return times


def check_level(process: ForwardProcess, level: float) -> None:
    """Raise DifrunError unless a level lies in (t_min, T]."""
    if not process.t_min < level <= process.horizon * (1 + 1e-9):
        raise DifrunError(
            f"at = {level:g} is no level to start from: it must lie above t_min = {process.t_min:g}, where sampling "
            f"ends, and at most at T = {process.horizon:g}."
        )


def from_states(states: Tensor) -> Begin:
    """Begin with given states x_t, (n, ...)."""
    return lambda rows, random: states[rows]


def from_data(process: ForwardProcess, examples: Tensor, level: float) -> Begin:
    """Begin with examples x_0 (n, ...) that are noised to a level by the process, each with noise of its own."""

    def noised(rows: slice, random: Generator) -> Tensor:
        return torch.as_tensor(process.sample(examples[rows].to(random.device), level, random))

    return noised
