"""The process of the plugin: rectified flow."""

import torch
from torch import Tensor
from typing_extensions import override

from difrun.process import GaussianProcess
from difrun_flow.options import FlowOptions


class RectifiedFlow(GaussianProcess, FlowOptions):
    r"""Rectified flow, x_t = (1 − t) x_0 + t ε for t in [0, 1].

    With α = 1 − t and σ = t it solves dx = f x dt + g dw, where

        f = −1/(1 − t),    g² = 2t/(1 − t),    λ = log((1 − t)/t),

    and its probability flow is dx/dt = E[ε − x_0 | x_t]. At T = 1 nothing of the data is left: α = 0, λ = −∞, and f
    and g² are infinite, while the flow is regular. Beyond 1 the process stays where it is.

    References:
        Liu et al. (2023), arXiv 2209.03003, eq. 1, with time the other way round.
        Lipman et al. (2023), arXiv 2210.02747, example II, with time the other way round.
    """

    horizon = 1.0

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        return torch.log1p(-t.clamp_max(1))

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t.clamp_max(1)

    @override
    def variance(self, t: Tensor) -> Tensor:
        return t.clamp_max(1) ** 2

    @override
    def _time_at(self, target: Tensor) -> Tensor:
        return torch.sigmoid(-target)  # t = 1/(1 + e^λ)
