"""What has a fast path gives what the plain path gives."""

import pytest
import torch
from torch import Tensor, nn

from difrun.config import TrainOptions
from difrun.loss import Loss, Regression
from difrun.model import MLP, PREDICTIONS, Counted, NetworkModel, ScoreModel
from difrun.process import GaussianProcess, Instant
from difrun.randomness import Generator
from difrun.sampler import Euler, Heun
from difrun.training import Trainer


class OU(GaussianProcess):
    """dx = −(x − μ) dt + √2 dw."""

    horizon = 4.0

    def __init__(self, centre=0.0):
        self.centre = centre

    def log_alpha(self, t: Tensor) -> Tensor:
        return -t

    def variance(self, t: Tensor) -> Tensor:
        return -torch.expm1(-2 * t)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2).requires_grad_(False)
        generator = torch.Generator().manual_seed(0)
        self.layer.weight.copy_(torch.randn((2, 2), generator=generator))
        self.layer.bias.copy_(torch.randn(2, generator=generator))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.layer(x).sin() + level[:, None]


X = torch.randn((50, 2), generator=torch.Generator().manual_seed(1)).double()


def network_model(centre, scaled: bool, predicts: str) -> NetworkModel:
    given = {"mean": torch.tensor([0.3, -0.4]), "var": torch.tensor([0.5, 1.5])} if scaled else {}
    return NetworkModel(Net().double(), OU(centre), (2,), predicts=predicts, scaled=scaled, **given)


@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("predicts", ["x0", "noise", "v", "edm"])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("centre", [0.0, (0.5, -1.0)])
def test_carry_is_a_x_plus_b_prediction(centre, scaled, predicts, kind):
    model = network_model(centre, scaled, predicts)
    at = model.process.at(0.7)
    plain = 0.8 * X - 0.3 * model.predict(X, at, kind)
    torch.testing.assert_close(model.affine_prediction(X, at, kind, 0.8, -0.3), plain, rtol=1e-10, atol=1e-10)
    counted = Counted(model)
    torch.testing.assert_close(
        counted.affine_prediction(X, at, kind, 0.8, -0.3), plain, rtol=1e-10, atol=1e-10
    )
    assert counted.evaluations == 1


@pytest.mark.parametrize("predicts", ["noise", "edm"])
def test_steps_are_those_of_the_formulas(predicts):
    """Euler and Heun as their docstrings have them, in y = x/(α + σ) and τ = σ/(α + σ)."""
    model = network_model(0.0, False, predicts)
    at, to = model.process.instants([0.9, 0.6])
    here, there = at.alpha + at.sigma, to.alpha + to.sigma
    h = to.sigma / there - at.sigma / here

    def flow(y: Tensor, where: Instant) -> Tensor:
        x = y * (where.alpha + where.sigma)
        return model.predict(x, where, "noise") - model.predict(x, where, "x0")

    y = X / here
    ahead = y + h * flow(y, at)
    torch.testing.assert_close(
        Euler().step(model, X, at, to, None, None)[0], there * ahead, rtol=1e-10, atol=1e-10
    )
    end = y + h * (flow(y, at) + flow(ahead, to)) / 2
    torch.testing.assert_close(
        Heun().step(model, X, at, to, None, None)[0], there * end, rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("kind", ["score", "x0"])
@pytest.mark.parametrize(
    "weight",
    [lambda at, data_std: at.var, lambda at, data_std: torch.ones_like(at.alpha), lambda at, data_std: 2.0],
)
def test_mean_of_a_loss_is_the_mean_of_its_values(weight, kind):
    """And the value is w(t) ‖k_θ − k‖²/d, computed here from the prediction itself."""
    model = network_model((0.5, -1.0), True, "edm")
    loss = Regression(kind, weight)
    examples = loss.draw(model, X, Generator(3))
    values = loss.evaluate(model, examples)
    assert values.shape == (50,)
    torch.testing.assert_close(loss.mean(model, examples), values.mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(Loss.mean(loss, model, examples), values.mean(), rtol=1e-12, atol=0)


def test_instants_of_a_grid_are_those_of_its_times():
    """Every field of a grid's instants against the tensor formula at that time, in whatever order they are read."""
    process = OU()
    times = [4.0, 1.3, 0.2, process.t_min]
    fields = ("g2", "alpha", "d_sigma", "f", "sigma", "var", "lam", "d_alpha", "d_var", "log_alpha")
    for at, t in zip(process.instants(times), times, strict=True):
        direct = Instant(process, torch.tensor(t, dtype=torch.float64))
        assert at.t == t
        for name in fields:
            value = getattr(at, name)
            assert isinstance(value, float)
            assert value == pytest.approx(float(getattr(direct, name)), rel=1e-14)


def test_plain_models_carry_by_their_prediction():
    class Constant(ScoreModel):
        def predict(self, x, at, kind):
            return torch.full_like(x, 3.0)

    assert torch.equal(Constant().affine_prediction(X, None, "x0", 2.0, -1.0), 2 * X - 3)


@pytest.mark.parametrize("weight", [lambda at, data_std: at.var, lambda at, data_std: 1.0])
@pytest.mark.parametrize("kind", ["noise", "x0"])
def test_a_network_with_a_reverse_pass_trains_like_one_without(kind, weight):
    """Ten steps of training in float64: the same losses and the same weights."""
    data = torch.randn((64, 2), generator=torch.Generator().manual_seed(2)).double()
    options = TrainOptions(steps=10, batch=16)

    def trained(sort: type[nn.Module]) -> Trainer:
        network = sort((2,), width=8, depth=2, features=4).double()
        generator = torch.Generator().manual_seed(3)
        for parameter in network.parameters():
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        model = NetworkModel(network, OU(), (2,), predicts="noise")
        trainer = Trainer(model, Regression(kind, weight), data, options, seed=4)
        trainer.run()
        return trainer

    class Plain(MLP):
        pullback = None

    fast, plain = trained(MLP), trained(Plain)
    torch.testing.assert_close(fast.losses, plain.losses, rtol=1e-6, atol=0)
    torch.testing.assert_close(fast.flat.weights, plain.flat.weights, rtol=1e-9, atol=1e-9)
