"""Losses and their weights in closed form."""

import math

import pytest
import torch
from tests.core.networks import Wave

from difrun.data import GaussianMixture
from difrun.loss import WEIGHTS, LogSNR, Loss, Regression, TimeDistribution
from difrun.loss.base import edm, score_matching, snr, uniform
from difrun.model import ExactMixture, NetworkModel, TrainableModel, conversion
from difrun.randomness import Generator
from difrun.testing import ReferenceFlow, ReferenceVE, ReferenceVP, two_gaussians

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
        network = Wave().double()
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

    at = ReferenceFlow().at(1.0)
    assert [WEIGHTS[name](at, 0.5) for name in ("uniform", "snr", "min-snr", "edm")] == [1.0, 0.0, 0.0, 4.0]


def test_the_weight_gets_the_standard_deviation_of_the_data():
    """σ_d² is the mean variance of the data, for a network and for an exact model; what is given goes first."""
    seen = []

    def spy(at, data_std):
        seen.append(data_std)
        return uniform(at, data_std)

    mixture, process = two_gaussians(), ReferenceVP()
    x0 = mixture.sample(4, torch.Generator().manual_seed(1))
    network = NetworkModel(Wave().double(), process, (2,), mean=mixture.mean, var=mixture.var)
    for model in (network, ExactMixture(mixture, process)):
        Regression("x0", spy)(model, x0, Generator(1))
    Regression("x0", spy, data_std=0.25)(network, x0, Generator(1))
    expected = math.sqrt(mixture.var.mean())
    assert seen == [pytest.approx(expected, rel=1e-6), pytest.approx(expected, rel=1e-12), 0.25]


def test_gradients_do_not_reach_what_was_drawn():
    """Examples drawn once serve many steps: they hold no graph, and the gradient is that of the whole loss."""
    process = ReferenceVP()
    x0 = two_gaussians().sample(40, torch.Generator().manual_seed(1))
    network = Wave().double()
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


class Shifted(ReferenceVP):
    centre = (0.5, -1.0)


@pytest.mark.parametrize("kind", ["score", "x0"])
@pytest.mark.parametrize(
    "weight",
    [lambda at, data_std: at.var, lambda at, data_std: torch.ones_like(at.alpha), lambda at, data_std: 2.0],
)
def test_mean_of_a_loss_is_the_mean_of_its_values(weight, kind):
    """And the value is w(t) ‖k_θ − k‖²/d, computed here from the prediction itself."""
    x0 = torch.randn((50, 2), generator=torch.Generator().manual_seed(1)).double()
    mean, var = torch.tensor([0.3, -0.4]), torch.tensor([0.5, 1.5])
    model = NetworkModel(Wave().double(), Shifted(), (2,), predicts="edm", mean=mean, var=var)
    loss = Regression(kind, weight)
    examples = loss.draw(model, x0, Generator(3))
    values = loss.evaluate(model, examples)
    assert values.shape == (50,)
    torch.testing.assert_close(loss.mean(model, examples), values.mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(Loss.mean(loss, model, examples), values.mean(), rtol=1e-12, atol=0)
