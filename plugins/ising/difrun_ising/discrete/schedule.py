"""Schedules of discrete processes: the probability α(t) with which a site still has its value, and the instants."""

import math
from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.process import ForwardProcess
from difrun_ising.discrete.options import DiscreteOptions

LONGEST = 1e15
"""What an infinite rate −d log α/dt is replaced by: at T, where nothing is left."""


@attrs.frozen
class Instant:
    """A time t, and α there: one for all sites, or one for each turn in which sites are noised (`Schedule.turns`).

    alphas: numbers, or tensors (B, 1, ..., 1) for a batch of times; those of turn 0, the last to be noised, come first.
    """

    t: Any
    alphas: tuple[Any, ...]

    @property
    def rho(self) -> Any:
        """The remaining correlation ρ = α, where it is the same everywhere."""
        return self.alphas[0]

    @property
    def even(self) -> Any:
        """α of the even sublattice, for sublattices that take turns."""
        return self.alphas[0]

    @property
    def odd(self) -> Any:
        """α of the odd sublattice."""
        return self.alphas[-1]


class Schedule(ForwardProcess, DiscreteOptions):
    r"""α(t): cos(πt/2), 1 − t, exp(−2·rate·t) on [0, 1], or (1 − 2·flip)^t for t up to `steps`, in float64.

    α may be a field: a subclass may let sites take turns, each turn by a clock of its own (`clocks`, `turns`).
    """

    @property
    def horizon(self) -> float:  # type: ignore[override]
        return float(self.steps) if self.schedule == "flips" else 1.0

    def at(self, t: Any, ndim: int | None = None) -> Instant:
        """The instant at t. Raises DifrunError for times outside [0, T]."""
        inside = (
            bool(((t >= 0) & (t <= self.horizon)).all()) if isinstance(t, Tensor) else 0 <= t <= self.horizon
        )
        if not inside:
            raise DifrunError(f"time {t} is outside [0, {self.horizon:g}], where this process lives")
        return self.instant(t, ndim)

    def instant(self, t: Any, ndim: int | None = None) -> Instant:
        """The instant at t, without a test of its range."""
        if not isinstance(t, Tensor):
            found = (self.alpha(torch.tensor(u, dtype=torch.float64)).item() for u in self.clocks(float(t)))
            return Instant(t, tuple(found))
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
        """σ(t) = −d log α/dt: the rate at which a site is replaced; very large, not infinite, where α = 0."""
        if self.schedule == "cosine":
            return (math.pi / 2 * torch.tan(math.pi / 2 * t)).clamp(0, LONGEST)
        if self.schedule == "linear":
            return (1 / (1 - t)).clamp_max(LONGEST)
        return torch.full_like(t, self._decay)

    @property
    def _decay(self) -> float:
        return 2 * self.rate if self.schedule == "rate" else -math.log1p(-2 * self.flip)

    def clocks(self, t: Any) -> tuple[Any, ...]:
        """The times that the schedule is read at, of every turn: a number or tensor like t each."""
        return (t,)

    def turns(self, sites: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
        """The number of the turn of every site, int64, of shape `sites`."""
        return torch.zeros(sites, dtype=torch.int64, device=device)

    def steps_before(self, t: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """(t, s): a step of a grid of equal steps that ends at s and starts at t ≥ t > s; a chain has its own steps."""
        width = self.horizon / self.step_count(steps)
        end = torch.ceil(t / width - 1e-9).clamp_min(1)
        return end * width, (end - 1) * width

    def step_count(self, steps: int) -> int:
        """How many steps a chain has; a continuous process takes those that are asked for."""
        return self.steps if self.schedule == "flips" else steps

    def keep(self, at: Instant, shape: tuple[int, ...]) -> Tensor | float:
        """α for tensors of `shape` (n, *sites): a number, or a tensor that broadcasts against them."""
        first = at.alphas[0]
        if len(at.alphas) == 1 or (isinstance(first, float) and all(a == first for a in at.alphas)):
            return first
        return self.field(at.alphas, shape)

    def field(self, values: Sequence[Any], shape: tuple[int, ...]) -> Tensor:
        """One value for every turn as a field over the sites of tensors of `shape` (n, *sites), float64."""
        first, *others = (torch.as_tensor(value, dtype=torch.float64) for value in values)
        turns = self.turns(shape[1:], first.device)
        found = first.expand(torch.broadcast_shapes(first.shape, turns.shape))
        for number, value in enumerate(others, start=1):
            found = torch.where(turns == number, value, found)
        return found

    def rate_field(self, t: float, shape: tuple[int, ...]) -> Tensor | float:
        """σ = −d log α/dt at every site of tensors of `shape` (n, *sites), by the clock of the process."""
        return self.log_alpha_rate(torch.tensor(float(t), dtype=torch.float64)).item()
