"""The marginal-preserving SDE: its step, its distribution, and the orders of deterministic samplers on rectified
flow."""

import math
from functools import cache

import pytest
import torch
from scipy.integrate import quad

from difrun.data import GaussianMixture
from difrun.grid import cosine, logsnr
from difrun.model import ExactMixture, ScoreModel
from difrun.randomness import Generator
from difrun.sampler import Euler, Heun, generate, integrate
from difrun.testing import (
    ReferenceVE,
    ReferenceVP,
    affine_moments,
    endpoint_errors,
    observed_order,
    probability_flow_endpoint,
    two_gaussians,
)
from difrun_flow.marginal_sde import MarginalSDE
from difrun_flow.process import RectifiedFlow

PROCESSES = {"flow": RectifiedFlow(), "vp": ReferenceVP(), "ve": ReferenceVE()}
FLOW = PROCESSES["flow"]
GAUSSIAN = GaussianMixture([1.0], [[1.0, -0.5]], [0.3])
STEPS = (40, 80, 160)
FAMILY = [0.5, 0.75, 1.0, 2.0]


def start(model, n=32):
    return model.process.prior((n, 2), mean=model.mean, var=model.var, generator=0, dtype=torch.float64)


@cache
def endpoint():
    model = ExactMixture(two_gaussians(), FLOW)
    return model, start(model), probability_flow_endpoint(model, start(model))


@pytest.mark.parametrize("grid", [logsnr, cosine])
@pytest.mark.parametrize("sampler", [Euler(), Heun(), MarginalSDE(a=0.5)], ids=["euler", "heun", "sde-half"])
def test_observed_order_is_the_declared_one(sampler, grid):
    """Distance to the exact probability-flow endpoint falls as steps^−order between 40 and 160 steps, to ±0.15."""
    model, noise, exact = endpoint()
    errors = endpoint_errors(sampler, model, noise, exact, grid, STEPS)
    assert observed_order(STEPS, errors) == pytest.approx(sampler.order, abs=0.15), errors


def run(a, model, times, shape=(2,)):
    """Exact mean and variance at the end of `times`, from x_T of the prior: every step is affine for Gaussian data."""

    def once(generator, n):
        x = model.process.prior(
            (n, *shape), mean=model.mean, var=model.var, generator=generator, dtype=torch.float64
        )
        return integrate(MarginalSDE(a=a), model, x, times, generator=generator)

    return affine_moments(once, len(times))


