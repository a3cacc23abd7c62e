"""The processes of the plugin: categories that are replaced, and spins that flip."""

import math
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun_ising.discrete.process import DiscreteProcess
from difrun_ising.discrete.schedule import Instant
from difrun_ising.discrete.sites import colouring
from difrun_ising.options import IsingOptions

__all__ = ["DiscreteProcess", "Instant", "Ising"]


class Ising(DiscreteProcess, IsingOptions):
    r"""Spins ±1 that flip: two categories, with x_t = ±1, and 0 where masked.

    Flipping with probability r in every step leaves the correlation ρ_t = (1 − 2r)^t with x_0, and
    P(x_t ≠ x_0) = (1 − ρ_t)/2; with uniform mixing α = ρ. `order` checkerboard noises the odd sublattice in the first
    part (`share`) of each of `rounds` equal parts of time and the even one in the rest, so that spins that are noised
    together are no neighbours and the reverse step of every one given x_t is nearly exact. With whole numbers, one for
    each site row by row, it noises the sites of the highest number in the first part of a round, and so on, in equal
    parts: they are sampled in the order of their numbers.
    """

    def mixing_distribution(self, categories: int, device: torch.device | str = "cpu") -> Tensor:
        if self.mixing == "absorbing":
            pi = [0.0, 0.0, 1.0]
        else:
            up = self.mixing if isinstance(self.mixing, float) else 0.5
            pi = [1 - up, up, 0.0]
        return torch.tensor(pi, dtype=torch.float64, device=device)

    @cached_property
    def _bounds(self) -> tuple[float, ...]:
        """Where in a round the turns begin and end, as they are noised: from 0 to 1, the last turn first."""
        if self.order == "checkerboard":
            return 0.0, self.share, 1.0
        count = 1 + max(self.order) if isinstance(self.order, tuple) else 1
        return tuple(k / count for k in range(count + 1))

    def clocks(self, t: Any) -> tuple[Any, ...]:
        if len(self._bounds) == 2:
            return (t,)
        length = self.horizon / self.rounds
        if isinstance(t, Tensor):
            whole = torch.floor(t / length).clamp_max(self.rounds - 1)
            part = t / length - whole
            inside = [((part - low) / (high - low)).clamp(0, 1) for low, high in pairwise(self._bounds)]
        else:
            whole = min(math.floor(t / length + 1e-9), self.rounds - 1)
            part = t / length - whole
            inside = [
                round(min(max((part - low) / (high - low), 0.0), 1.0), 12)
                for low, high in pairwise(self._bounds)
            ]
        return tuple((whole + u) * length for u in reversed(inside))

    def turns(self, sites: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
        """Raises DifrunError where `order` names the turns of another number of sites."""
        if not isinstance(self.order, tuple):
            return colouring(sites, 2, device)
        if len(self.order) != math.prod(sites):
            raise DifrunError(
                f"--process.order names the turns of {len(self.order)} sites; a lattice of "
                f"{' x '.join(map(str, sites))} has {math.prod(sites)}. Give one whole number for each, row by row."
            )
        return torch.tensor(self.order, device=device).reshape(sites)

    def rate_field(self, t: float, shape: tuple[int, ...]) -> Tensor | float:
        if len(self._bounds) == 2:
            return super().rate_field(t, shape)
        in_round = (t * self.rounds / self.horizon) % 1.0
        speeds = [(low <= in_round < high) / (high - low) for low, high in pairwise(self._bounds)]
        rates = [
            speed * self.log_alpha_rate(torch.tensor(u, dtype=torch.float64))
            for speed, u in zip(reversed(speeds), self.clocks(t), strict=True)
        ]
        return self.field(rates, shape)

    def categories(self) -> int:
        return 2

    def sites(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(shape)

    def states(self, x: Tensor) -> Tensor:
        x = x.double()
        some = x.square().detach()  # whether a spin is there; else a derivative in x would change that, too
        return torch.stack(((some - x) / 2, (some + x) / 2), -1)

    def site_distributions(self, x0: Tensor) -> Tensor:
        up = (1 + x0.double().clamp(-1, 1)) / 2
        return torch.stack((1 - up, up), -1)

    def mean(self, weights: Tensor) -> Tensor:
        return weights[..., 1] - weights[..., 0]

    def log_ratios(self, x_t: Tensor, p0: Tensor, at: Instant) -> Tensor:
        """log p_t(x with spin i flipped)/p_t(x), (n, *sites), float64; under masks of −1 and +1, in a last axis."""
        logs = super().log_ratios(x_t, p0, at)
        return logs if self.masks(2) else logs.sum(-1)  # of the spin's own value it is 0
