"""Losses in closed form, and distributions of the training time against SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.loss import WEIGHTS, LogitNormal, LogNormal, LogSNR, Regression, TimeDistribution, Uniform
from difrun.loss.base import edm, min_snr, score_matching, snr, uniform
from difrun.loss.x0 import min_snr_loss
from difrun.loss.x0 import x0 as x0_loss
from difrun.model import ExactMixture, NetworkModel, TrainableModel, conversion
from difrun.process import GaussianProcess
from difrun.randomness import Generator
from difrun.testing import ReferenceVE, ReferenceVP, two_gaussians

N = 20000
P_VALUE = 1e-6
"""About 5 standard errors."""


class Fixed(TimeDistribution):
    """All examples at one time."""

    def __init__(self, t):
        self.t = t

    def quantile(self, process, u):
        return torch.full_like(u, self.t)


class Zero(TrainableModel):
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

    for predicts in ("edm", "noise", "v", "x0"):
        network = _Wave().double()
        model = NetworkModel(network, process, (2,), predicts=predicts, mean=x0.mean(0), var=x0.var(0))
        losses = [
            Regression(kind, weight, LogSNR())(model, x0, Generator(4))
            for kind, weight in (("noise", uniform), ("score", score_matching), ("x0", snr))
        ]
        torch.testing.assert_close(losses[1], losses[0], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(losses[2], losses[0], rtol=1e-9, atol=1e-12)


RATIOS = [0.002, 0.3, 0.5, 1.0, 7.0, 15.0]


@pytest.mark.parametrize("data_std", [0.5, 1.6])
@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE()], ids=["vp", "ve"])
def test_weights_are_their_formulas(process, data_std):
    """In terms of ς = σ/α: 1/ς², min(1/ς², γ), (ς² + σ_d²)/(ς σ_d)² = 1/c_out²; for numbers and for tensors."""
    times = process.time_at(-torch.tensor(RATIOS, dtype=torch.float64).log())
    batch = process.at(times, 2)
    for k, at in enumerate(process.instants(times.tolist())):
        ratio = at.sigma / at.alpha
        _, out = conversion(at, "edm", "x0", data_std)
        expected = {
            "uniform": 1.0,
            "snr": ratio**-2,
            "min-snr": min(ratio**-2, 5.0),
            "edm": (ratio**2 + data_std**2) / (ratio * data_std) ** 2,
        }
        assert set(expected) == set(WEIGHTS)
        for name, weight in WEIGHTS.items():
            assert weight(at, data_std) == pytest.approx(expected[name], rel=1e-12), name
            each = torch.as_tensor(weight(batch, data_std)).expand(batch.alpha.shape)
            assert each[k].item() == pytest.approx(expected[name], rel=1e-12), name
        assert edm(at, data_std) == pytest.approx(out**-2, rel=1e-12)
        assert score_matching(at, data_std) == at.var


def test_weights_are_finite_where_nothing_of_the_data_is_left():
    """α = 0: SNR and min-SNR are 0, edm is 1/σ_d²."""

    class Straight(GaussianProcess):
        horizon = 1.0

        def log_alpha(self, t):
            return torch.log1p(-t)

        def alpha(self, t):
            return 1 - t

        def variance(self, t):
            return t**2

    at = Straight().at(1.0)
    assert [WEIGHTS[name](at, 0.5) for name in ("uniform", "snr", "min-snr", "edm")] == [1.0, 0.0, 0.0, 4.0]


@pytest.mark.parametrize("gamma", [0.5, 5.0, 40.0])
def test_min_snr_is_the_snr_loss_up_to_its_bound(gamma):
    """For each example: the loss of the noise where SNR ≤ γ, and γ/SNR of it elsewhere; both happen."""
    process = ReferenceVP()
    x0 = two_gaussians().sample(400, torch.Generator().manual_seed(1))
    model = NetworkModel(_Wave().double(), process, (2,), mean=x0.mean(0), var=x0.var(0))
    drawn = min_snr_loss(gamma=gamma).draw(model, x0, Generator(4))
    # 1/SNR from the level ¼ ln(σ/α) that the network is given.
    inverse = torch.exp(8 * drawn["level"].double()).flatten()
    noise = Regression("noise", uniform, LogSNR())(model, x0, Generator(4))
    bounded = min_snr_loss(gamma=gamma)(model, x0, Generator(4))
    above = gamma * inverse < 1
    assert 50 < above.sum() < 350
    torch.testing.assert_close(bounded[~above], noise[~above], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(bounded[above], (gamma * inverse * noise)[above], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("weighting", list(WEIGHTS))
def test_the_loss_of_x0_is_weighted_by_name(weighting):
    """Per example, w times the plain loss of x_0, with σ_d that of the model."""
    process = ReferenceVE()
    x0 = two_gaussians().sample(60, torch.Generator().manual_seed(1))
    model = NetworkModel(_Wave().double(), process, (2,), mean=x0.mean(0), var=x0.var(0))
    plain = x0_loss(times="log-normal")
    drawn = plain.draw(model, x0, Generator(4))
    snr_ = torch.exp(-8 * drawn["level"].double()).flatten()
    data_var = x0.var(0).mean()
    weight = {
        "uniform": torch.ones_like(snr_),
        "snr": snr_,
        "min-snr": snr_.clamp(max=5),
        "edm": snr_ + 1 / data_var,
    }
    weighted = x0_loss(weighting=weighting, times="log-normal")(model, x0, Generator(4))
    torch.testing.assert_close(
        weighted, weight[weighting] * plain(model, x0, Generator(4)), rtol=1e-5, atol=1e-9
    )


def test_the_weight_gets_the_standard_deviation_of_the_data():
    """σ_d² is the mean variance of the data, for a network and for an exact model; what is given goes first."""
    seen = []

    def spy(at, data_std):
        seen.append(data_std)
        return uniform(at, data_std)

    mixture, process = two_gaussians(), ReferenceVP()
    x0 = mixture.sample(4, torch.Generator().manual_seed(1))
    network = NetworkModel(_Wave().double(), process, (2,), mean=mixture.mean, var=mixture.var)
    for model in (network, ExactMixture(mixture, process)):
        Regression("x0", spy)(model, x0, Generator(1))
    Regression("x0", spy, data_std=0.25)(network, x0, Generator(1))
    expected = math.sqrt(mixture.var.mean())
    assert seen == [pytest.approx(expected, rel=1e-6), pytest.approx(expected, rel=1e-12), 0.25]


def test_the_named_losses_are_combinations():
    assert x0_loss(weighting="edm", times="uniform") == Regression("x0", edm, Uniform())
    assert x0_loss() == Regression("x0", uniform, LogSNR())
    built = min_snr_loss(gamma=2.0, times="logit-normal")
    assert (built.kind, built.times) == ("x0", LogitNormal())
    at = ReferenceVE().at(0.1)
    assert built.weight(at, 1.0) == 2.0 == min_snr(2.0)(at, 1.0)


class _Wave(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.7, -0.4]))

    def forward(self, x, level):
        return torch.sin(x) * self.weight + level[:, None]


def test_names_that_are_none_are_refused():
    for make, given, message in (
        (x0_loss, {"weighting": "foo"}, r"'weighting' must be in .*min-snr.* \(got 'foo'\)"),
        (x0_loss, {"times": "foo"}, r"'times' must be in .*logit-normal.* \(got 'foo'\)"),
        (min_snr_loss, {"times": "foo"}, r"'times' must be in .*logit-normal.* \(got 'foo'\)"),
        (min_snr_loss, {"gamma": 0.0}, "'gamma' must be > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**given)


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


def quantiles(distribution, process, n=N):
    like = torch.empty(n, 2, dtype=torch.float64)
    return distribution.sample(process, like, Generator(3)).numpy()


PROCESSES = [ReferenceVP(), ReferenceVE()]


@pytest.mark.parametrize("process", PROCESSES, ids=["vp", "ve"])
def test_times_follow_their_distributions(process):
    """Kolmogorov–Smirnov against SciPy's distributions, cut to the range; every time lies in [t_min, T]."""
    low, high = process.lam_range
    start, end = process.t_min, process.horizon

    def lam(t):
        return process.log_snr(torch.from_numpy(t)).numpy()

    def cut(distribution, a, b):
        return lambda x: (
            (distribution.cdf(x) - distribution.cdf(a)) / (distribution.cdf(b) - distribution.cdf(a))
        )

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
    for distribution, transform, cdf in cases:
        t = quantiles(distribution, process)
        assert t.min() >= start * (1 - 1e-5), distribution
        assert t.max() <= end, distribution
        inside = t[t < end]  # logit(1) = ∞
        assert len(inside) > 0.999 * N
        assert stats.kstest(transform(inside), cdf).pvalue > P_VALUE, distribution


def test_times_that_miss_the_process_are_refused():
    """Less than a millionth of the distribution in the range: an error that names the range."""
    process, u = ReferenceVE(), torch.rand(3, dtype=torch.float64)
    with pytest.raises(
        DifrunError, match=r"normal in ln\(σ/α\) with mean 9 .* from -6.21 to 3\. Choose a mean in"
    ):
        LogNormal(9.0, 0.5).quantile(process, u)
    with pytest.raises(DifrunError, match=r"normal in logit\(t/T\) with mean -20 .* from -9.21 to inf"):
        LogitNormal(-20.0, 1.0).quantile(process, u)
    assert LogNormal(9.0, 2.0).quantile(process, u).isfinite().all()


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
