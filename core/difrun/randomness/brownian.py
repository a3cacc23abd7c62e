r"""Noise that is the path of a Brownian motion: finer steps see more of the same path.

Each coordinate of each sample has its own Brownian motion B over the whole of sampling, in the clock

    u(t) = 1 − log(1 + t/t_min)/log(1 + T/t_min)    from 0 at T to nearly 1 at t_min,

and the noise of a step from t to s is its increment scaled to variance 1, z = (B(u_s) − B(u_t))/√(u_s − u_t). Within a
run the z are independent N(0, 1), as a sampler expects. A run with half the steps forms its z from the same increments,
so that both runs follow the same path: as steps shrink, x converges for every sample and not only in distribution. This
does not depend on the clock: a sampler that scales z by g √h draws ∫ g dW, dW = dB √(−dt/du), in the limit h → 0.

B is a virtual Brownian tree (Gaines and Lyons, 1997, SIAM J. Appl. Math. 57, 1455; Li et al., 2020, arXiv 2001.01328,
sec. 4). First B(1) is drawn, and then B at the middle of each half, given both ends:

    B(m) = ½[B(l) + B(r)] + ½ √(r − l) ξ,

where ξ comes from a random stream that is named by the position of m in the tree. Nothing is stored, and the order of
evaluation does not matter.
"""

import math

import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.randomness.generator import Generator, lane_size, torch_generator

DEPTH = 24
"""Levels of the tree. Times are rounded to 2^−24 of the clock; between rounded times increments are exact."""


class Brownian(Generator):
    """A `Generator` whose normal numbers within a step of sampling are increments of Brownian motions.

    Args:
        seed: As for `Generator`.
        horizon: The time T at which sampling starts.
        t_min: The time at which it ends.
        first: As for `Generator`.
        device: As for `Generator`.

    Raises:
        DifrunError: When numbers are drawn, if the noise of the sampler is not an increment over its step, because it
            draws twice in a step or draws numbers that are not normal, or if a step is too short for the clock.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        horizon: float,
        t_min: float,
        first: int = 0,
        device: torch.device | str = "cpu",
    ):
        super().__init__(seed, first=first, device=device)
        self.horizon, self.t_min = horizon, t_min
        self._step: tuple[int, int] | None = None
        self._drawn = False
        # The intervals that were last visited, from the root down: both ends, and B there.
        self._path: list[tuple[int, int, Tensor, Tensor]] = []

    @override
    def enter(self, start: float, end: float) -> None:
        self._step, self._drawn = (self._position(start), self._position(end)), False

    @override
    def leave(self) -> None:
        self._step = None

    @override
    def normal(self, like: Tensor) -> Tensor:
        if self._step is None or like.is_meta or like.numel() == 0:
            return super().normal(like)
        if self._drawn:
            raise DifrunError(
                "this sampler draws noise more than once in a step, so its noise is not an increment of a Brownian "
                "motion. Draw with --noise fresh, or take another sampler, such as ancestral."
            )
        self._drawn = True
        start, end = self._step
        if start >= end:
            raise DifrunError(
                "Brownian noise: two times of the grid are too close to be distinguished. Take fewer steps, or "
                "another grid."
            )
        increment = self._at(end, like) - self._at(start, like)
        return increment * math.sqrt(2.0**DEPTH / (end - start))

    @override
    def uniform(self, like: Tensor) -> Tensor:
        if self._step is not None:
            raise DifrunError(
                "this sampler draws uniform numbers, which are not increments of a Brownian motion. Draw with "
                "--noise fresh."
            )
        return super().uniform(like)

    def _position(self, t: float) -> int:
        """The clock at t, in units of 2^−DEPTH."""
        u = 1 - math.log1p(t / self.t_min) / math.log1p(self.horizon / self.t_min)
        return min(2**DEPTH, max(0, round(u * 2**DEPTH)))

    def _at(self, position: int, like: Tensor) -> Tensor:
        """B at a position, by going down the tree from the smallest interval of the last path that contains it."""
        if not self._path or self._path[0][2].shape != like.shape or self._path[0][2].dtype != like.dtype:
            end = 2**DEPTH
            self._path = [(0, end, torch.zeros_like(like), self._standard_normal(end, like))]
        while not self._path[-1][0] <= position <= self._path[-1][1]:
            self._path.pop()
        left, right, low, high = self._path[-1]
        while left < position < right:
            middle = (left + right) // 2
            std = 0.5 * math.sqrt((right - left) / 2**DEPTH)
            value = torch.add(0.5 * (low + high), self._standard_normal(middle, like), alpha=std)
            if position <= middle:
                right, high = middle, value
            else:
                left, low = middle, value
            self._path.append((left, right, low, high))
        return low if position == left else high

    def _standard_normal(self, position: int, like: Tensor) -> Tensor:
        """N(0, 1) of the shape of `like` for a position in the tree; row i belongs to sample first + i."""
        n, *shape = like.shape
        size = lane_size(like[:1].numel())
        lanes = range(self.first // size, (self.first + n - 1) // size + 1)
        blocks = [
            torch.randn(
                (size, *shape),
                generator=torch_generator(self.seed, "brownian", size, lane, position, device=self.device),
                dtype=like.dtype,
                device=self.device,
            )
            for lane in lanes
        ]
        skip = self.first - lanes.start * size
        return torch.cat(blocks)[skip : skip + n].to(like.device)
