"""Samples against the exact posterior: every sampler on every process, and how near each method comes on mixtures."""

import numpy as np
import pytest
import torch

from difrun.data import GaussianMixture
from difrun.grid import logsnr, rho
from difrun.metric.distances import sliced_w2
from difrun.model import ExactMixture
from difrun.sampler import Adams, Adaptive, Ancestral, Euler, Heun, generate
from difrun.sampler.tuning import pilot
from difrun_guidance.measurements.exact_posterior import Exact
from difrun_guidance.measurements.methods import LinearDPS, LinearMMPS, LinearPiGDM

from .problems import (
    EDM,
    NAMES,
    PROCESSES,
    context,
    normal,
    problem,
    seeded,
)

SAMPLERS = {
    "heun": (Heun, lambda model: rho(model.process, 18)),
    "ancestral": (Ancestral, lambda model: rho(model.process, 120)),
    "ddim": (Euler, lambda model: logsnr(model.process, 120)),
    "adams": (Adams, lambda model: pilot(model, 16)),
    "adaptive": (Adaptive, lambda model: [model.process.horizon, model.process.t_min]),
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("process", PROCESSES, ids=NAMES)
def test_every_sampler_draws_the_posterior_of_gaussian_data(process, name):
    """MMPS in float32, 400 samples: z = L⁻¹(x − m) of the exact posterior N(m, L Lᵀ) has mean 0 and covariance 1.

    Five standard errors, 1/√400 of a mean and √2 times that of a variance, and 0.1 for the steps. The misfit is that
    of exact draws.
    """
    distribution, options = problem(4, 1, 2, 0.2, seed=2)
    model = ExactMixture(distribution, process)
    exact = Exact(model, context=context(distribution=distribution), **options).exact.mixture
    method = LinearMMPS(model, **options, iterations=3)
    sampler, grid = SAMPLERS[name]
    samples = generate(sampler(), method, 400, grid(method))
    assert samples.dtype == torch.float32
    z = torch.linalg.solve_triangular(
        torch.linalg.cholesky(exact.covs[0]), (samples.double() - exact.means[0]).T, upper=False
    )
    bound = 5 / 400**0.5 + 0.1
    assert z.mean(1).abs().max() < bound
    assert (z.cov() - torch.eye(4)).abs().max() < 2**0.5 * bound
    wanted = method.misfit(exact.sample(20_000, seeded(0))).mean().item()
    assert method.misfit(samples).mean().item() == pytest.approx(wanted, abs=0.25)


@pytest.mark.parametrize("method", [LinearPiGDM, LinearDPS])
@pytest.mark.parametrize("process", PROCESSES, ids=NAMES)
def test_the_other_methods_run_on_every_process(process, method):
    """On Gaussian data with the default sampler and with noise: nearer to y than the prior by far, misfit below 3."""
    distribution, options = problem(4, 1, 2, 0.2, seed=2)
    guided = method(ExactMixture(distribution, process), **options)
    unguided = guided.misfit(distribution.sample(2000, seeded(1))).mean().item()
    for sampler, times in ((Ancestral(), rho(process, 60)), (Adams(), pilot(guided, 20))):
        misfit = guided.misfit(generate(sampler, guided, 100, times)).mean().item()
        assert misfit < 3 < unguided / 5, (type(sampler).__name__, misfit, unguided)


class AsPublished(Ancestral):
    """Algorithm 1 of Chung et al. (2023): ζ ∇‖y − A x̂_0(x)‖ is subtracted after the ancestral step from x."""

    def __init__(self, method, zeta):
        self.method, self.zeta = method, zeta

    def step(self, model, x, at, to, state, generator):
        with torch.enable_grad():
            start = x.detach().requires_grad_()
            norm = self.method.residual_of(model.predict(start, at, "x0")).norm(dim=1).sum()
            (slope,) = torch.autograd.grad(norm, start)
        moved, state = super().step(model, x, at, to, state, generator)
        return moved - self.zeta * slope, state


@pytest.fixture(scope="module")
def distances():
    """Sliced W2 of 200 samples of each method to the exact posterior, on 5 mixtures: d = 8, K = 6, m = 3, σ_y = 0.2."""
    process, found, misfits = EDM(), {}, {}
    for k in range(5):
        distribution, options = problem(8, 6, 3, 0.2, seed=100 * k)
        model = ExactMixture(distribution, process)
        exact = Exact(model, context=context(distribution=distribution), **options)
        reference = exact.exact.mixture.sample(200, seeded(1))
        ancestral, few, many = Ancestral(), rho(process, 40), rho(process, 80)
        runs = {
            "exact": (ancestral, exact, few),
            "mmps": (ancestral, LinearMMPS(model, **options), few),
            "pigdm": (ancestral, LinearPiGDM(model, **options), few),
            "dps": (ancestral, LinearDPS(model, **options), few),
            "dps as published": (AsPublished(exact, 0.3), model, many),
        }
        samples = {name: generate(*run[:2], 200, run[2]).double() for name, run in runs.items()}
        samples["floor"] = exact.exact.mixture.sample(200, seeded(2))
        for name, x in samples.items():
            distance = sliced_w2(x, reference, generator=seeded(0))["sliced-w2"]
            found.setdefault(name, []).append(distance)
            misfits.setdefault(name, []).append(exact.misfit(x).mean().item())
    return {name: np.array(values) for name, values in found.items()}, misfits


@pytest.mark.parametrize(
    ("nearer", "farther"),
    [("exact", "mmps"), ("mmps", "pigdm"), ("pigdm", "dps as published"), ("dps", "dps as published")],
)
def test_methods_come_near_in_their_order(distances, nearer, farther):
    """The mean over the problems of the difference is above two of its standard errors."""
    difference = distances[0][farther] - distances[0][nearer]
    assert difference.mean() > 2 * difference.std(ddof=1) / len(difference) ** 0.5, difference


def test_the_exact_score_reaches_its_floor(distances):
    """As far from exact draws as other exact draws are: within three standard errors, and 0.02 for 40 steps."""
    difference = distances[0]["exact"] - distances[0]["floor"]
    error = difference.std(ddof=1) / len(difference) ** 0.5
    assert abs(difference.mean()) < 3 * error + 0.02, difference


@pytest.mark.parametrize(
    ("name", "low", "high"), [("floor", 0.8, 1.1), ("exact", 0.7, 1.1), ("mmps", 0.7, 1.5)]
)
def test_residuals_are_at_their_level(distances, name, low, high):
    """mean((y − A x)²)/σ_y², the median of the problems: exact draws 0.9 to 1; MMPS as good."""
    assert low < np.median(distances[1][name]) < high, distances[1]


def test_what_is_not_seen_follows_from_what_is():
    """Two halves that are equal but for noise 0.1: the left seen, the right is drawn within √(0.1² + 0.05²) of y."""
    half = normal(2000, 3, seed=1)
    x = torch.cat([half, half + 0.1 * normal(2000, 3, seed=2)], dim=1)
    distribution = GaussianMixture([1.0], x.mean(0)[None], x.T.cov()[None])
    y = torch.tensor([0.5, -1.0, 0.2])
    method = LinearMMPS(ExactMixture(distribution, EDM()), y=y, seen="left", sigma_y=0.05, iterations=6)
    samples = generate(Heun(), method, 400, rho(EDM(), 18))
    error = (samples[:, 3:] - y).square().mean().sqrt().item()
    assert error == pytest.approx((0.1**2 + 0.05**2) ** 0.5, rel=0.1)
