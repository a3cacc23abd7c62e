"""Noise schedules of discrete processes: the probability α(t) that a site still has its value, and the instants."""

import math
from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.process import ForwardProcess
from difrun.process.times import as_time
from difrun_ising.discrete.options import DiscreteOptions

LARGEST_RATE = 1e15
"""What replaces an infinite rate −d log α/dt, at T, where α = 0."""


@attrs.frozen
class Instant:
    """A time t, and α there.

    Attributes:
        t: The time, or a batch of times.
        alphas: α, one for all sites, or one for each turn in which sites are noised (`Schedule.turns`). They are
            numbers, or tensors (B, 1, ..., 1) for a batch. Turn 0, the last to be noised, comes first.
    """

    t: Any
    alphas: tuple[Any, ...]

    @property
    def rho(self) -> Any:
        """The remaining correlation ρ = α, where it is the same at all sites."""
        return self.alphas[0]

    @property
    def even(self) -> Any:
        """α of the even sublattice, where sublattices take turns."""
        return self.alphas[0]

    @property
    def odd(self) -> Any:
        """α of the odd sublattice, where sublattices take turns."""
        return self.alphas[-1]


class Schedule(ForwardProcess, DiscreteOptions):
    r"""The noise schedule α(t), in float64.

    α(t) is cos(πt/2), 1 − t or exp(−2·rate·t) on [0, 1], or (1 − 2·flip)^t for t up to `steps`.

    α may differ between sites: a subclass may let sites take turns, each with a clock of its own (`clocks`, `turns`).
    """

    @property
    def horizon(self) -> float:  # type: ignore[override]
        """T."""
        return float(self.steps) if self.schedule == "flips" else 1.0

    @override
    def at(self, t: Any, ndim: int | None = None) -> Instant:
        """The instant at t.

        Raises:
            DifrunError: If t is no time, or is outside [0, T].
        """
        t = as_time(t, ndim)
        inside = (t >= 0) & (t <= self.horizon)  # of numbers as of tensors
        if not torch.as_tensor(inside).all():
            raise DifrunError(f"time {t} is outside [0, {self.horizon:g}], the range of this process")
        return self.instant(t, ndim)

    def instant(self, t: Any, ndim: int | None = None) -> Instant:
        """The instant at t, without a check of its range."""
        if not isinstance(t, Tensor):
            alphas = (self.alpha(torch.tensor(u, dtype=torch.float64)).item() for u in self.clocks(float(t)))
            return Instant(t, tuple(alphas))
        if ndim is not None:
            t = t.reshape(t.shape + (1,) * (ndim - t.ndim))
        return Instant(t, tuple(self.alpha(u.double()) for u in self.clocks(t)))

    def alpha(self, t: Tensor) -> Tensor:
        """α(t), float64."""
        if self.schedule == "cosine":
            return torch.where(t < 1, torch.cos(math.pi / 2 * t), 0.0)
        if self.schedule == "linear":
            return 1 - t
        return torch.exp(-self._decay * t)

    def log_alpha_rate(self, t: Tensor) -> Tensor:
        """σ(t) = −d log α/dt, the rate at which a site is replaced; very large, not infinite, where α = 0."""
        if self.schedule == "cosine":
            return (math.pi / 2 * torch.tan(math.pi / 2 * t)).clamp(0, LARGEST_RATE)
        if self.schedule == "linear":
            return (1 / (1 - t)).clamp_max(LARGEST_RATE)
        return torch.full_like(t, self._decay)

    @property
    def _decay(self) -> float:
        return 2 * self.rate if self.schedule == "rate" else -math.log1p(-2 * self.flip)

    def clocks(self, t: Any) -> tuple[Any, ...]:
        """The time on the clock of every turn, at which α is read: a number or tensor like t each."""
        return (t,)

    def turns(self, sites: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
        """The number of the turn of every site, int64, with shape `sites`."""
        return torch.zeros(sites, dtype=torch.int64, device=device)

    def steps_before(self, t: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """The step of a grid of equal steps that contains t; a chain has its own steps.

        Args:
            t: The times.
            steps: The number of steps of the grid.

        Returns:
            The start of each step, which is at or above t, and its end, which is below t.
        """
        width = self.horizon / self.step_count(steps)
        end = torch.ceil(t / width - 1e-9).clamp_min(1)
        return end * width, (end - 1) * width

    def step_count(self, steps: int) -> int:
        """The number of steps: that of the chain, or `steps` for a continuous process."""
        return self.steps if self.schedule == "flips" else steps

    def site_alpha(self, at: Instant, shape: tuple[int, ...]) -> Tensor | float:
        """α for tensors of shape (n, *sites): a number, or a tensor that broadcasts against them."""
        first = at.alphas[0]
        if len(at.alphas) == 1 or (isinstance(first, float) and all(a == first for a in at.alphas)):
            return first
        return self.field(at.alphas, shape)

    def field(self, values: Sequence[Any], shape: tuple[int, ...]) -> Tensor:
        """One value for every turn, spread over the sites of tensors of shape (n, *sites), float64."""
        first, *others = (torch.as_tensor(value, dtype=torch.float64) for value in values)
        turns = self.turns(shape[1:], first.device)
        field = first.expand(torch.broadcast_shapes(first.shape, turns.shape))
        for number, value in enumerate(others, start=1):
            field = torch.where(turns == number, value, field)
        return field

    def rate_field(self, t: float, shape: tuple[int, ...]) -> Tensor | float:
        """σ = −d log α/dt at every site of tensors of shape (n, *sites), in the time of the process."""
        return self.log_alpha_rate(torch.tensor(float(t), dtype=torch.float64)).item()
