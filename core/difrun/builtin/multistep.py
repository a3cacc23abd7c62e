r"""Multistep samplers: Adams in the frame of the data's Gaussian, and exponential methods in log-SNR."""

import math
from typing import Any

from torch import Tensor

from difrun.builtin.options import AdamsOptions, ExponentialOptions
from difrun.gaussian_frame import GaussianFrame, gaussian_frame
from difrun.multistep import Frame, Multistep


class LogSNRFrame(Frame):
    r"""The frame of DPM-Solver++ (Lu et al., 2022, arXiv 2211.01095, eq. 8): y = x/σ, dy/dλ = e^λ x̂_0, λ = log(α/σ)."""

    def clock(self, at: Any) -> float:
        return at.lam

    def kernel(self, clocks: Tensor) -> Tensor:
        return clocks.exp()

    def from_infinity(self, clock: float) -> float:
        return math.exp(clock)

    def enter(self, x: Tensor, at: Any) -> Tensor:
        return x / at.sigma

    def leave(self, y: Tensor, at: Any) -> Tensor:
        return y * at.sigma

    def slope(self, x: Tensor, at: Any) -> Tensor:
        return self.model.predict(x, at, "x0")


class Adams(AdamsOptions, Multistep):
    r"""Adams predictor–corrector in the frame of the data's Gaussian (`difrun.gaussian_frame`): the default sampler.

    Polynomials in φ through the last slopes give Adams–Bashforth predictors and, when the slope at the new node is
    known, Adams–Moulton correctors, on any grid. One network evaluation per step.

    `order` is that of the corrected method, the predictor's plus 1. By default it grows with the number of steps n, as
    high orders pay on fine grids only: 1, not corrected, for n < 5; 2 for n < 7; 3 for n < 13; 4 for n < 50; 5 from
    there on. Exact scores bear one order more at 5 and 6 steps and from 24 on; networks that are rough do not.
    """

    @property
    def order(self) -> int:  # type: ignore[override]
        return 5 if self.fixed_order is None else self.fixed_order

    def frame(self, model: Any) -> GaussianFrame:
        return gaussian_frame(model)

    def scheme(self, steps: int) -> tuple[int, bool]:
        if self.fixed_order is not None:
            return max(1, self.fixed_order - 1), self.fixed_order > 1
        if steps < 7:
            return 1, steps >= 5
        return (2 if steps < 13 else 3 if steps < 50 else 4), True


class Exponential(ExponentialOptions, Multistep):
    r"""Exponential multistep method in log-SNR (`LogSNRFrame`), of order 1 to 4, with or without corrector.

    Without corrector: order 1 is DDIM, order 2 the two-step method of DPM-Solver++ with its integrals exact; with it,
    UniPC in the data prediction (Zhao et al., 2023, arXiv 2302.04867). One network evaluation per step.
    """

    @property
    def order(self) -> int:  # type: ignore[override]
        return self.predictor_order + self.corrected

    def frame(self, model: Any) -> LogSNRFrame:
        return LogSNRFrame(model)

    def scheme(self, steps: int) -> tuple[int, bool]:
        return self.predictor_order, self.corrected
