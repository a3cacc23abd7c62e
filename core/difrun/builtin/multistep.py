r"""Multistep samplers: Adams in the frame of the data's Gaussian, and exponential methods in log-SNR."""

import math
from typing import Any

import torch
from torch import Tensor

from difrun.builtin.options import AdamsOptions, ExponentialOptions
from difrun.multistep import Frame, Multistep


class GaussianFrame(Frame):
    r"""The frame in which data that are N(m, σ_d² I) need no integration at all.

    With m and σ_d² the mean and the average variance of the data, and S² = α²σ_d² + σ²,

        y = (x − α m)/S,    φ = atan(σ/(α σ_d)),    −dy/dφ = q = [σ (x̂_0 − m)/σ_d − α σ_d ε̂]/S

    is the probability flow of every Gaussian process. q is what a network with the preconditioning of Karras et al.
    (2022, arXiv 2206.00364) puts out; it vanishes for N(m, σ_d² I), and is bounded at both ends. The clock is −φ.
    """

    def __init__(self, model: Any):
        super().__init__(model)
        mean = torch.as_tensor(model.mean)
        # Most data are centred: without m there is a kernel less in each of the three.
        self.mean = None if not mean.is_meta and not mean.any() else mean
        self.std = model.data_std

    def clock(self, at: Any) -> float:
        return -math.atan2(at.sigma, at.alpha * self.std)

    def _total(self, at: Any) -> Any:
        return (at.alpha**2 * self.std**2 + at.var) ** 0.5

    def _plus_mean(self, x: Tensor, factor: Any) -> Tensor:
        """x + factor · m."""
        if self.mean is None:
            return x
        mean = self.mean.to(x)
        return torch.add(x, mean, alpha=factor) if isinstance(factor, float) else x + factor * mean

    def enter(self, x: Tensor, at: Any) -> Tensor:
        return self._plus_mean(x, -at.alpha) / self._total(at)

    def leave(self, y: Tensor, at: Any) -> Tensor:
        return self._plus_mean(self._total(at) * y, at.alpha)

    def slope(self, x: Tensor, at: Any) -> Tensor:
        """q = a x + b x̂_0 + c m = a′ x + b′ ε̂ + c m: each form is well conditioned at its end of time."""
        total, std = self._total(at), self.std
        alone = isinstance(at.lam, float)
        if (at.lam if alone else at.lam.mean()) > 0:  # one time for all
            kind, a, b = "noise", at.sigma / (at.alpha * std * total), -total / (at.alpha * std)
        else:
            kind, a, b = "x0", -at.alpha * std / (at.sigma * total), total / (at.sigma * std)
        carried = (
            self.model.carry(x, at, kind, a, b) if alone else a * x + b * self.model.predict(x, at, kind)
        )
        return self._plus_mean(carried, -at.sigma / (total * std))


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
    r"""Adams predictor–corrector in the frame of the data's Gaussian (`GaussianFrame`): the default sampler.

    Polynomials in φ through the last slopes give Adams–Bashforth predictors and, when the slope at the new node is
    known, Adams–Moulton correctors, on any grid. One network evaluation per step.

    `order` is that of the corrected method, the predictor's plus 1. By default it grows with the number of steps n, as
    high orders pay on fine grids only: 2, not corrected, for n < 7; 3 for n < 13; 4 for n < 25; 5 from there on.
    """

    @property
    def order(self) -> int:  # type: ignore[override]
        return 5 if self.fixed_order is None else self.fixed_order

    def frame(self, model: Any) -> GaussianFrame:
        return GaussianFrame(model)

    def scheme(self, steps: int) -> tuple[int, bool]:
        if self.fixed_order is not None:
            return max(1, self.fixed_order - 1), self.fixed_order > 1
        if steps < 7:
            return 2, False
        return (2 if steps < 13 else 3 if steps < 25 else 4), True


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
