"""Rules for Gaussian processes: the distributions of their draws, tested with stated error bars."""

from collections.abc import Callable

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from difrun.data.mixture import GaussianMixture
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator
from difrun.testing.checks.process import spread_times
from difrun.testing.references import two_gaussians
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import ensure, ensure_close

GAUSSIAN = {"gaussian"}
N = 20000
P_VALUE = 1e-6
"""About 5 standard errors, two-sided."""


def standardised(process: GaussianProcess, x: Tensor, x0: Tensor, t: float) -> Tensor:
    """The noise ε in x = μ + α(x_0 − μ) + σε."""
    at = process.at(t)
    centre = process.centre_like(x)
    return (x - centre - at.alpha * (x0 - centre)) / at.sigma


def ensure_standard_normal(z: Tensor, what: str) -> None:
    """Ensure with a Kolmogorov–Smirnov test that all numbers are draws of N(0, 1)."""
    numbers = z.double().numpy().reshape(-1)
    p = stats.kstest(numbers, "norm").pvalue
    ensure(
        p > P_VALUE,
        f"{what}, centred and over its standard deviation, has mean {numbers.mean():.4g} and standard deviation "
        f"{numbers.std():.4g}; Kolmogorov–Smirnov against N(0, 1): p = {p:.2g}",
        f"draws of N(0, 1): p > {P_VALUE:g}",
    )


def ensure_independent(z: Tensor, what: str) -> None:
    """Ensure that standard normal numbers (n, 2) have no correlation: of the columns, and of neighbouring rows."""
    bar = 5 / len(z) ** 0.5
    for where, first, second in (
        ("the two coordinates", z[:, 0], z[:, 1]),
        ("neighbouring rows", z[1:, 0], z[:-1, 0]),
    ):
        seen = float((first * second).mean())
        ensure(abs(seen) <= bar, f"{what} of {where} has the correlation {seen:.3g}", f"0 ± {bar:.2g}")


@check("process", provides=GAUSSIAN)
def draws_another_number_for_each(subject: ComponentUnderTest) -> None:
    """Sample, path, prior and bridge have noise of their own in every row and coordinate, whatever the rows beside it.

    Correlations of 10 000 draws are 0 within 5 standard errors; 3 rows drawn alone are the first 3 of many.
    """
    process = subject.make()
    late, early = 0.5 * process.horizon, 0.25 * process.horizon
    x0 = torch.linspace(-1, 1, N, dtype=torch.float64).reshape(-1, 2)
    at, to = process.centred().instants([late, early])
    one = torch.ones_like(x0)
    draws: dict[str, Callable[[Tensor], Tensor]] = {
        "sample": lambda x: process.sample(x, late, 1),
        "path": lambda x: process.path(x, [early, late], 1)[-1],
        "prior": lambda x: process.prior(tuple(x.shape), mean=0.0, var=1.0, generator=1, dtype=x.dtype),
        "bridge": lambda x: process.centred().bridge(x, x, at, to).sample(Generator(1)),
    }
    for name, draw in draws.items():
        z = draw(one)
        z = (z - z.mean(0)) / z.std(0).clamp_min(1e-300)
        ensure_independent(z, f"the noise of {name}")
        ensure_close(
            draw(x0[:3]), draw(x0)[:3], f"{name} of 3 rows, against 3 of many", rtol=1e-9, atol=1e-12
        )


