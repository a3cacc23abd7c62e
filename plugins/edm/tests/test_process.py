"""The process and its preconditioning against the formulas of Karras et al. (2022, arXiv 2206.00364)."""

import math

import numpy as np
import pytest
import torch

from difrun.grid import rho
from difrun.model import NetworkModel, conversion
from difrun_edm.process import EDM


def test_it_is_noise_of_standard_deviation_t():
    """α = 1, σ = t, σ̇ = 1, g² = 2t, f = 0, and λ = −log t, on [σ_min, σ_max]."""
    process = EDM()
    assert (process.horizon, process.t_min) == (80.0, pytest.approx(0.002, rel=1e-15))
    for at in process.instants([0.002, 0.5, 3.0, 80.0]):
        assert (at.alpha, at.f, at.d_alpha) == (1.0, 0.0, 0.0)
        assert at.sigma == pytest.approx(at.t, rel=1e-15)
        assert at.g2 == pytest.approx(2 * at.t, rel=1e-15)
        assert at.d_sigma == pytest.approx(1, rel=1e-15)
        assert at.lam == pytest.approx(-math.log(at.t), rel=1e-14, abs=1e-15)
    other = EDM(sigma_max=10.0, noise_floor=0.01)
    assert (other.horizon, other.t_min) == (10.0, pytest.approx(0.01, rel=1e-14))


def test_the_inverse_is_closed():
    """time_at(λ) = e^−λ, at most T; numbers and tensors."""
    process = EDM()
    lam = torch.linspace(-4, 6, 11, dtype=torch.float64)
    torch.testing.assert_close(process.time_at(lam), torch.exp(-lam), rtol=1e-15, atol=0)
    assert process.time_at(1.5) == math.exp(-1.5)
    assert process.time_at(-9.0) == 80.0


@pytest.mark.parametrize("steps", [1, 18])
def test_the_grid_is_that_of_the_paper(steps):
    """Eq. 5: t_i = (σ_max^{1/ρ} + i/n (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ with ρ = 7, here to t_n = σ_min."""
    share = np.arange(steps + 1) / steps
    expected = (80 ** (1 / 7) + share * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    assert rho(EDM(), steps) == pytest.approx(expected, rel=1e-12)


def test_the_prior_has_the_moments_of_the_data():
    """x_T ~ N(m, v + σ_max²): 5 standard errors of 40000 draws."""
    n, v = 40000, 4.0
    x = EDM(sigma_max=3.0).prior((n, 1), mean=torch.tensor([1.5]), var=torch.tensor([v]), generator=0)
    assert x.mean().item() == pytest.approx(1.5, abs=5 * (13 / n) ** 0.5)
    assert x.var().item() == pytest.approx(v + 9, abs=5 * 13 * (2 / n) ** 0.5)


class Keep(torch.nn.Module):
    """F = 1; keeps what it was given."""

    def forward(self, x, level):
        self.input, self.level = x, level
        return torch.ones_like(x)


@pytest.mark.parametrize("data_std", [0.5, 1.7])
@pytest.mark.parametrize("sigma", [0.002, 0.3, 1.0, 80.0])
def test_preconditioning_is_that_of_table_1(sigma, data_std):
    """x̂_0 = c_skip x + c_out F(c_in x; c_noise), with the four c's of the column EDM, σ_d from the data."""
    process = EDM()
    total = math.hypot(sigma, data_std)
    skip, out = data_std**2 / total**2, sigma * data_std / total
    at = process.at(sigma)
    assert conversion(at, "edm", "x0", data_std) == pytest.approx((skip, out), rel=1e-12)
    network = Keep()
    model = NetworkModel(network, process, (2,), mean=0.0, var=torch.full((2,), data_std**2))
    x = torch.tensor([[1.0, -2.0]])
    torch.testing.assert_close(model.predict(x, at, "x0"), skip * x + out, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(network.input, x / total, rtol=1e-6, atol=0)
    assert network.level.item() == pytest.approx(math.log(sigma) / 4, rel=1e-6)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match=r"sigma_max = 0.001 must be larger than noise_floor = 0.002"):
        EDM(sigma_max=0.001)
    with pytest.raises(ValueError, match=r"'sigma_max' must be >= 1e-09"):
        EDM(sigma_max=0.0)
