"""Rules on the likelihoods of processes, with the exact score of the kit's mixture."""

import math
from typing import Any

import torch
from torch import Tensor

from difrun.analysis.likelihood import log_likelihood
from difrun.analysis.lower_bound import elbo
from difrun.model.exact import ExactMixture
from difrun.model.predictions import PARAMETERISATIONS, coefficients, conversion
from difrun.testing.references import two_gaussians
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import ensure

GAUSSIAN = {"gaussian"}
EPS = 2.0**-24
"""Rounding of float32."""


def exact(subject: ComponentUnderTest, n: int) -> tuple[ExactMixture, Tensor, Any]:
    """The exact model of the kit's mixture, n draws of the distribution noised to t_min, and that instant."""
    process = subject.make()
    distribution = two_gaussians()
    x = process.sample(distribution.sample(n, torch.Generator().manual_seed(1)), process.t_min, 2)
    return ExactMixture(distribution, process), x, process.at(process.t_min)


@check("process", provides=GAUSSIAN)
def has_the_likelihood_of_the_distribution(subject: ComponentUnderTest) -> None:
    """With the exact score, the probability flow gives log p of the noised distribution.

    The error in 100 steps from the exact p_T is below 1e-4 nats on average over 64 points, and below 5e-3 at each.
    """
    model, x, at = exact(subject, 64)
    end = model.process.at(model.process.horizon)
    estimate = log_likelihood(model, x, prior=lambda x: model.log_prob(x, end))
    error = (estimate.nats - model.log_prob(x, at)).abs()
    ensure(error.mean() < 1e-4, f"log p is off by {error.mean():.3g} nats on average", "0 ± 1e-4")
    ensure(error.max() < 5e-3, f"log p is off by {error.max():.3g} nats at one of 64 points", "0 ± 0.005")


@check("process", provides=GAUSSIAN)
def bounds_the_likelihood_without_a_gap(subject: ComponentUnderTest) -> None:
    """With the exact score the ELBO of the distribution noised to t_min is its mean log p, less KL(p_T ‖ prior).

    They agree to 5 standard errors of the difference over 1000 examples, each of which is below 0.05 nats.
    """
    model, _, at = exact(subject, 1)
    process, n = model.process, 1000
    x0 = two_gaussians().sample(n, torch.Generator().manual_seed(3))
    estimate = elbo(model, x0)
    noised, end = process.sample(x0, process.t_min, 4), process.sample(x0, process.horizon, 5)
    location, scale = process.prior_moments(end, mean=model.mean, var=model.var)
    prior = -0.5 * (((end - location) / scale).square() + (2 * math.pi * scale**2).log()).sum(1)
    kl = model.log_prob(end, process.at(process.horizon)) - prior
    bound = estimate.prior + estimate.diffusion + math.log(2 * math.pi * math.e * at.var)
    gap = bound + model.log_prob(noised, at) - kl
    error = gap.std() / n**0.5
    ensure(error < 0.05, f"the standard error of the gap is {error:.3g} nats", "less than 0.05")
    ensure(gap.mean().abs() < 5 * error, f"a gap of {gap.mean():.4g} nats", f"0 ± {5 * error:.2g}")


@check("process", provides=GAUSSIAN)
def means_the_same_by_every_parameterisation(subject: ComponentUnderTest) -> None:
    """A float32 network that outputs exactly what it predicts gives the same x̂_0 and ε̂ for every parameterisation.

    They agree at both ends of time, to 32 roundings of the terms that are added. x̂_0 from the noise alone is not
    checked where nothing of the data is left.
    """
    model, _, _ = exact(subject, 1)
    process = model.process
    mean, var = model.mean.float(), model.var.float()
    x0 = two_gaussians().sample(8, torch.Generator().manual_seed(6)).float()
    for t in (process.t_min, 0.999 * process.horizon):
        at = process.at(t)
        x = process.sample(x0, t, 7)
        clean, noise = (model.predict(x.double(), at, kind) for kind in ("x0", "noise"))
        centre = process.centre_like(clean)
        for predicts in PARAMETERISATIONS:
            output = torch.zeros_like(x)
            denoiser = process.denoiser(
                lambda *_, output=output: output, shape=(2,), mean=mean, var=var, predicts=predicts
            )
            a, b = coefficients(predicts, at, denoiser.data_std)
            output.copy_(a * (clean - model.mean) + b * noise)
            for kind, expected in (("x0", clean), ("noise", noise)):
                if kind == "x0" and a == 0 and process.forgets and at.lam < process.lam_range[0]:
                    continue
                p, q = conversion(at, predicts, kind, denoiser.data_std)
                shift = at.alpha * (model.mean - centre).abs() + mean.abs()
                size = abs(p) * (x.double().abs() + shift) + abs(q) * output.abs() + expected.abs() + shift
                error = (denoiser.predict(x, at, kind).double() - expected).abs()
                roundings = (error / size).max().item() / EPS
                what = f"{kind} of a network that predicts {predicts} at t = {t:.6g}"
                ensure(roundings <= 32, f"{what} is off by {roundings:.3g} roundings of its terms", "0 ± 32")
