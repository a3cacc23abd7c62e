"""The process of the plugin: noise of standard deviation t."""

import torch
from torch import Tensor
from typing_extensions import override

from difrun.process import GaussianProcess
from difrun_edm.options import EDMOptions


class EDM(GaussianProcess, EDMOptions):
    r"""The variance-exploding process whose time is its noise level, dX = √(2t) dW.

        α(t) = 1,    σ(t) = t,    t in [σ_min, σ_max].

    σ_max is the horizon T, and σ_min is `noise_floor`.

    References:
        Karras et al. (2022), arXiv 2206.00364, table 1, column EDM.
    """

    @property
    @override
    def horizon(self) -> float:  # type: ignore[override]
        return self.sigma_max

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    @override
    def variance(self, t: Tensor) -> Tensor:
        return t**2

    @override
    def _time_at(self, target: Tensor) -> Tensor:
        return target.neg().exp().clamp(max=self.horizon)  # t = e^−λ
