"""Samplers with the exact score, the loss, and whole runs from the command line."""

import math

import difrun
import numpy as np
import pytest
import torch
from difrun.cli import main
from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.grid import linear, quadratic
from difrun.model import MLP
from difrun.randomness import Generator
from difrun.sampler import generate, integrate
from difrun.testing import affine_moments, observed_order, two_gaussians

from difrun_cld.exact import ExactVelocityScore
from difrun_cld.loss import HybridScoreMatching
from difrun_cld.model import NetworkScore
from difrun_cld.process import CriticallyDampedLangevin
from difrun_cld.samplers import EulerMaruyama, Flow, Splitting

PROCESS = CriticallyDampedLangevin()


@pytest.mark.parametrize(
    "sampler", [EulerMaruyama(), Splitting(), Flow()], ids=lambda each: type(each).__name__
)
def test_samples_of_a_mixture_have_its_distribution(sampler):
    """Mean and covariance of 4000 samples within 5 standard errors and 0.02; the share of each mode as well."""
    mixture, n = two_gaussians(), 4000
    steps = 400 if isinstance(sampler, EulerMaruyama) else 100
    x = generate(sampler, ExactVelocityScore(mixture, PROCESS), n, quadratic(PROCESS, steps), seed=1)
    assert x.shape == (n, 2)
    error = (mixture.var / n).sqrt()
    assert bool(((x.double().mean(0) - mixture.mean).abs() < 5 * error + 0.02).all())
    centred = x.double() - mixture.mean
    products = centred[:, :, None] * centred[:, None, :]
    bar = 5 * products.std(0) / math.sqrt(n) + 0.02
    assert bool(((products.mean(0) - mixture.cov).abs() < bar).all())
    share = float((mixture.component(x.double()) == 0).double().mean())
    true = mixture.component(mixture.sample(100_000, torch.Generator().manual_seed(2)))
    expected = float((true == 0).double().mean())
    assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / n) + 0.005


@pytest.mark.parametrize(("sampler", "draws"), [(EulerMaruyama(), 1), (Splitting(), 4)], ids=("em", "sscs"))
def test_moments_of_a_gaussian_converge_at_the_declared_order(sampler, draws):
    """The exact mean and variance of (x, v) at t_min for N(1, 0.3): their error falls as 1/steps."""
    model = ExactVelocityScore(GaussianMixture([1.0], [[1.0]], [0.3]), PROCESS)
    (mean_x, mean_v), (xx, _, vv) = PROCESS.marginal(PROCESS.at(PROCESS.t_min), 1.0, 0.3)
    mean, var = torch.tensor([mean_x, mean_v]).double(), torch.tensor([xx, vv]).double()
    errors = []
    counts = (20, 40, 80)
    for steps in counts:

        def run(generator, n, steps=steps):
            x = model.prior(n, generator, dtype=torch.float64)
            return integrate(sampler, model, x, linear(PROCESS, steps), generator=generator)

        got_mean, got_var = affine_moments(run, 2 + draws * steps)
        errors.append(float(torch.cat(((got_mean - mean) / var.sqrt(), got_var / var - 1)).norm()))
    assert observed_order(counts, errors) > sampler.order - 0.25, errors


def test_the_flow_converges_at_order_two():
    """The distance to the end in 640 steps, from 20 to 80."""
    model = ExactVelocityScore(two_gaussians(), PROCESS)
    x = model.prior(16, 0, dtype=torch.float64)
    fine = integrate(Flow(), model, x, linear(PROCESS, 640))
    errors = [float((integrate(Flow(), model, x, linear(PROCESS, k)) - fine).norm()) for k in (20, 40, 80)]
    assert observed_order((20, 40, 80), errors) == pytest.approx(2.0, abs=0.3), errors


