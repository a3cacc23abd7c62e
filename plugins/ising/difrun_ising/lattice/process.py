"""The process of spins: they flip, or are masked, together or in turn."""

import math
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun_ising.discrete.colouring import checkerboard
from difrun_ising.discrete.process import DiscreteProcess
from difrun_ising.discrete.schedule import Instant
from difrun_ising.lattice.options import IsingOptions


class Ising(DiscreteProcess, IsingOptions):
    r"""Spins ±1 that flip: two categories, with x_t = ±1, and 0 where masked.

    Flipping with probability r in every step leaves the correlation ρ_t with x_0:

        ρ_t = (1 − 2r)^t,    P(x_t ≠ x_0) = (1 − ρ_t)/2.

    With uniform mixing α = ρ.

    `order` says when the sites are noised. With "checkerboard", time has `rounds` equal parts. In the first `share` of
    each the odd sublattice is noised, and in the rest the even one. Spins that are noised together are then not
    neighbours, and the reverse step of each of them given x_t is nearly exact; not so on a torus with an odd side,
    which needs three turns. With whole numbers, one for each site row by row, a round has equal parts for all numbers.
    The sites with the highest number are noised first, so sites are sampled in the order of their numbers.
    """

    @override
    def mixing_distribution(self, categories: int, device: torch.device | str = "cpu") -> Tensor:
        if self.mixing == "absorbing":
            pi = [0.0, 0.0, 1.0]
        else:
            up = self.mixing if isinstance(self.mixing, float) else 0.5
            pi = [1 - up, up, 0.0]
        return torch.tensor(pi, dtype=torch.float64, device=device)

    @cached_property
    def _bounds(self) -> tuple[float, ...]:
        """Where in a round the turns begin and end, from 0 to 1, in the order of noising: the highest turn first."""
        if self.order == "checkerboard":
            return 0.0, self.share, 1.0
        count = 1 + max(self.order) if isinstance(self.order, tuple) else 1
        return tuple(k / count for k in range(count + 1))

    @override
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

    @override
    def turns(self, sites: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
        """The number of the turn of every site, int64, with shape `sites`.

        Raises:
            DifrunError: If `order` names the turns of another number of sites.
        """
        if not isinstance(self.order, tuple):
            return checkerboard(sites, device)
        if len(self.order) != math.prod(sites):
            raise DifrunError(
                f"--process.order names the turns of {len(self.order)} sites; a lattice of "
                f"{' x '.join(map(str, sites))} has {math.prod(sites)}. Give one whole number for each, row by row."
            )
        return torch.tensor(self.order, device=device).reshape(sites)

    @override
    def rate_field(self, t: float, shape: tuple[int, ...]) -> Tensor | float:
        if len(self._bounds) == 2:
            return super().rate_field(t, shape)
        in_round = (t * self.rounds / self.horizon) % 1.0
        speeds = [1 / (high - low) if low <= in_round < high else 0.0 for low, high in pairwise(self._bounds)]
        rates = [
            speed * self.log_alpha_rate(torch.tensor(u, dtype=torch.float64))
            for speed, u in zip(reversed(speeds), self.clocks(t), strict=True)
        ]
        return self.field(rates, shape)

    @override
    def categories(self) -> int:
        return 2

    @override
    def sites(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(shape)

    @override
    def states(self, x: Tensor) -> Tensor:
        x = x.double()
        # 1 where a spin is visible. Detached: a derivative in x must not change whether it is.
        visible = x.square().detach()
        return torch.stack(((visible - x) / 2, (visible + x) / 2), -1)

    @override
    def site_distributions(self, x0: Tensor) -> Tensor:
        up = (1 + x0.double().clamp(-1, 1)) / 2
        return torch.stack((1 - up, up), -1)

    @override
    def mean(self, weights: Tensor) -> Tensor:
        return weights[..., 1] - weights[..., 0]

    @override
    def log_ratios(self, x_t: Tensor, p0: Tensor, at: Instant) -> Tensor:
        """The score log p_t(x with spin i flipped)/p_t(x), (n, *sites); with masks, of −1 and +1 in a last axis."""
        logs = self.category_log_ratios(x_t, p0, at)
        # The ratio for a spin's own value is 1, and its logarithm 0.
        return logs if self.masks(2) else logs.sum(-1)