@check("process", provides=GAUSSIAN)
def samples_follow_the_marginals(subject: ComponentUnderTest) -> None:
    """(x_t − μ − α(x_0 − μ))/σ is N(0, 1): Kolmogorov–Smirnov with 20 000 draws, at one time and at one per example."""
    process = subject.make()
    x0 = torch.linspace(-2, 2, N, dtype=torch.float64)[:, None]
    times = spread_times(process, 4)
    for k, t in enumerate(times):
        ensure_standard_normal(standardised(process, process.sample(x0, t, k), x0, t), f"x_t at t = {t:.6g}")
    each = torch.tensor(times, dtype=torch.float64).repeat(N // 4)
    together = process.sample(x0, each, 7)
    for k, t in enumerate(times):
        alone = process.sample(x0, t, 7)[k::4]
        ensure_close(
            together[k::4], alone, f"a sample at t = {t:.6g} among other times", rtol=1e-12, atol=1e-12
        )


@check("process", provides=GAUSSIAN)
def paths_have_the_joint_distribution(subject: ComponentUnderTest) -> None:
    """Along a path Cov(x_s, x_t) = (α_t/α_s) Var x_s, within 5 standard errors of 20 000 paths."""
    process = subject.make()
    x0 = 0.8 * torch.from_numpy(np.random.default_rng(1).standard_normal((N, 1))) + 0.5
    times = [0.0, *spread_times(process, 5)[1:]]
    path = process.path(x0, times, 3)[:, :, 0]
    instants = process.instants(times)
    for k in range(1, len(times)):
        residual = standardised(process, path[k][:, None], x0, times[k])
        ensure_standard_normal(residual, f"the path at t = {times[k]:.6g}")
    var = [at.alpha**2 * 0.64 + at.var for at in instants]
    seen = torch.cov(path)
    for s in range(len(times)):
        for t in range(s, len(times)):
            true = (instants[t].alpha / instants[s].alpha if t > s else 1.0) * var[s]
            error = ((var[s] * var[t] + true**2) / N) ** 0.5
            what = f"Cov(x_s, x_t) for s = {times[s]:.4g} and t = {times[t]:.4g}"
            ensure_close(seen[s, t].item(), true, what, atol=5 * error)


@check("process", provides=GAUSSIAN)
def prior_matches_the_noised_data(subject: ComponentUnderTest) -> None:
    """The prior is N(μ + α_T(m − μ), α_T² v + σ_T²), and has the mean and variance of data simulated up to T."""
    process = subject.make()
    mixture = two_gaussians()
    at = process.at(process.horizon)
    prior = process.prior((N, 2), mean=mixture.mean, var=mixture.var, generator=5, dtype=torch.float64)
    centre = process.centre_like(prior)
    std = (at.alpha**2 * mixture.var + at.var).sqrt()
    ensure_standard_normal((prior - centre - at.alpha * (mixture.mean - centre)) / std, "prior")
    data = mixture.sample(N, torch.Generator().manual_seed(6))
    noised = process.sample(data, process.horizon, 7)
    error = 5 * std * (2 / N) ** 0.5
    ensure_close(prior.mean(0) / error, noised.mean(0) / error, "mean of the prior, in error bars,", atol=1)
    fourth = (noised - noised.mean(0)).pow(4).mean(0)
    error = 5 * ((fourth - std**4) / N + 2 * std**4 / N).sqrt()
    ensure_close(prior.var(0) / error, noised.var(0) / error, "variance of the prior, in error bars,", atol=1)


@check("process", provides=GAUSSIAN)
def prior_has_the_moments_of_the_data(subject: ComponentUnderTest) -> None:
    """For data of mean m and variance v the prior at t is N(μ + α(m − μ), α² v + σ²): Kolmogorov–Smirnov, 20 000 draws.

    m and v are large enough to be seen beside the noise: α m and α² v are comparable with σ and σ².
    """
    process = subject.make()
    for t in (spread_times(process, 3)[1], process.horizon):
        at = process.at(t)
        ratio = at.sigma / at.alpha if at.alpha > 0 else 1.0
        mean = ratio * torch.tensor([1.0, -2.0], dtype=torch.float64)
        var = ratio**2 * torch.tensor([3.0, 0.5], dtype=torch.float64)
        x = process.prior((N, 2), mean=mean, var=var, t=t, generator=5, dtype=torch.float64)
        centre = process.centre_like(x)
        z = (x - centre - at.alpha * (mean - centre)) / (at.alpha**2 * var + at.var).sqrt()
        ensure_standard_normal(z, f"the prior at t = {t:.6g}")


@check("process", provides=GAUSSIAN)
def density_is_that_of_the_noised_data(subject: ComponentUnderTest) -> None:
    """p_t has integral 1 on the line, to 1e-6; in the plane it is the mean of its kernels, to 1e-9 (float32: 1 %)."""
    process = subject.make()
    data = torch.tensor([[-1.3], [0.2], [0.25], [2.0]], dtype=torch.float64)
    plane = two_gaussians().sample(60, torch.Generator().manual_seed(2))
    for t in spread_times(process, 4):
        at = process.at(t)
        centre = process.centre_like(data)
        means = centre + at.alpha * (data - centre)
        points = torch.linspace(
            float(means.min() - 9 * at.sigma), float(means.max() + 9 * at.sigma), 20001
        ).double()
        total = torch.trapezoid(process.density(points[:, None], data, t), points).item()
        ensure_close(total, 1.0, f"the integral of the density at t = {t:.6g}", atol=1e-6)
        kernels = centre + at.alpha * (plane - centre)
        equal = torch.full((60,), 1 / 60, dtype=torch.float64)
        truth = GaussianMixture(equal, kernels, torch.full_like(equal, at.var))
        near = process.sample(plane, t, 3).float()
        exact = truth.log_prob(near.double()).exp()
        ensure_close(process.density(near.double(), plane, t), exact, f"p_t at t = {t:.6g}", rtol=1e-9)
        single = process.density(near, plane, t).double()
        ensure_close(single, exact, f"p_t in float32 at t = {t:.6g}", rtol=1e-2)
