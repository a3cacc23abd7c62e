"""Exponential multistep methods in log-SNR."""

import math
from typing import Any

from torch import Tensor
from typing_extensions import override

from difrun.builtin.options import ExponentialOptions
from difrun.model.base import ScoreModel
from difrun.sampler.multistep import Frame, Multistep


class LogSNRFrame(Frame):
    r"""The frame of DPM-Solver++: y = x/σ, dy/dλ = e^λ x̂_0, with λ = log(α/σ).

    References:
        Lu et al. (2022), arXiv 2211.01095, eq. 8.
    """

    @override
    def clock(self, at: Any) -> float:
        return at.lam

    @override
    def kernel(self, clocks: Tensor) -> Tensor:
        return clocks.exp()

    @override
    def from_infinity(self, clock: float) -> float:
        return math.exp(clock)

    @override
    def enter(self, x: Tensor, at: Any) -> Tensor:
        return x / at.sigma

    @override
    def leave(self, y: Tensor, at: Any) -> Tensor:
        return y * at.sigma

    @override
    def slope(self, x: Tensor, at: Any) -> Tensor:
        return self.model.predict(x, at, "x0")


class Exponential(ExponentialOptions, Multistep):
    r"""Exponential multistep method in log-SNR (`LogSNRFrame`), of order 1 to 4, with or without corrector.

    Without corrector, order 1 is DDIM and order 2 is the two-step method of DPM-Solver++ with exact integrals. With
    corrector it is UniPC in the data prediction. One network evaluation per step.

    References:
        Zhao et al. (2023), arXiv 2302.04867.
    """

    @property
    @override
    def order(self) -> int:  # type: ignore[override]
        return self.predictor_order + self.corrected

    @override
    def frame(self, model: ScoreModel) -> LogSNRFrame:
        return LogSNRFrame(model)

    @override
    def scheme(self, steps: int) -> tuple[int, bool]:
        return self.predictor_order, self.corrected
