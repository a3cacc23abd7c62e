r"""Noise that is the path of a Brownian motion: finer steps see more of the same path.

Every number of every sample has a Brownian motion B of its own over the whole of sampling, in the clock

    u(t) = 1 − log(1 + t/t_min)/log(1 + T/t_min)    from 0 at T to nearly 1 at t_min,

and the noise of a step from t to s is the increment over it, scaled to variance 1: z = (B(u_s) − B(u_t))/√(u_s − u_t).
The z of one run are independent N(0, 1), as a sampler expects them. Those of a run with half the steps are made of the
same increments, so that the two follow the same path: x converges for every sample, and not in distribution only.
The clock does not matter for that: a sampler that scales z by g √h draws, as h → 0, ∫ g dW with dW = dB √(−dt/du).

B is a virtual Brownian tree (Gaines and Lyons, 1997, SIAM J. Appl. Math. 57, 1455; Li et al., 2020, arXiv 2001.01328,
sec. 4): B(1) is drawn, and then B in the middle of each half, given both its ends,

    B(m) = ½[B(l) + B(r)] + ½ √(r − l) ξ,

from a stream named by the place of m in the tree. Nothing is stored, and nothing depends on the order of the questions.
"""

import math

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.randomness.generator import Generator, lane_size, torch_generator

DEPTH = 24
"""Times are told apart to 2^−24 of the clock: to that, each step is an exact increment."""


class Brownian(Generator):
    """A `Generator` whose normal numbers within a step of sampling are increments of Brownian motions.

    seed, first, device: as for `Generator`, whose numbers it deals outside of steps. horizon, t_min: T and t_min.
    Raises DifrunError, when numbers are drawn, for a sampler whose noise is no increment over its step: one that draws
    twice in a step, or numbers that are not normal; and for a step too short to be told from none.
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
        self._path: list[tuple[int, int, Tensor, Tensor]] = []

    def enter(self, start: float, end: float) -> None:
        self._step, self._drawn = (self._place(start), self._place(end)), False

    def leave(self) -> None:
        self._step = None

    def normal(self, like: Tensor) -> Tensor:
        if self._step is None or like.is_meta or like.numel() == 0:
            return super().normal(like)
        if self._drawn:
            raise DifrunError(
                "this sampler draws noise more than once in a step, so that its noise is no increment of a Brownian "
                "motion. Draw with --noise fresh, or take another sampler, such as ancestral."
            )
        self._drawn = True
        start, end = self._step
        if start >= end:
            raise DifrunError(
                "Brownian noise: two times of the grid are too close to be told apart. Take fewer steps, or "
                "another grid."
            )
        increment = self._at(end, like) - self._at(start, like)
        return increment * math.sqrt(2.0**DEPTH / (end - start))

    def uniform(self, like: Tensor) -> Tensor:
        if self._step is not None:
            raise DifrunError(
                "this sampler draws uniform numbers, which are no increments of a Brownian motion. Draw with "
                "--noise fresh."
            )
        return super().uniform(like)

    def _place(self, t: float) -> int:
        """The clock at t, in units of 2^−DEPTH."""
        u = 1 - math.log1p(t / self.t_min) / math.log1p(self.horizon / self.t_min)
        return min(2**DEPTH, max(0, round(u * 2**DEPTH)))

    def _at(self, place: int, like: Tensor) -> Tensor:
        """B at a place, by going down the tree from the interval of the last question that contains it."""
        if not self._path or self._path[0][2].shape != like.shape or self._path[0][2].dtype != like.dtype:
            whole = 2**DEPTH
            self._path = [(0, whole, torch.zeros_like(like), self._drawn_at(whole, like))]
        while not self._path[-1][0] <= place <= self._path[-1][1]:
            self._path.pop()
        left, right, low, high = self._path[-1]
        while left < place < right:
            middle = (left + right) // 2
            spread = 0.5 * math.sqrt((right - left) / 2**DEPTH)
            value = torch.add(0.5 * (low + high), self._drawn_at(middle, like), alpha=spread)
            left, right, low, high = (
                (left, middle, low, value) if place <= middle else (middle, right, value, high)
            )
            self._path.append((left, right, low, high))
        return low if place == left else high

    def _drawn_at(self, place: int, like: Tensor) -> Tensor:
        """N(0, 1) of the shape of `like` for a place of the tree; row i belongs to sample first + i."""
        n, *shape = like.shape
        size = lane_size(like[:1].numel())
        lanes = range(self.first // size, (self.first + n - 1) // size + 1)
        blocks = [
            torch.randn(
                (size, *shape),
                generator=torch_generator(self.seed, "brownian", size, lane, place, device=self.device),
                dtype=like.dtype,
                device=self.device,
            )
            for lane in lanes
        ]
        skip = self.first - lanes.start * size
        return torch.cat(blocks)[skip : skip + n].to(like.device)
