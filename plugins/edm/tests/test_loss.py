"""The loss of Karras et al. (2022, arXiv 2206.00364): weight, noise levels, σ_d, and its minimum."""

import math

import pytest
import torch
from scipy import stats

from difrun.loss import LogNormal, Regression, edm
from difrun.model import NetworkModel
from difrun.randomness import Generator
from difrun.testing import ReferenceVP
from difrun_edm.loss import edm_loss
from difrun_edm.process import EDM

N = 20000


class Line(torch.nn.Module):
    """F = w·input + b + c·level, in float64."""

    def __init__(self, w=0.0, b=0.0, c=0.0):
        super().__init__()
        self.parts = torch.nn.Parameter(torch.tensor([w, b, c], dtype=torch.float64))

    def forward(self, x, level):
        w, b, c = self.parts
        return w * x + b + c * level.reshape(-1, 1)


def model_of(process, network, mean=0.7, var=0.36):
    return NetworkModel(network, process, (1,), mean=mean, var=var)


def gaussian(n=N, mean=0.7, std=0.6):
    draw = torch.Generator().manual_seed(1)
    return mean + std * torch.randn((n, 1), generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("process", [EDM(), ReferenceVP()], ids=["edm", "vp"])
def test_it_is_the_weighted_error_of_x0(process):
    """w ‖x̂_0 − x_0‖² with w = (ς² + σ_d²)/(ς σ_d)², ς = σ/α: computed from x̂_0 itself, for every example."""
    model = model_of(process, Line(0.3, -0.2, 0.1))
    x0 = gaussian(500)
    noise = Generator(4)
    times = LogNormal().sample(process, x0, noise)
    at = process.at(times, 2)
    x = process.diffuse(x0, noise.normal(x0), at)
    ratio = at.sigma / at.alpha
    weight = (ratio**2 + 0.36) / (ratio * 0.6) ** 2
    expected = (weight * (model.predict(x, at, "x0") - x0).square()).flatten()
    torch.testing.assert_close(edm_loss()(model, x0, Generator(4)), expected, rtol=1e-5, atol=1e-7)


def test_the_weight_is_that_of_the_paper():
    """(σ² + σ_d²)/(σ σ_d)², in numbers: σ = 2, σ_d = ½ gives 17/4."""
    assert edm(EDM().at(2.0), 0.5) == pytest.approx(17 / 4, rel=1e-14)


def test_every_noise_level_counts_alike_before_training():
    """F = 0 on data of the measured mean and variance: the loss of an example is χ² with one degree of freedom."""
    losses = edm_loss()(model_of(EDM(), Line()), gaussian(), Generator(2)).detach()
    assert stats.kstest(losses.numpy(), stats.chi2(1).cdf).pvalue > 1e-6


@pytest.mark.parametrize("predicts", ["edm", "v", "noise"])
@pytest.mark.parametrize("process", [EDM(), ReferenceVP()], ids=["edm", "vp"])
def test_the_gradient_vanishes_at_the_posterior_mean(process, predicts):
    """For data N(m, σ_d²) the exact x̂_0 has F = w·input in closed form: its gradient is 0 within 5 standard errors.

    With S² = α²σ_d² + σ², E[x_0 − m | y] = α σ_d² y/S² and E[ε | y] = σ y/S², so that F = (a α σ_d² + b σ)/S · c_in y
    for the kind a·x_0 + b·ε; w depends on the time, and 'edm' has w = 0. Away from it the gradient is not 0.
    """

    class Exact(torch.nn.Module):
        def __init__(self, shift):
            super().__init__()
            self.parts = torch.nn.Parameter(torch.tensor([shift, 0.0], dtype=torch.float64))

        def forward(self, x, level):
            ratio = torch.exp(4 * level.reshape(-1, 1).double())  # σ/α
            if isinstance(process, EDM):
                alpha, sigma = torch.ones_like(ratio), ratio
            else:
                alpha, sigma = (1 + ratio**2) ** -0.5, ratio * (1 + ratio**2) ** -0.5
            total = (alpha**2 * 0.36 + sigma**2).sqrt()
            w = {"edm": 0.0 * total, "noise": sigma / total, "v": alpha * sigma * (1 - 0.36) / total}[
                predicts
            ]
            return (w + self.parts[0]) * x + self.parts[1]

    def gradient(shift):
        model = NetworkModel(Exact(shift), process, (1,), predicts=predicts, mean=0.7, var=0.36)
        loss = edm_loss(p_mean=-0.5)
        examples = loss.draw(model, gaussian(), Generator(3))

        def of(parts):
            (model.network.parts.data,) = (parts,)
            return loss.evaluate(model, examples)

        # Per example, by differences: the loss is quadratic in the parameters, so they are exact.
        base, size = model.network.parts.data.clone(), 1e-3
        rows = []
        for k in range(2):
            step = torch.zeros(2, dtype=torch.float64)
            step[k] = size
            rows.append((of(base + step) - of(base - step)).detach() / (2 * size))
        return torch.stack(rows, 1)

    g = gradient(0.0)
    error = g.std(0) / math.sqrt(N)
    assert (g.mean(0).abs() < 5 * error).all(), g.mean(0) / error
    g = gradient(0.2)
    assert g.mean(0)[0] > 5 * g.std(0)[0] / math.sqrt(N)


def test_the_standard_deviation_is_measured_or_given():
    """σ_d of the weight is that of the data; given, the loss of each example changes by the ratio of the weights."""
    process, x0 = EDM(), gaussian(300)
    model = model_of(process, Line(0.4))
    measured = edm_loss()
    assert model.data_std == pytest.approx(0.6, rel=1e-7)
    drawn = measured.draw(model, x0, Generator(5))
    snr = torch.exp(-8 * drawn["level"].double())  # c_noise = ¼ ln σ
    ratio = edm_loss(data_std=2.0)(model, x0, Generator(5)) / measured(model, x0, Generator(5))
    torch.testing.assert_close(ratio, (snr + 0.25) / (snr + 1 / 0.36), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("mean", "std"), [(-1.2, 1.2), (0.5, 0.7)])
def test_noise_levels_are_log_normal(mean, std):
    """Kolmogorov–Smirnov of ln σ against N(p_mean, p_std²), of which 1e-5 lies outside [σ_min, σ_max]."""
    loss = edm_loss(p_mean=mean, p_std=std)
    drawn = loss.draw(model_of(EDM(), Line()), gaussian(), Generator(6))
    log_sigma = 4 * drawn["level"].double().flatten()
    assert stats.kstest(log_sigma.numpy(), stats.norm(mean, std).cdf).pvalue > 1e-6


def test_it_is_one_regression():
    """A named combination of the core's mechanism, and nothing else."""
    loss = edm_loss(p_mean=0.1, p_std=0.9, data_std=0.5)
    assert isinstance(loss, Regression)
    assert loss == Regression("x0", edm, LogNormal(0.1, 0.9), 0.5)