@pytest.mark.parametrize("name", list(PROCESSES))
@pytest.mark.parametrize("a", FAMILY)
def test_steps_of_any_length_are_exact_for_a_gaussian(a, name):
    """N(m, v I): after one step, and after three, mean and variance are α m and α² v + σ², to 1e-10."""
    process = PROCESSES[name]
    model = ExactMixture(GAUSSIAN, process)
    top = process.horizon
    for times in ([top, process.t_min], [top, 0.7 * top, 0.1 * top, 0.02 * top], [top, 0.5 * top, 0.0]):
        mean, var = run(a, model, times)
        end = process.at(times[-1])
        torch.testing.assert_close(mean, end.alpha * GAUSSIAN.mean, rtol=1e-10, atol=1e-10)
        truth = torch.full((2,), end.alpha**2 * 0.3 + end.var, dtype=torch.float64)
        torch.testing.assert_close(var, truth, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("a", FAMILY)
def test_steps_compose(a):
    """From one point of flow, t to s through u has the distribution of t to s (semigroup), for Gaussian data, to
    1e-10."""
    model = ExactMixture(GAUSSIAN, FLOW)

    def moments(times):
        def once(generator, n):
            x = torch.full((n, 2), 0.7, dtype=torch.float64)
            return integrate(MarginalSDE(a=a), model, x, times, generator=generator)

        return affine_moments(once, len(times) - 1)

    for t in (1.0, 0.9):
        torch.testing.assert_close(moments([t, 0.5, 0.2]), moments([t, 0.2]), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("a", FAMILY)
def test_the_step_is_the_solution_of_its_sde(a):
    """The moments of Euler–Maruyama with 20 000 steps on dx = [−f x + a g² s] d(−t) + g√(2a − 1) dw̄, to 3e-4 and 0.1 %.

    On flow from t = 0.8 to 0.3, from one point; the score of N(m, v) data is s = (α m − x)/(α² v + σ²).
    """
    m, v, x, n = 0.4, 0.3, -1.1, 20000
    mean, var, h = x, 0.0, 0.5 / n
    for k in range(n):
        t = 0.8 - h * k
        f, g2, total = -1 / (1 - t), 2 * t / (1 - t), (1 - t) ** 2 * v + t**2
        pull = 1 - h * (f + a * g2 / total)
        mean, var = pull * mean + h * a * g2 * (1 - t) * m / total, pull**2 * var + (2 * a - 1) * g2 * h
    model = ExactMixture(GaussianMixture([1.0], [[m]], [v]), FLOW)

    def once(generator, rows):
        where = torch.full((rows, 1), x, dtype=torch.float64)
        return integrate(MarginalSDE(a=a), model, where, [0.8, 0.3], generator=generator)

    got_mean, got_var = affine_moments(once, 1)
    assert got_mean.item() == pytest.approx(mean, abs=3e-4)
    assert got_var.item() == pytest.approx(var, rel=1e-3, abs=1e-12)


@pytest.mark.parametrize("a", FAMILY)
@pytest.mark.parametrize("angle", [0.3, 0.8, 1.3])
def test_the_integral_of_the_step_is_that_of_quadrature(angle, a):
    """J = ∫ (cos φ/cos φ_s)^{2a−1} dφ over 0.03 rad, from what F = 1 adds to the step: 1e-6, where h²/24 is 4e-5.

    On flow with m = 0 and σ_d = 1, where tan φ = t/(1 − t).
    """

    class Constant(ScoreModel):
        process, shape = FLOW, (2,)

        def __init__(self, slope):
            super().__init__()
            self.slope = slope

        def predict(self, x, at, kind):
            assert kind == "x0"
            size = math.hypot(at.alpha, at.sigma)
            return at.alpha / size * (x / size) + at.sigma / size * self.slope

    angles = (angle + 0.03, angle)
    at, to = FLOW.instants([math.tan(phi) / (1 + math.tan(phi)) for phi in angles])
    x, sampler = torch.zeros(1, 2, dtype=torch.float64), MarginalSDE(a=a)
    pushed, still = (sampler.step(Constant(f), x, at, to, None, Same())[0] for f in (1.0, 0.0))
    got = (pushed - still) / (2 * a * math.hypot(to.alpha, to.sigma))
    expected, _ = quad(lambda phi: (math.cos(phi) / math.cos(angle)) ** (2 * a - 1), angle, angle + 0.03)
    torch.testing.assert_close(got, torch.full_like(got, expected), rtol=1e-6, atol=0)


@pytest.mark.parametrize("a", FAMILY)
def test_short_steps_follow_the_sde(a):
    """For a mixture a step has the mean x − h(f x − a g² ∇ log p) + O(h²) and the variance (2a − 1) g² h + O(h²)."""
    model, x, t = ExactMixture(two_gaussians(), FLOW), start(endpoint()[0], 1), 0.6
    at = FLOW.at(t)
    slope = -at.f * x + a * at.g2 * model.predict(x, at, "score")
    errors = []
    for h in (0.02, 0.01):

        def once(generator, n, h=h):
            return integrate(MarginalSDE(a=a), model, x.expand(n, 2), [t, t - h], generator=generator)

        mean, var = affine_moments(once, 1)
        drift = float(((mean - x[0]) / h - slope[0]).abs().max())
        errors.append((drift, float((var / h - (2 * a - 1) * at.g2).abs().max())))
    for coarse, fine in zip(*errors, strict=True):
        assert fine == pytest.approx(coarse / 2, rel=0.1, abs=1e-12), errors


@pytest.mark.parametrize("a", FAMILY)
def test_every_member_of_the_family_has_the_exact_variance(a):
    """Data of variances 0.5 and 0.1, which no one σ_d fits: the relative errors halve with the step (±20 %).

    Extrapolated to no step at all, from 150 and 300 steps, both variances are exact to 0.2 %.
    """
    mixture = GaussianMixture([1.0], [[1.0, -0.5]], [[[0.5, 0.0], [0.0, 0.1]]])
    model, end, errors = ExactMixture(mixture, FLOW), FLOW.at(FLOW.t_min), []
    for steps in (150, 300):
        mean, var = run(a, model, logsnr(FLOW, steps))
        torch.testing.assert_close(mean, end.alpha * mixture.mean, rtol=1e-9, atol=1e-9)
        errors.append(var / (end.alpha**2 * mixture.var + end.var) - 1)
    torch.testing.assert_close(errors[1], errors[0] / 2, rtol=0.2, atol=1e-4)
    assert (2 * errors[1] - errors[0]).abs().max() < 2e-3, errors


@pytest.mark.parametrize("a", FAMILY)
def test_every_member_of_the_family_draws_from_a_mixture(a):
    """Two Gaussians, 300 steps: mean and variance within 5 standard errors of 4000 samples and 2 %."""
    n, true = 4000, two_gaussians()
    x = generate(
        MarginalSDE(a=a), ExactMixture(true, FLOW), n, logsnr(FLOW, 300), seed=1, dtype=torch.float64
    )
    std = true.var.sqrt()
    assert ((x.mean(0) - true.mean).abs() < 5 * std / n**0.5 + 0.02 * std).all()
    fourth = (x - x.mean(0)).pow(4).mean(0)
    error = ((fourth - true.var**2).clamp_min(0) / n).sqrt()
    assert ((x.var(0) - true.var).abs() < 5 * error + 0.02 * true.var).all()


@pytest.mark.parametrize("a", FAMILY)
def test_both_ends_are_regular(a):
    """From λ = −∞ with a > ½ the noise at T is forgotten; steps to σ = 0 are finite; float32 agrees to 1e-5."""
    model = ExactMixture(two_gaussians(), FLOW)
    x = start(model, 4)
    for t, s in ((1.0, 0.9), (1.0, FLOW.t_min), (FLOW.t_min, 0.0), (1.0, 0.0)):
        at, to = FLOW.instants([t, s])
        got, _ = MarginalSDE(a=a).step(model, x, at, to, None, Same())
        assert got.isfinite().all()
        single, _ = MarginalSDE(a=a).step(model, x.float(), at, to, None, Same())
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), got, rtol=1e-5, atol=1e-5)
        if t == 1 and a > 0.5:
            other, _ = MarginalSDE(a=a).step(model, -x, at, to, None, Same())
            torch.testing.assert_close(other, got, rtol=1e-12, atol=1e-12)


class Same(Generator):
    """Deals the same numbers in float32 and float64."""

    def __init__(self):
        super().__init__(0)

    def normal(self, like):
        return torch.linspace(-1.5, 1.5, like.numel()).reshape(like.shape).to(like)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match=r"'a' must be >= 0.5"):
        MarginalSDE(a=0.3)
