r"""Gaussian processes forward in time: x_t given x_0, and whole paths."""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.process.arrays import numpy_too
from difrun.process.base import ForwardProcess, Randomness
from difrun.process.schedule import Instant, Schedule
from difrun.process.times import as_time, times_of_rows
from difrun.randomness.generator import Generator


class ForwardSimulation(Schedule, ForwardProcess):
    r"""The forward half of a `GaussianProcess`: it draws x_t, and paths of dx = f (x − μ) dt + g dw."""

    centre: float | Sequence[float] = 0.0
    """μ, the mean to which the process returns: a number or one per coordinate."""

    @numpy_too
    @override
    def sample(self, x0: Tensor, t: Any, generator: Randomness = None) -> Tensor:
        """Draw x_t given x_0 of shape (n, ...), at one time or one per example (n,).

        Raises:
            DifrunError: If a time is outside [0, T], or there is neither one time nor one per example.
        """
        at = t if isinstance(t, Instant) else self.at(times_of_rows(t, len(x0), x0), x0.ndim)
        return self.diffuse(x0, Generator.of(generator, x0.device).normal(x0), at)

    def diffuse(self, x0: Tensor, noise: Tensor, at: Instant) -> Tensor:
        """Return x_t = μ + α(x_0 − μ) + σε for the noise ε."""
        centre = self.centre_like(x0)
        return centre + at.alpha * (x0 - centre) + at.sigma * noise

    @numpy_too
    @override
    def path(self, x0: Tensor, times: Sequence[float], generator: Randomness = None) -> Tensor:
        r"""Draw one exact joint path per example, by composing transitions.

        The correlation between times is that of the process, Cov(x_s, x_t) = α_t/α_s · Var(x_s).

        Args:
            x0: The examples, (n, ...).
            times: Increasing times in [0, T].
            generator: The source of random numbers.

        Returns:
            The paths, (len(times), n, ...).

        Raises:
            DifrunError: If the times do not increase or lie outside [0, T].
        """
        generator = Generator.of(generator, x0.device)
        centre = self.centre_like(x0)
        steps = [0.0, *_increasing(times)]
        x, path = x0 - centre, []
        for at, to in pairwise(self.instants(steps)):
            if to.t > at.t:
                ratio = alpha_ratio(to, at)
                std = max(0.0, to.var - ratio**2 * at.var) ** 0.5
                x = ratio * x + std * generator.normal(x)
            path.append(centre + x)
        return torch.stack(path)

    @numpy_too
    def euler_maruyama(
        self, x0: Tensor, times: Sequence[float], generator: Randomness = None, substeps: int = 1
    ) -> Tensor:
        r"""Simulate paths of dx = f (x − μ) dt + g dw by Euler and Maruyama, to compare with `path`.

        The weak order is 1 in the step, and so is the strong order, as the noise is additive. A step into α = 0, where
        f is infinite, is the exact one, x = σz.

        Args:
            x0: The examples, (n, ...).
            times: Increasing times in [0, T].
            generator: The source of random numbers.
            substeps: Number of equal steps in each interval.

        Returns:
            The paths, (len(times), n, ...).
        """
        generator = Generator.of(generator, x0.device)
        centre = self.centre_like(x0)
        times = _increasing(times)
        self._refuse_outside(times[0], times[-1], 1e-9)
        x, path = x0 - centre, []
        for start, end in pairwise([0.0, *times]):
            h = (end - start) / substeps
            if h > 0:
                grid = self.instants([*(start + h * k for k in range(substeps)), end])
                for at, to in pairwise(grid):
                    if to.alpha > 0:
                        x = x + h * at.f * x + (h * at.g2) ** 0.5 * generator.normal(x)
                    elif at.alpha > 0:
                        x = to.sigma * generator.normal(x)
            path.append(centre + x)
        return torch.stack(path)

    @cached_property
    def _centre_value(self) -> float | Tensor:
        value = torch.as_tensor(self.centre, dtype=torch.float64)
        return 0.0 if not value.any() else value

    def centre_like(self, like: Tensor) -> Any:
        """Return μ for arithmetic with `like`: 0.0 where there is none, else a tensor of its dtype and device.

        Raises:
            DifrunError: If μ has one number per coordinate, and the examples have another number of coordinates.
        """
        value = self._centre_value
        if isinstance(value, float):
            return value
        if value.ndim and tuple(value.shape) != tuple(like.shape[-value.ndim :]):
            raise DifrunError(
                f"the mean μ has {value.numel()} numbers; examples of shape {tuple(like.shape[1:])} need one for each "
                "coordinate, or a single number for all."
            )
        # Of whole numbers μ would be one as well.
        return value.to(dtype=like.dtype if like.is_floating_point() else torch.float32).to(like.device)


def alpha_ratio(later: Instant, earlier: Instant) -> Any:
    """α_t/α_s for s < t, from logarithms: both may be too small for their format."""
    log = later.log_alpha - earlier.log_alpha
    return math.exp(log) if isinstance(log, float) else log.exp()


def _increasing(times: Sequence[float]) -> list[float]:
    ts = torch.as_tensor(as_time(times, 1, torch.float64)).double().reshape(-1).tolist()
    if not ts or ts[0] < 0 or any(b < a for a, b in pairwise(ts)):
        raise DifrunError("the times of a path must increase from a first time of at least 0")
    return ts