def test_the_target_of_hybrid_score_matching_is_exact_for_gaussian_data():
    """Its target, regressed on (x, v) with 200 000 draws at one time, is −L_vv ∇_v log p: five standard errors."""
    mixture = GaussianMixture([1.0], [[0.6]], [0.3])
    model = ExactVelocityScore(mixture, PROCESS)
    n, t = 200_000, 0.25

    class At(Generator):
        """Draws one time, and noise as usual."""

        def uniform(self, like):
            return torch.full_like(like, (t - PROCESS.t_min) / (1 - PROCESS.t_min))

    x0 = mixture.sample(n, torch.Generator().manual_seed(1))
    drawn = HybridScoreMatching().draw(model, x0, At(2))
    assert torch.allclose(drawn["t"], torch.tensor(t, dtype=torch.float64))
    inputs = torch.cat((torch.ones(n, 1).double(), drawn["u"]), dim=1)
    fit = torch.linalg.lstsq(inputs, drawn["target"]).solution[:, 0]
    rest = drawn["target"][:, 0] - inputs @ fit
    errors = (torch.linalg.inv(inputs.T @ inputs).diagonal() * rest.var()).sqrt()
    at = PROCESS.at(t)
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    exact = -NetworkScore.deviation(at) * model.predict(points, at, "score")[:, 0]
    coefficients = torch.stack((exact[0], exact[1] - exact[0], exact[2] - exact[0]))
    assert bool(((fit - coefficients).abs() < 5 * errors).all()), (fit, coefficients, errors)


def test_an_untrained_network_is_exact_for_gaussian_data():
    """The last layer of the network is 0: its score is that of N(m, v), to float32. The loss reaches its weights."""
    mixture = GaussianMixture([1.0], [[0.6, -1.0]], [[[0.3, 0.0], [0.0, 0.9]]])
    shape = PROCESS.state_shape((2,))
    model = PROCESS.denoiser(MLP(shape, width=8, depth=1), shape=(2,), mean=mixture.mean, var=mixture.var)
    exact = ExactVelocityScore(mixture, PROCESS)
    for t in (0.01, 0.5, 1.0):
        u = PROCESS.sample(mixture.sample(8, torch.Generator().manual_seed(1)), t, 2)
        at = PROCESS.at(t)
        expected = exact.predict(u, at, "score").float()
        torch.testing.assert_close(model.predict(u, at, "score"), expected, rtol=2e-3, atol=2e-3)
    losses = HybridScoreMatching()(
        model, mixture.sample(64, torch.Generator().manual_seed(3)).float(), Generator(4)
    )
    assert losses.shape == (64,)
    losses.mean().backward()
    assert float(model.network.last.weight.grad.abs().sum()) > 0


def test_other_kinds_of_prediction_are_refused():
    model = ExactVelocityScore(two_gaussians(), PROCESS)
    with pytest.raises(DifrunError, match="predicts the score of the velocities, not 'noise'"):
        model.predict(torch.zeros(1, 4), PROCESS.at(0.5), "noise")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--model", "cld-exact", "--sampler", "sscs"),
        ("--model", "mlp", "--train.steps", "2", "--sampler", "cld-em"),
    ],
    ids=("exact", "trained"),
)
def test_a_run_from_the_command_line(arguments, tmp_path, monkeypatch):
    """Samples in the shape of the data, metrics and a report; the state, twice as wide, is nowhere in the folder."""
    monkeypatch.chdir(tmp_path)
    rest = (
        "--dataset",
        "blobs",
        "--n",
        "64",
        "--steps",
        "10",
        "--threads",
        "1",
        "--metric",
        "energy",
        "--out",
        "run",
    )
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--process", "cld", *arguments, *rest])
    assert not stopped.value.code
    assert np.load("run/samples.npz")["x"].shape == (64, 2)
    assert (tmp_path / "run" / "report.html").is_file()
    with pytest.raises(DifrunError, match=r"sampler 'heun' .* needs gaussian, which process 'cld'"):
        difrun.invert("run", np.zeros((2, 2)), sampler="heun")
    with pytest.raises(DifrunError, match="predicts the score of the velocities, not 'x0'"):
        difrun.sample("run", 4, sampler="ancestral")
