"""Exact models against SciPy, automatic differentiation and quadrature."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.model import PREDICTIONS, ExactEmpirical, ExactMixture, exact
from difrun.model.exact_of_data import exact_empirical, exact_mixture
from difrun.testing import ReferenceFlow, ReferenceVE, ReferenceVP, two_gaussians


class Centred(ReferenceVP):
    centre = (0.5, -2.0)


PROCESSES = {"vp": ReferenceVP(), "ve": ReferenceVE(), "centred": Centred()}
DATA = torch.tensor([[-1.0, 0.2], [0.5, 0.4], [1.5, -1.0], [0.6, 0.3]], dtype=torch.float64)


def models(process):
    isotropic = GaussianMixture([0.2, 0.8], [[-1.0, 0.5], [1.0, 1.0]], [0.3, 0.05])
    return {
        "full": ExactMixture(two_gaussians(), process),
        "isotropic": ExactMixture(isotropic, process),
        "empirical": ExactEmpirical(DATA, process),
    }


CASES = [(name, sort) for name in PROCESSES for sort in ("full", "isotropic", "empirical")]
TIMES = (0.01, 0.5, 3.0)
EYE = torch.eye(2, dtype=torch.float64)


def points(process, t):
    return process.sample(DATA, t, 3)


@pytest.mark.parametrize(("name", "sort"), CASES)
def test_log_prob_is_that_of_scipy(name, sort):
    """Σ w_k N(x; μ + α(m_k − μ), α² C_k + σ² I), to 1e-9 nats."""
    process = PROCESSES[name]
    model = models(process)[sort]
    mixture = model.mixture
    centre = process.centre_like(DATA)
    for t in TIMES:
        at, x = process.at(t), points(process, t)
        density = 0
        for k, weight in enumerate(mixture.weights.tolist()):
            cov = mixture.covs[k] if not mixture.isotropic else mixture.covs[k] * EYE
            mean = centre + at.alpha * (mixture.means[k] - centre)
            distribution = stats.multivariate_normal(mean.numpy(), (at.alpha**2 * cov + at.var * EYE).numpy())
            density = density + weight * distribution.pdf(x.numpy())
        np.testing.assert_allclose(model.log_prob(x, at).numpy(), np.log(density), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "sort"), CASES)
def test_score_is_the_gradient_of_log_prob(name, sort):
    process = PROCESSES[name]
    model = models(process)[sort]
    for t in TIMES:
        at, x = process.at(t), points(process, t).requires_grad_()
        (gradient,) = torch.autograd.grad(model.log_prob(x, at).sum(), x)
        torch.testing.assert_close(model.predict(x.detach(), at, "score"), gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "sort"), CASES)
def test_kinds_agree_and_batches_of_times_are_numbers_of_times(name, sort):
    """All kinds come from one pair (x̂_0, ε̂) with x = μ + α(x̂_0 − μ) + σε̂ (Tweedie), to 1e-8 of their size."""
    process = PROCESSES[name]
    model = models(process)[sort]
    centre = process.centre_like(DATA)
    for t in (process.t_min, *TIMES, process.horizon):
        at, x = process.at(t), points(process, t)
        x0 = model.predict(x, at, "x0") - centre
        noise = -at.sigma * model.predict(x, at, "score")
        torch.testing.assert_close(at.alpha * x0 + at.sigma * noise, x - centre, rtol=1e-9, atol=1e-9)
        batch = process.at(torch.full((len(x),), t, dtype=torch.float64), 2)
        for kind, row in PREDICTIONS.items():
            a, b = row(at)
            expected = a * x0 + b * noise + (centre if kind == "x0" else 0)
            size = float(expected.abs().max()) + abs(a) + abs(b)
            got = model.predict(x, at, kind)
            assert float((got - expected).abs().max()) < 1e-8 * size, (kind, t)
            assert float((model.predict(x, batch, kind) - got).abs().max()) < 1e-8 * size, (kind, t)


@pytest.mark.parametrize("t", [0.05, 0.6, 2.5])
def test_posterior_mean_is_its_integral(t):
    """E[x_0 | x_t] = ∫ x_0 p(x_0) N(x; αx_0, σ²) dx_0 / ∫ p(x_0) N(x; αx_0, σ²) dx_0, by quadrature to 1e-7."""
    mixture = GaussianMixture([0.4, 0.6], [[-1.0], [0.8]], [0.09, 0.25])
    process = ReferenceVP()
    model, at = ExactMixture(mixture, process), process.at(t)

    def joint(x0, x, power):
        prior = 0.4 * stats.norm.pdf(x0, -1, 0.3) + 0.6 * stats.norm.pdf(x0, 0.8, 0.5)
        return x0**power * prior * stats.norm.pdf(x, at.alpha * x0, at.sigma)

    for x in (-1.4, 0.1, 0.9):
        hints = {"points": [-1, 0.8, x / at.alpha], "limit": 300, "epsabs": 1e-13}
        top, bottom = (integrate.quad(joint, -8, 8, args=(x, power), **hints)[0] for power in (1, 0))
        got = model.predict(torch.tensor([[x]], dtype=torch.float64), at, "x0").item()
        assert got == pytest.approx(top / bottom, abs=1e-7)


def test_blocks_do_not_change_the_answer(monkeypatch):
    """Many points go through in blocks; numbers and batches of times give what one block gives."""
    process = PROCESSES["centred"]
    x = process.sample(two_gaussians().sample(23, torch.Generator().manual_seed(0)), 0.5, 1)
    times = torch.linspace(0.1, 3, 23, dtype=torch.float64)
    instants = (process.at(0.5), process.at(times, 2), process.at(times[:1], 2))
    for sort in ("full", "empirical"):
        whole = [
            (models(process)[sort].predict(x, at, kind), models(process)[sort].log_prob(x, at))
            for at in instants
            for kind in ("x0", "score")
        ]
        monkeypatch.setattr(exact, "_BLOCK", 4 * 2 * 5)  # 5 to 10 rows at a time
        parts = [
            (models(process)[sort].predict(x, at, kind), models(process)[sort].log_prob(x, at))
            for at in instants
            for kind in ("x0", "score")
        ]
        monkeypatch.undo()
        torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sort", ["full", "isotropic", "empirical"])
def test_float32_is_accurate_at_both_ends(sort):
    """x̂_0 to 1e-5 and the score to 1e-3 of its size, for points of p_t in float32, from t_min to T."""
    for process in PROCESSES.values():
        model = models(process)[sort]
        for t in (process.t_min, 0.5, process.horizon):
            at, x = process.at(t), points(process, t).float()
            for kind, allowed in (("x0", 1e-5), ("score", 1e-3)):
                truth = model.predict(x.double(), at, kind)
                got = model.predict(x, at, kind)
                assert got.dtype == torch.float32
                assert float((got - truth).abs().max()) < allowed * float(truth.abs().max() + 1), (kind, t)


@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE(), ReferenceFlow()], ids=["vp", "ve", "flow"])
@pytest.mark.parametrize("kind", ["velocity", "straight", "v"])
def test_converted_kinds_keep_their_digits_in_float32_at_both_ends(process, kind):
    """Within 4e-6 of their largest value (some 30 roundings) of the same in float64, at t_min and T.

    Converted from x̂_0 where the signal prevails, or from the score where the noise does, they would lose at least one
    digit more.
    """
    model, x0 = (
        ExactMixture(two_gaussians(), process),
        two_gaussians().sample(500, torch.Generator().manual_seed(0)),
    )
    for t in (process.t_min, process.horizon):
        at, x = process.at(t), process.sample(x0, t, 3).float()
        batch = process.at(torch.full((len(x),), t), 2)
        truth = model.predict(x.double(), at, kind)
        for instant in (at, batch):
            error = model.predict(x, instant, kind) - truth
            assert error.abs().max() < 4e-6 * truth.abs().max(), t


def test_empirical_data_of_any_shape():
    """Images are vectors of pixels; near t_min the nearest example is predicted."""
    process = ReferenceVP()
    images = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    model, flat = ExactEmpirical(images, process), ExactEmpirical(images.flatten(1), process)
    x = process.sample(images.double(), 0.4, 1)
    for at in (process.at(0.4), process.at(torch.full((6,), 0.4, dtype=torch.float64), 4)):
        for kind in ("x0", "score", "v"):
            there = flat.predict(x.flatten(1), process.at(0.4), kind)
            torch.testing.assert_close(model.predict(x, at, kind).flatten(1), there, rtol=1e-10, atol=1e-10)
    assert model.shape == (2, 3, 3)
    torch.testing.assert_close(model.mean, images.double().mean(0))
    torch.testing.assert_close(model.var, images.double().var(0, correction=0))
    near = model.predict(process.sample(images.double(), process.t_min, 1), process.at(process.t_min), "x0")
    torch.testing.assert_close(near, images.double(), rtol=0, atol=1e-12)


def test_the_components_exact_and_empirical_are_the_models_of_the_dataset():
    process = ReferenceVP()
    mixture = two_gaussians()
    dataset = SimpleNamespace(
        distribution=mixture, conditional=None, name="two", train=DATA, component_labels=None, labels=None
    )
    at, x = process.at(0.5), points(process, 0.5)
    torch.testing.assert_close(
        exact_mixture(process=process, dataset=dataset).log_prob(x, at),
        mixture.diffused(at.alpha, at.sigma).log_prob(x),
    )
    expected = torch.logsumexp(-(x[:, None] - at.alpha * DATA).square().sum(2) / (2 * at.var), 1)
    expected = expected - math.log(len(DATA) * 2 * math.pi * at.var)
    torch.testing.assert_close(exact_empirical(process=process, dataset=dataset).log_prob(x, at), expected)
    with pytest.raises(DifrunError, match=r"'moons' is not. Use --model empirical"):
        exact_mixture(
            process=process, dataset=SimpleNamespace(distribution=None, conditional=None, name="moons")
        )
