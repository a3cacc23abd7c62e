"""Processes of the plugin with options, and exact distributions of what samplers make on them."""

from functools import cache

import torch

from difrun.data import GaussianMixture
from difrun.grid import rho
from difrun.model import ExactMixture
from difrun.sampler import integrate
from difrun.testing import ReferenceFlow, affine_moments, probability_flow_endpoint, two_gaussians
from difrun_ou.process import OrnsteinUhlenbeck, VarianceExploding, VariancePreserving

PROCESSES = {
    "ou": OrnsteinUhlenbeck(mu=(0.5, -1.0)),
    "ou-short": OrnsteinUhlenbeck(theta=0.5, sigma=0.5, horizon=1.0),
    "vp-linear": VariancePreserving(),
    "vp-cosine": VariancePreserving(schedule="cosine"),
    "ve": VarianceExploding(),
    "straight": ReferenceFlow(),
}
STEPS = (40, 80, 160)
GAUSSIAN = GaussianMixture([1.0], [[1.0, -0.5]], [0.3])


def start(model, n=32):
    return model.process.prior((n, 2), mean=model.mean, var=model.var, generator=0, dtype=torch.float64)


@cache
def endpoint(name):
    model = ExactMixture(two_gaussians(), PROCESSES[name])
    return model, start(model), probability_flow_endpoint(model, start(model))


def sample_moments(sampler, process, steps, noise_draws):
    """Exact mean and variance of samples of one Gaussian: every step is affine in x and in its noise."""
    model = ExactMixture(GAUSSIAN, process)

    def run(generator, n):
        x = process.prior((n, 2), mean=model.mean, var=model.var, generator=generator, dtype=torch.float64)
        return integrate(sampler, model, x, rho(process, steps), generator=generator)

    return affine_moments(run, noise_draws)


def truth(process):
    end = process.at(process.t_min)
    centre = process.centre_like(GAUSSIAN.mean)
    return centre + end.alpha * (GAUSSIAN.mean - centre), end.alpha**2 * 0.3 + end.var
