"""The processes of the plugin against their closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from difrun.data import GaussianMixture
from difrun.data.toy import rings
from difrun.errors import ConfigError, DifrunError
from difrun.grid import cosine, linear, logsnr, rho
from difrun.model import ExactMixture
from difrun.options import build
from difrun.sampler import Ancestral
from difrun.sampler import integrate as integrate_sampler
from difrun.testing.references import UnitNoise, affine_moments
from difrun_ou.euler_maruyama import EulerMaruyama
from difrun_ou.options import OUOptions, PCOptions, ScoreOptions, VEOptions, VPOptions
from difrun_ou.predictor_corrector import PredictorCorrector
from difrun_ou.process import OrnsteinUhlenbeck, VarianceExploding, VariancePreserving

OU = OrnsteinUhlenbeck(theta=0.7, mu=(0.5, -1.0), sigma=1.3, horizon=3.0)
MU = torch.tensor([0.5, -1.0], dtype=torch.float64)
STATIONARY = 1.3**2 / 1.4
"""σ²/(2θ)."""


def path_moments(process, x0, times):
    """Exact mean and covariance of one coordinate along `path`."""
    draws = len(times)
    rows = torch.full((draws + 1, 1), x0, dtype=torch.float64)
    path = process.path(rows, times, UnitNoise(draws))[:, :, 0]
    response = path[:, :-1] - path[:, -1:]
    return path[:, -1], response @ response.T


def test_ou_paths_have_its_covariance():
    """Cov(x_s, x_t | x_0) = σ²/(2θ) (e^−θ|t−s| − e^−θ(t+s)) and E x_t = μ + e^−θt (x_0 − μ), to 1e-14."""
    process = OrnsteinUhlenbeck(theta=0.7, mu=0.5, sigma=1.3, horizon=10.0)
    times = [1e-6, 0.1, 0.9, 3.0, 10.0]
    mean, cov = path_moments(process, 2.0, times)
    for i, s in enumerate(times):
        assert mean[i].item() == pytest.approx(0.5 + math.exp(-0.7 * s) * 1.5, rel=1e-14)
        for j, t in enumerate(times):
            true = STATIONARY * math.exp(-0.7 * abs(t - s)) * -math.expm1(-1.4 * min(s, t))
            assert cov[i, j].item() == pytest.approx(true, rel=1e-9, abs=1e-14)


def test_stationary_ou_has_exponential_autocovariance():
    """Started from N(μ, σ²/(2θ)): Cov(x_s, x_t) = σ²/(2θ) e^−θ|t−s|, within 5 standard errors of 40 000 paths."""
    n, times = 40000, [0.0, 0.4, 1.5, 3.0]
    rng = np.random.default_rng(0)
    x0 = MU.numpy() + STATIONARY**0.5 * rng.standard_normal((n, 2))
    path = OU.path(x0, times, 1)
    assert isinstance(path, np.ndarray)
    for k in range(2):
        seen = np.cov(path[:, :, k])
        for i, s in enumerate(times):
            for j, t in enumerate(times):
                true = STATIONARY * math.exp(-0.7 * abs(t - s))
                error = ((STATIONARY**2 + true**2) / n) ** 0.5
                assert seen[i, j] == pytest.approx(true, abs=5 * error)
    assert stats.kstest((path[-1, :, 1] + 1.0) / STATIONARY**0.5, "norm").pvalue > 1e-6


def test_ou_marginals_are_the_transition_density():
    """x_t | x_0 ~ N(μ + e^−θt (x_0 − μ), σ²/(2θ)(1 − e^−2θt)), exactly, with a mean μ per coordinate."""
    x0 = torch.tensor([1.7, 0.3], dtype=torch.float64)
    for t in (1e-8, 0.3, 3.0):

        def run(generator, n, t=t):
            return OU.sample(x0.expand(n, 2), t, generator)

        mean, var = affine_moments(run, 1)
        torch.testing.assert_close(mean, MU + math.exp(-0.7 * t) * (x0 - MU), rtol=1e-13, atol=1e-13)
        true = -STATIONARY * math.expm1(-1.4 * t)
        torch.testing.assert_close(var, torch.full((2,), true, dtype=torch.float64), rtol=1e-7, atol=0)
        assert OU.at(t).var == pytest.approx(true, rel=1e-13)


def test_ou_coefficients():
    """f = −θ and g² = σ² at all times."""
    for at in OU.instants([1e-9, 0.1, 3.0]):
        assert at.f == pytest.approx(-0.7, rel=1e-12)
        assert at.g2 == pytest.approx(1.69, rel=1e-9)


def test_ou_prior_matches_data_that_are_not_forgotten():
    """θ = σ = ½, T = 1 on rings: 61 % of the signal is left, and the prior is N(e^−½ m, e^−1 v + ¼(1 − e^−1)).

    The noised data have these moments within 5 standard errors; those of N(0, I) are wrong by more than 20.
    """
    process = OrnsteinUhlenbeck(theta=0.5, sigma=0.5, horizon=1.0)
    assert process.at(1.0).alpha == pytest.approx(math.exp(-0.5), rel=1e-14)
    data = rings(seed=0, n=20000).train.double()
    mean, var, n = data.mean(0), data.var(0, correction=0), len(data)
    true_mean = math.exp(-0.5) * mean
    true_var = math.exp(-1) * var + 0.25 * -math.expm1(-1)

    def run(generator, rows):
        return process.prior((rows, 2), mean=mean, var=var, generator=generator, dtype=torch.float64)

    prior_mean, prior_var = affine_moments(run, 1)
    torch.testing.assert_close(prior_mean, true_mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(prior_var, true_var, rtol=1e-12, atol=1e-12)
    noised = process.sample(data, 1.0, 1)
    fourth = (noised - noised.mean(0)).pow(4).mean(0)
    var_error = ((fourth - true_var**2) / n).sqrt()
    assert ((noised.mean(0) - true_mean).abs() < 5 * (true_var / n).sqrt()).all()
    assert ((noised.var(0) - true_var).abs() < 5 * var_error).all()
    assert ((noised.var(0) - 1).abs() > 20 * var_error).all()


@pytest.mark.parametrize("process", [VariancePreserving(), VariancePreserving(beta_min=0.3, beta_max=5.0)])
def test_linear_vp_integrates_its_rate(process):
    """f = −½β(t), g² = β(t) = β_min + (β_max − β_min) t, log α = −½ ∫β by quadrature, α² + σ² = 1."""
    for t in (1e-6, 0.2, 0.7, 1.0):
        at = process.at(t)

        def beta(s):
            return process.beta_min + (process.beta_max - process.beta_min) * s

        assert at.f == pytest.approx(-0.5 * beta(t), rel=1e-11)
        assert at.g2 == pytest.approx(beta(t), rel=1e-9)
        integral = integrate.quad(beta, 0, t)[0]
        assert at.alpha == pytest.approx(math.exp(-0.5 * integral), rel=1e-12)
        assert at.var == pytest.approx(-math.expm1(-integral), rel=1e-9)


def test_cosine_vp():
    """α = cos(π/2 (t + s)/(1 + s))/cos(π/2 s/(1 + s)), s = 0.008; α² + σ² = 1 and g² = −2f; λ = −4.78 at the end."""
    process = VariancePreserving(schedule="cosine")

    def angle(t):
        return math.pi / 2 * (t + 0.008) / 1.008

    for t in (1e-9, 1e-3, 0.4, 0.9, process.horizon):
        at = process.at(t)
        assert at.alpha == pytest.approx(math.cos(angle(t)) / math.cos(angle(0)), rel=1e-12)
        assert at.f == pytest.approx(-math.pi / 2 / 1.008 * math.tan(angle(t)), rel=1e-9)
        assert at.g2 == pytest.approx(-2 * at.f, rel=1e-9)
        assert at.alpha**2 + at.var == pytest.approx(1, abs=1e-12)
    # Near 0, α² = 1 − 2 tan(a) b + O(b²) with b = π/2 t/1.008: the variance keeps its relative accuracy.
    b = math.pi / 2 * 1e-9 / 1.008
    assert process.at(1e-9).var == pytest.approx(2 * math.tan(angle(0)) * b, rel=1e-6)
    assert process.at(process.horizon).lam == pytest.approx(-4.78, abs=0.005)


def test_a_long_horizon_underflows_nowhere():
    """θT = 2000: α = 0 in float64. Instants, paths, bridges, and stochastic samplers on every grid give numbers."""
    process = OrnsteinUhlenbeck(horizon=2000.0)
    for at in process.instants([2000.0, 900.0, 1.0]):
        assert at.f == pytest.approx(-1.0, rel=1e-12)
        assert at.g2 == pytest.approx(2.0, rel=1e-12)
    mean, cov = path_moments(process, 2.0, [1000.0, 1000.5, 2000.0])
    assert mean.abs().max() < 1e-300
    assert cov[0, 1].item() == pytest.approx(math.exp(-0.5), rel=1e-11)
    assert cov[0, 2].item() < 1e-300
    model = ExactMixture(GaussianMixture([1.0], [[1.0, -0.5]], [0.3]), process)
    x = process.prior((50, 2), mean=model.mean, var=model.var, generator=0, dtype=torch.float64)
    for grid in (linear, cosine, rho, logsnr):
        for sampler in (
            Ancestral(),
            EulerMaruyama(),
            EulerMaruyama(a=0.5),
            PredictorCorrector(predictor="heun"),
        ):
            assert integrate_sampler(sampler, model, x, grid(process, 40), generator=1).isfinite().all()


def test_ve_grows_geometrically():
    """σ² + σ_min² = σ_min² (σ_max/σ_min)^{2t}, g² its derivative, f = 0; σ(T)² = σ_max² − σ_min²."""
    process = VarianceExploding(sigma_min=0.05, sigma_max=10.0)
    for t in (1e-8, 0.1, 0.5, 1.0):
        at = process.at(t)
        total = 0.05**2 * 200 ** (2 * t)
        assert at.alpha == 1.0
        assert at.f == 0.0
        assert at.var == pytest.approx(0.05**2 * math.expm1(2 * t * math.log(200)), rel=1e-12)
        assert at.g2 == pytest.approx(2 * math.log(200) * total, rel=1e-12)
    assert process.at(1.0).var == pytest.approx(100 - 0.05**2, rel=1e-12)


def test_simulated_paths_converge_to_exact_ones():
    """Euler–Maruyama of 4000 steps and the exact path have one distribution at T: means and variances to 0.1 %."""
    for process in (
        OrnsteinUhlenbeck(theta=0.7, mu=0.5, sigma=1.3, horizon=3.0),
        VariancePreserving(),
        VarianceExploding(),
    ):
        at, steps = process.at(process.horizon), 4000
        x0 = torch.full((steps + 1, 1), 2.0, dtype=torch.float32)
        end = process.euler_maruyama(x0, [process.horizon], UnitNoise(steps), substeps=steps)[0].double()
        centre = process.centre_like(x0)
        expected = float(centre + at.alpha * (2.0 - centre))
        assert end[-1].item() == pytest.approx(expected, abs=2e-3 * at.sigma)
        assert (end[:-1] - end[-1]).square().sum().item() == pytest.approx(at.var, rel=5e-3)


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        (OUOptions, {"theta": -1.0}, "theta.*must be >= 1e-09, .*got -1"),
        (OUOptions, {"sigma": 0.0}, "sigma.*must be >= 1e-09"),
        (OUOptions, {"horizon": -2.0}, "horizon.*must be >= 1e-09"),
        (OUOptions, {"noise_floor": 0.0}, "noise_floor.*must be >= 1e-09"),
        (OUOptions, {"mu": "left"}, "mu"),
        (OUOptions, {"teta": 1.0}, "no 'teta'. Did you mean 'theta'"),
        (VPOptions, {"schedule": "quadratic"}, "schedule"),
        (VPOptions, {"beta_min": 0.0}, "beta_min.*must be >= 1e-09"),
        (
            VPOptions,
            {"schedule": "cosine", "beta_max": 5.0},
            "only the linear schedule has beta_max; leave it out, or",
        ),
        (
            ScoreOptions,
            {"p_std": 2.0},
            "only log-normal times have p_std; leave it out, or choose times log-normal",
        ),
        (PCOptions, {"corrections": 0}, "corrections.*must be >= 1"),
        (
            PCOptions,
            {"corrector": "none", "snr": 0.3},
            "only a Langevin correction has an snr; leave it out, or",
        ),
        (VEOptions, {"sigma_min": 2.0, "sigma_max": 1.0}, "sigma_max = 1 must be larger than sigma_min = 2"),
    ],
)
def test_options_out_of_range_are_errors(options, given, message):
    with pytest.raises(ConfigError, match=message):
        build(options, given, "process 'it'")


def test_python_users_are_protected_too():
    with pytest.raises(ValueError, match="'theta' must be >= 1e-09"):
        OrnsteinUhlenbeck(theta=-1.0)
    with pytest.raises(DifrunError, match="μ has 2 numbers; examples of shape \\(3,\\)"):
        OU.sample(torch.zeros(4, 3), 0.5)
    with pytest.raises(DifrunError, match="never reached: at the horizon T = 1"):
        _ = VarianceExploding(noise_floor=60.0).t_min
