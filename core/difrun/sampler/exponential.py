"""TODO."""

import math
from typing import Any

from torch import Tensor

from difrun.builtin.options import ExponentialOptions
from difrun.sampler.multistep import Frame, Multistep


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
