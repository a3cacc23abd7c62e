"""Losses in closed form, and laws of the training time against SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from difrun.exact import ExactMixture
from difrun.loss import Regression, score_matching, uniform
from difrun.mixture import GaussianMixture
from difrun.model import NetworkModel, ScoreModel
from difrun.randomness import Generator
from difrun.testing import ReferenceVE, ReferenceVP, two_gaussians
from difrun.times import LogitNormal, LogNormal, LogSNR, TimeLaw, Uniform

N = 20000
P_VALUE = 1e-6
"""About 5 standard errors."""


class Fixed(TimeLaw):
    """All examples at one time."""

    def __init__(self, t):
        self.t = t

    def quantile(self, process, u):
        return torch.full_like(u, self.t)


class Zero(ScoreModel):
    """Predicts 0 in the kind it is asked for."""

    def __init__(self, process):
        self.process, self.shape = process, (2,)

    def predict(self, x, at, kind):
        return torch.zeros_like(x)


def mean_and_error(values):
    return values.mean().item(), values.std().item() / len(values) ** 0.5


@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE()], ids=["vp", "ve"])
@pytest.mark.parametrize("t", [0.05, 0.8, 3.0])
def test_values_in_closed_form(process, t):
    """Of the exact model of N(m, v): for ε it is E‖ε − ε̂‖²/d = α²v/(α²v + σ²); of a zero model E‖target‖²/d."""
    v = 0.3
    mixture = GaussianMixture([1.0], [[1.0, -0.5]], [v])
    x0 = mixture.sample(N, torch.Generator().manual_seed(1))
    at = process.at(t)
    left = at.alpha**2 * v / (at.alpha**2 * v + at.var)
    model = ExactMixture(mixture, process)
    expected = {
        "noise": (left, 1.0),
        "x0": (left * at.var / at.alpha**2, v + (1 + 0.25) / 2),
        "score": (left / at.var, 1 / at.var),
        "straight": (left * (1 + at.sigma / at.alpha) ** 2, 1 + v + (1 + 0.25) / 2),
    }
    for kind, (best, nothing) in expected.items():
        loss = Regression(kind, times=Fixed(t))
        for judged, true in ((model, best), (Zero(process), nothing)):
            value, error = mean_and_error(loss(judged, x0, Generator(2)))
            assert value == pytest.approx(true, abs=5 * error), kind


def test_one_loss_in_several_coordinates():
    """σ² ‖score‖², ‖noise‖² and (α²/σ²) ‖x0‖² are one loss, for each example, whatever the network predicts."""
    process = ReferenceVP()
    x0 = two_gaussians().sample(50, torch.Generator().manual_seed(1))

    def snr(at):
        return at.alpha**2 / at.var

    for predicts in ("edm", "noise", "v", "x0"):
        network = _Wave().double()
        model = NetworkModel(network, process, (2,), predicts=predicts, mean=x0.mean(0), var=x0.var(0))
        losses = [
            Regression(kind, weight, LogSNR())(model, x0, Generator(4))
            for kind, weight in (("noise", uniform), ("score", score_matching), ("x0", snr))
        ]
        torch.testing.assert_close(losses[1], losses[0], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(losses[2], losses[0], rtol=1e-9, atol=1e-12)


class _Wave(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.7, -0.4]))

    def forward(self, x, level):
        return torch.sin(x) * self.weight + level[:, None]


def test_gradients_do_not_reach_what_was_drawn():
    """Examples drawn once serve many steps: they hold no graph, and the gradient is that of the whole loss."""
    process = ReferenceVP()
    x0 = two_gaussians().sample(40, torch.Generator().manual_seed(1))
    network = _Wave().double()
    model = NetworkModel(network, process, (2,), mean=x0.mean(0), var=x0.var(0))
    loss = Regression("score", score_matching, LogSNR())
    drawn = loss.draw(model, x0, Generator(1))
    assert not any(tensor.requires_grad for tensor in drawn.values())
    halves = [
        loss.evaluate(model, {k: v[part] for k, v in drawn.items()}) for part in (slice(0, 20), slice(20, 40))
    ]
    (by_halves,) = torch.autograd.grad(torch.cat(halves).mean(), network.weight)
    (whole,) = torch.autograd.grad(loss(model, x0, Generator(1)).mean(), network.weight)
    torch.testing.assert_close(by_halves, whole, rtol=1e-12, atol=1e-14)


def quantiles(law, process, n=N):
    like = torch.empty(n, 2, dtype=torch.float64)
    return law.sample(process, like, Generator(3)).numpy()


PROCESSES = [ReferenceVP(), ReferenceVE()]


@pytest.mark.parametrize("process", PROCESSES, ids=["vp", "ve"])
def test_times_follow_their_laws(process):
    """Kolmogorov–Smirnov against SciPy's laws, cut to the range; every time lies in [t_min, T]."""
    low, high = process.lam_range
    start, end = process.t_min, process.horizon

    def lam(t):
        return process.log_snr(torch.from_numpy(t)).numpy()

    def cut(law, a, b):
        return lambda x: (law.cdf(x) - law.cdf(a)) / (law.cdf(b) - law.cdf(a))

    first = math.log(start / end / (1 - start / end))
    cases = [
        (Uniform(), lambda t: t, stats.uniform(start, end - start).cdf),
        (LogSNR(), lam, stats.uniform(low, high - low).cdf),
        (LogNormal(-0.5, 0.9), lambda t: -lam(t), cut(stats.norm(-0.5, 0.9), -high, -low)),
        (LogNormal(3.0, 2.0), lambda t: -lam(t), cut(stats.norm(3.0, 2.0), -high, -low)),
        (
            LogitNormal(0.3, 1.5),
            lambda t: np.log(t / end) - np.log1p(-t / end),
            cut(stats.norm(0.3, 1.5), first, np.inf),
        ),
    ]
    for law, transform, cdf in cases:
        t = quantiles(law, process)
        assert t.min() >= start * (1 - 1e-5), law
        assert t.max() <= end, law
        inside = t[t < end]  # logit(1) = ∞
        assert len(inside) > 0.999 * N
        assert stats.kstest(transform(inside), cdf).pvalue > P_VALUE, law


def test_times_of_every_stretch_are_stratified():
    """Any 64 consecutive times are spread evenly: their discrepancy is below 0.05, where independent ones have 0.1."""
    process = ReferenceVP()
    u = (quantiles(Uniform(), process, 4000) - process.t_min) / (process.horizon - process.t_min)
    for first in (0, 17, 1000, 3900):
        part = np.sort(u[first : first + 64])
        steps = np.arange(65) / 64
        assert max(np.abs(part - steps[1:]).max(), np.abs(part - steps[:-1]).max()) < 0.05


def test_times_change_with_the_seed_and_keep_the_dtype():
    like = torch.empty(5, 2)
    times = [Uniform().sample(ReferenceVP(), like, Generator(seed)) for seed in (1, 1, 2)]
    assert torch.equal(times[0], times[1])
    assert not torch.equal(times[0], times[2])
    assert times[0].dtype == torch.float32
