"""The simple loss and the variational bound, against closed forms for Gaussian data."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.model import ExactMixture
from difrun.randomness import Generator
from difrun.testing import ReferenceVE, ReferenceVP
from difrun_ddpm.loss import bound_distribution, bound_weight, noise, vlb
from difrun_ddpm.process import DDPM

V = 0.3
GAUSSIAN = GaussianMixture([1.0], [[1.0, -0.5]], [V])
N = 20000
CHAINS = [
    {"steps": 20},
    {"steps": 20, "rescale": True},
    {"steps": 1000},
    {"steps": 50, "schedule": "cosine"},
    {"steps": 2},
]


def data(n=N):
    return GAUSSIAN.sample(n, torch.Generator().manual_seed(0))


def unknown(process, times):
    """Var[x_0 | x_t] per coordinate, V σ²/(α²V + σ²)."""
    instants = process.instants(times)
    return np.array([V * at.var / (at.alpha**2 * V + at.var) for at in instants])


def kl_sum(process):
    """Σ_{n≥2} E KL(q(x_{n−1} | x_n, x_0) ‖ p_θ) per coordinate, for the exact model.

    By the chain rule of mutual information, without SNR weights: each term is I(x_0; x_{n−1} | x_n), which telescopes,
    and KL(q(x_{n−1} | x_n) ‖ p_θ(x_{n−1} | x_n)), of two normal distributions with one mean.
    """
    betas = process.variances.numpy()
    bar = np.cumprod(1 - betas)
    information = 0.5 * np.log1p(bar * V / (1 - bar))
    total = information[0] - information[-1]
    for n in range(1, len(bar)):
        before, after = bar[n - 1] * V + 1 - bar[n - 1], bar[n] * V + 1 - bar[n]
        true = before - (1 - betas[n]) * before**2 / after
        model = betas[n] * (1 - bar[n - 1]) / (1 - bar[n])
        total += 0.5 * (true / model - 1 - math.log(true / model))
    return total


@pytest.mark.parametrize("options", CHAINS, ids=str)
def test_the_bound_is_the_sum_of_its_divergences(options):
    """Σ_n p_n w_n E‖ε̂ − ε‖² with the loss's own distribution and weights is Σ_n KL in closed form, to 1e-8."""
    process = DDPM(**options)
    n = torch.arange(2, process.steps + 1, dtype=torch.float64)
    lam, p = process.log_snrs, bound_distribution(process)
    assert p.sum().item() == pytest.approx(1, rel=1e-12)
    weights = bound_weight(process.at(n), 1.0)
    snr = np.exp(2 * lam[2:].numpy())
    total = (p * weights).numpy() @ (snr * unknown(process, n.tolist()))
    assert total == pytest.approx(kl_sum(process), rel=1e-8)


@pytest.mark.parametrize("options", CHAINS, ids=str)
def test_drawn_terms_are_unbiased(options):
    """The mean of 20 000 drawn losses is the sum, within 5 standard errors, which are below 2 % of it."""
    process = DDPM(**options)
    losses = vlb()(ExactMixture(GAUSSIAN, process), data(), Generator(1))
    error = losses.std().item() / N**0.5
    assert error < 0.02 * kl_sum(process)
    assert losses.mean().item() == pytest.approx(kl_sum(process), abs=5 * error)


@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE()], ids=["vp", "ve"])
def test_in_continuous_time_it_is_the_integral(process):
    """∫ SNR Var[x_0 | x_t] dλ over the λ of the process, by quadrature, within 5 standard errors.

    Which is also the closed form I(x_0; x_{t_min}) − I(x_0; x_T), to 1e-9: a chain of infinitely many steps is exact.
    """
    low, high = process.lam_range
    value, _ = integrate.quad(lambda lam: V / (V + math.exp(-2 * lam)), low, high, epsabs=1e-12)
    information = [0.5 * math.log1p(V * math.exp(2 * lam)) for lam in (low, high)]
    assert value == pytest.approx(information[1] - information[0], rel=1e-9)
    losses = vlb()(ExactMixture(GAUSSIAN, process), data(), Generator(1))
    assert losses.mean().item() == pytest.approx(value, abs=5 * losses.std().item() / N**0.5)


