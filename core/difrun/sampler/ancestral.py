"""Ancestral sampling, for every process with a bridge."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from difrun.model.base import ScoreModel
from difrun.randomness.generator import Generator
from difrun.sampler.base import Sampler


class Ancestral(Sampler):
    r"""Ancestral sampling: x_s ~ q(x_s | x_t, x_0 = x̂_0), the bridge with the posterior mean in place of the data.

    For Gaussian processes this is DDPM with the smaller of its two variances. As x̂_0 ignores the variance of x_0 given
    x_t, the samples are under-dispersed at long steps; a `rho` or `logsnr` grid keeps that small. Weak order 1, one
    network evaluation per step.

    References:
        Ho et al. (2020), arXiv 2006.11239, eq. 6–7.
    """

    order = 1
    stochastic = True

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        return model.process.bridge(x, model.predict(x, at, "x0"), at, to).sample(generator), None
