r"""Hybrid score matching: the target is that of denoising given x_0, and v_0 is integrated out.

References:
    Dockhorn et al. (2022), arXiv 2112.07068, eq. 7–8.
"""

from typing import Any

import torch
from difrun.loss import Loss
from difrun.randomness import Generator
from torch import Tensor
from typing_extensions import override

from difrun_cld.process import root_like


class HybridScoreMatching(Loss):
    r"""E_t E ‖ε̂_v − ε_v‖²/d for u_t = μ_t(x_0) + L ε, with t uniform in (t_min, T).

    As u_t given x_0 is Gaussian, ∇_v log p(u_t | x_0) = −ε_v/L_vv, and by the tower rule the least loss is at the exact
    score. Denoising score matching draws v_0 as well; its target has a larger variance.
    """

    @override
    def draw(
        self, model: Any, x0: Tensor, generator: Generator, noise: Tensor | None = None
    ) -> dict[str, Tensor]:
        process = model.process
        t = process.t_min + (process.horizon - process.t_min) * generator.uniform(x0.new_empty(len(x0)))
        at = process.at(t, x0.ndim)
        xx, vx, vv = root_like(at.cov, x0)
        first = generator.normal(x0) if noise is None else noise
        second = generator.normal(x0)
        states = torch.cat(
            (at.first[0] * x0 + xx * first, at.first[1] * x0 + vx * first + vv * second), dim=1
        )
        return {"u": states, "t": t, "target": second}

    @override
    def evaluate(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        at = model.process.at(examples["t"], examples["u"].ndim)
        error = model.noise(examples["u"], at) - examples["target"]
        return error.flatten(1).square().mean(1)
