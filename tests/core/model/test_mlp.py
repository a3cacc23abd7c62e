"""The multilayer perceptron: its embedding in closed form, its reverse pass, its classes, and what it refuses."""

import math

import pytest
import torch
from torch import nn

from difrun.builtin.options import MLPOptions
from difrun.config import TrainOptions
from difrun.errors import ConfigError
from difrun.loss import Regression
from difrun.model import (
    MLP,
    LevelEmbedding,
    NetworkModel,
)
from difrun.options import build
from difrun.randomness import torch_generator
from difrun.testing import ReferenceVP
from difrun.training import Trainer


@pytest.mark.parametrize("features", [2, 6, 32])
def test_features_are_cosines_and_sines_of_a_geometric_ladder(features):
    """[cos ω_j c, sin ω_j c] with ω_j from ½, by equal factors, to 32."""
    count = features // 2
    ladder = [0.5 * 64 ** (j / max(1, count - 1)) for j in range(count)]
    levels = [-1.3, 0.0, 0.7]
    expected = [[math.cos(w * c) for w in ladder] + [math.sin(w * c) for w in ladder] for c in levels]
    got = LevelEmbedding(features)(torch.tensor(levels))
    torch.testing.assert_close(got, torch.tensor(expected), rtol=0, atol=2e-5)


@pytest.mark.parametrize("features", [3, 1, 0, -2])
def test_features_that_are_no_pairs_are_refused(features):
    with pytest.raises(ConfigError, match=rf"features.*an even number, at least 2 .*; got {features}"):
        build(MLPOptions, {"features": features}, "model 'mlp'")


def test_the_fewest_features_make_a_network():
    network = MLP((2,), width=4, depth=0, features=build(MLPOptions, {"features": 2}, "mlp").features)
    assert torch.equal(network(torch.ones(3, 2), torch.zeros(1)), torch.zeros(3, 2))


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("shape", [(2,), (2, 3)])
def test_the_reverse_pass_is_that_of_autograd(shape, depth):
    """F and ∂L/∂θ of `pullback` in float64, added to what is in `.grad`; a frozen weight stays frozen."""
    generator = torch.Generator().manual_seed(0)
    network = MLP(shape, width=5, depth=depth, features=4).double()
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    network.first.weight.requires_grad_(False)
    x = torch.randn((7, *shape), generator=generator, dtype=torch.float64)
    level = torch.randn(7, generator=generator, dtype=torch.float64)
    direction = torch.randn((7, *shape), generator=generator, dtype=torch.float64)
    trained = [p for p in network.parameters() if p.requires_grad]
    expected = torch.autograd.grad((network(x, level) * direction).sum(), trained)
    for parameter in trained:
        parameter.grad = torch.ones_like(parameter)
    output, pull = network.pullback(x, level)
    pull(direction)
    torch.testing.assert_close(output, network(x, level), rtol=1e-12, atol=1e-12)
    for parameter, gradient in zip(trained, expected, strict=True):
        torch.testing.assert_close(parameter.grad, 1 + gradient, rtol=1e-11, atol=1e-11)
    assert network.first.weight.grad is None


@pytest.mark.parametrize("weight", [lambda at, data_std: at.var, lambda at, data_std: 1.0])
@pytest.mark.parametrize("kind", ["noise", "x0"])
def test_a_network_with_a_reverse_pass_trains_like_one_without(kind, weight):
    """Ten steps of training in float64: the same losses and the same weights."""
    data = torch.randn((64, 2), generator=torch.Generator().manual_seed(2)).double()
    options = TrainOptions(steps=10, batch=16)

    def trained(network_class: type[nn.Module]) -> Trainer:
        network = network_class((2,), width=8, depth=2, features=4).double()
        generator = torch.Generator().manual_seed(3)
        for parameter in network.parameters():
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        model = NetworkModel(network, ReferenceVP(), (2,), predicts="noise")
        trainer = Trainer(model, Regression(kind, weight), data, options, seed=4)
        trainer.run()
        return trainer

    class Plain(MLP):
        pullback = None

    fast, plain = trained(MLP), trained(Plain)
    torch.testing.assert_close(fast.losses, plain.losses, rtol=1e-6, atol=0)
    torch.testing.assert_close(fast.flat.weights, plain.flat.weights, rtol=1e-9, atol=1e-9)


def test_classes_add_one_table_of_weights_and_change_nothing_else():
    """classes=0 has no more parameters; with classes the others are the same, and at first no label matters."""
    networks = []
    for classes in (0, 3):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            networks.append(MLP((2,), classes=classes, width=16))
    plain, of_classes = networks
    extra = set(of_classes.state_dict()) - set(plain.state_dict())
    assert extra == {"labels.weight"}
    assert all(torch.equal(of_classes.state_dict()[name], v) for name, v in plain.state_dict().items())
    x, level = torch.randn((4, 2), generator=torch_generator(0)), torch.zeros(4)
    assert torch.equal(of_classes(x, level, torch.tensor([-1, 0, 1, 2])), plain(x, level))