def test_longer_chains_near_the_continuous_bound():
    """β = B/N for all n: the bound of the chain falls to the integral over its λ, the gap halving as N doubles."""
    gaps = []
    for steps in (200, 400, 800):
        process = DDPM(steps=steps, beta_start=4 / steps, beta_end=4 / steps)
        snr = np.exp(2 * process.log_snrs[[1, -1]].numpy())
        # Compared from the same first time, t/N = 1/200, on.
        first = steps // 200
        lam = process.log_snrs.numpy()
        terms = 0.5 * -np.diff(np.exp(2 * lam[first:])) * unknown(process, range(first + 1, steps + 1))
        exact = 0.5 * math.log1p(V * math.exp(2 * lam[first])) - 0.5 * math.log1p(V * snr[1])
        gaps.append(terms.sum() - exact)
    assert gaps[0] > gaps[1] > gaps[2] > 0
    assert gaps[1] / gaps[2] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("options", CHAINS, ids=str)
def test_the_bound_draws_each_step_with_its_probability(options):
    """n = 2 ... N with p_n ∝ h_n + ½(SNR_{n−1} − SNR_n)/(1 + SNR_n), each p_n·20 000 times to ±5 (low discrepancy)."""
    process = DDPM(**options)
    drawn = vlb().draw(ExactMixture(GAUSSIAN, process), data(), Generator(2))["t"].numpy()
    assert (drawn == drawn.astype(int)).all()
    lam = process.log_snrs[1:].numpy()
    snr = np.exp(2 * lam)
    share = lam[:-1] - lam[1:] + 0.5 * (snr[:-1] - snr[1:]) / (1 + snr[1:])
    counts = np.bincount(drawn.astype(int), minlength=process.steps + 1)
    assert counts[:2].sum() == 0
    assert len(counts) == process.steps + 1
    assert np.abs(counts[2:] - N * share / share.sum()).max() <= 5


@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_simple_times_are_the_integers_of_the_chain(steps):
    """n = 1 ... N, each N_examples/N times to ±2 (the draw is of low discrepancy), ends included."""
    process = DDPM(steps=steps, beta_start=0.01)
    drawn = noise().draw(ExactMixture(GAUSSIAN, process), data(), Generator(2))["t"].numpy()
    counts = np.bincount(drawn.astype(int), minlength=steps + 1)
    assert (drawn == drawn.astype(int)).all()
    assert counts[0] == 0
    assert len(counts) == steps + 1
    assert np.abs(counts[1:] - N / steps).max() <= 2


def test_the_simple_loss_of_the_exact_model():
    """mean over n of α²V/(α²V + σ²), the part of the noise that x_n does not tell, within 5 standard errors."""
    process = DDPM(steps=50, rescale=True)
    losses = noise()(ExactMixture(GAUSSIAN, process), data(), Generator(1))
    n = range(1, 51)
    snr = np.exp(2 * process.log_snrs[1:].numpy())
    expected = (snr * unknown(process, n)).mean()
    assert losses.mean().item() == pytest.approx(expected, abs=5 * losses.std().item() / N**0.5)


def test_uniform_times_off_the_chain_and_log_snr_times_on_it():
    """Uniform on [t_min, T] off the chain; `log-snr` uniform in λ on it: Kolmogorov–Smirnov with p above 1e-6."""
    process = ReferenceVP()
    t = noise().draw(ExactMixture(GAUSSIAN, process), data(), Generator(2))["t"]
    assert stats.kstest(t.numpy(), stats.uniform(process.t_min, 4 - process.t_min).cdf).pvalue > 1e-6
    chain = DDPM()
    low, high = chain.lam_range
    t = noise(times="log-snr").draw(ExactMixture(GAUSSIAN, chain), data(), Generator(2))["t"]
    assert stats.kstest(chain.log_snr(t).numpy(), stats.uniform(low, high - low).cdf).pvalue > 1e-6


def test_a_chain_of_one_step_has_no_bound():
    with pytest.raises(DifrunError, match="at least 2 steps"):
        vlb()(ExactMixture(GAUSSIAN, DDPM(steps=1)), data(4), Generator(1))


def test_unknown_times_are_refused():
    with pytest.raises(ValueError, match=r"'times' must be in \('uniform', 'log-snr'\) \(got 'foo'\)"):
        noise(times="foo")
