"""Rules for networks, and for exact models of Gaussian processes."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.model.predictions import PREDICTIONS
from difrun.plugin.signatures import Lazy
from difrun.process.base import ForwardProcess
from difrun.testing.check import GAUSSIAN_RUN, ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.checks.process import spread_times
from difrun.testing.references import two_gaussians

NETWORK = {"network"}
EXACT = {"exact"}
SHAPES = ((2,), (5,), (1, 16, 16), (3, 32, 32))


def make_network(
    subject: ComponentUnderTest,
    shape: tuple[int, ...],
    classes: int = 0,
    condition_shape: tuple[int, ...] | None = None,
) -> nn.Module:
    """A new network, which may also ask for examples of its shape and for a process."""

    def examples() -> Dataset:
        return Dataset(name="zeros", train=torch.zeros(20, *shape), held_out=torch.zeros(20, *shape))

    with torch.random.fork_rng(devices=[]):
        return subject.make(
            shape=shape,
            classes=classes,
            condition_shape=condition_shape,
            dataset=Lazy(examples),
            process=subject.partners[0],
        )


def networks(
    subject: ComponentUnderTest, classes: int = 0, condition_shape: tuple[int, ...] | None = None
) -> list[tuple[nn.Module, Tensor]]:
    """The network for every shape that it takes, with no weight at zero, and 4 inputs.

    A network refuses a shape by raising DifrunError.
    """
    accepted = []
    for shape in SHAPES:
        try:
            network = make_network(subject, shape, classes, condition_shape)
        except DifrunError:
            continue
        draw = torch.Generator().manual_seed(0)
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=draw)
        accepted.append((network.eval(), torch.randn((4, *shape), generator=draw)))
    assert accepted, f"{subject.label} takes none of the shapes {SHAPES}"
    return accepted


@check("model", provides=NETWORK)
def gives_what_it_gets(subject: ComponentUnderTest) -> None:
    """F(x, c) is finite and has the shape and dtype of x, in float32 and after .double(), for c from −5 to 5."""
    for network, x in networks(subject):
        for level in (-5.0, -0.5, 0.0, 5.0):
            output = network(x, torch.full((4,), level))
            assert output.shape == x.shape
            assert output.dtype == x.dtype
            assert output.isfinite().all()
        assert network.double()(x.double(), torch.zeros(4).double()).dtype == torch.float64


@check("model", provides=NETWORK)
def uses_its_noise_level(subject: ComponentUnderTest) -> None:
    """One level (1,) for all gives the output of equal levels (n,), to 1e-9 in float64; another level changes it."""
    for network, x in networks(subject):
        network, x = network.double(), x.double()
        together = network(x, torch.full((4,), 0.3).double())
        torch.testing.assert_close(network(x, torch.full((1,), 0.3).double()), together, rtol=1e-9, atol=1e-9)
        assert not torch.allclose(network(x, torch.full((4,), -0.3).double()), together, rtol=1e-3, atol=1e-4)


@check("model", provides=NETWORK)
def keeps_examples_apart(subject: ComponentUnderTest) -> None:
    """Output i depends on example i and level i alone, in float64 to 1e-9."""
    for network, x in networks(subject):
        network, x = network.double(), x.double()
        level = torch.tensor([-1.0, 0.0, 0.5, 1.0], dtype=torch.float64)
        alone = torch.cat([network(x[i : i + 1], level[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(network(x, level), alone, rtol=1e-9, atol=1e-9)


@check("model", provides=NETWORK)
def gives_every_parameter_a_gradient(subject: ComponentUnderTest) -> None:
    """Once no weight is zero, every parameter has a finite gradient that is not zero."""
    for network, x in networks(subject):
        network(x, torch.tensor([-1.0, 0.0, 0.5, 1.0])).square().sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().sum() > 0, name


@check("model", provides=NETWORK)
def reverses_as_autograd_does(subject: ComponentUnderTest) -> None:
    """A `pullback` (`difrun.model.backward`) gives the output and adds autograd's gradients: in float64, to 1e-8."""
    for network, x in networks(subject):
        pullback: Any = getattr(network, "pullback", None)
        if pullback is None:
            continue
        network, x = network.double(), x.double()
        level = torch.tensor([-1.0, 0.0, 0.5, 1.0], dtype=torch.float64)
        output = network(x, level)
        gradients = torch.autograd.grad(output.square().sum(), list(network.parameters()))
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        explicit, pull = pullback(x, level)
        pull(2 * explicit)
        torch.testing.assert_close(explicit, output, rtol=1e-10, atol=1e-10)
        for (name, parameter), gradient in zip(network.named_parameters(), gradients, strict=True):
            assert parameter.grad is not None, name
            torch.testing.assert_close(parameter.grad - 1, gradient, rtol=1e-8, atol=1e-8)


@check("model", provides=NETWORK | {"conditional"})
def knows_its_classes(subject: ComponentUnderTest) -> None:
    """With classes=3, F(x, c, y) takes y = −1 to 2 as (n,) int64.

    In float64, to 1e-9, output i depends on label i alone, and every label gives another output. Every parameter has a
    gradient, and a `pullback` gives those of autograd to 1e-8.
    """
    for network, x in networks(subject, classes=3):
        network, x = network.double(), x.double()
        level, labels = torch.full((1,), 0.3).double(), torch.tensor([-1, 0, 1, 2])
        output = network(x, level, labels)
        alone = torch.cat([network(x[i : i + 1], level, labels[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(output, alone, rtol=1e-9, atol=1e-9)
        same = x[:1].expand_as(x)
        each = network(same, level, labels).flatten(1)
        assert torch.pdist(each).min() > 1e-6, "two labels give one output"
        gradients = torch.autograd.grad(output.square().sum(), list(network.parameters()), allow_unused=True)
        for (name, parameter), gradient in zip(network.named_parameters(), gradients, strict=True):
            assert gradient is not None, name
            assert gradient.abs().sum() > 0, name
            parameter.grad = torch.ones_like(parameter)
        pullback: Any = getattr(network, "pullback", None)
        if pullback is None:
            continue
        explicit, pull = pullback(x, level.expand(4), labels)
        pull(2 * explicit)
        torch.testing.assert_close(explicit, output, rtol=1e-10, atol=1e-10)
        for (name, parameter), gradient in zip(network.named_parameters(), gradients, strict=True):
            assert parameter.grad is not None, name
            torch.testing.assert_close(parameter.grad - 1, gradient, rtol=1e-8, atol=1e-8)


@check("model", provides=NETWORK)
def knows_its_condition(subject: ComponentUnderTest) -> None:
    """A network that asks for `condition_shape` takes c (n, *condition_shape) as a third argument, NaN for unknown.

    In float64, to 1e-9, output i depends on condition i alone; values and gaps make a difference. Every parameter has a
    gradient, and a `pullback` gives those of autograd to 1e-8.
    """
    if not subject.entry.asks_for("condition_shape"):
        return
    for network, x in networks(subject, condition_shape=(2,)):
        network, x = network.double(), x.double()
        gap = math.nan
        level, given = (
            torch.full((1,), 0.3).double(),
            torch.tensor([[gap, gap], [0.0, 0], [1, -2], [1, gap]]).double(),
        )
        output = network(x, level, given)
        assert output.isfinite().all()
        alone = torch.cat([network(x[i : i + 1], level, given[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(output, alone, rtol=1e-9, atol=1e-9)
        each = network(x[:1].expand_as(x), level, given).flatten(1)
        assert torch.pdist(each).min() > 1e-6, "two conditions give one output"
        gradients = torch.autograd.grad(output.square().sum(), list(network.parameters()), allow_unused=True)
        for (name, parameter), gradient in zip(network.named_parameters(), gradients, strict=True):
            assert gradient is not None, name
            assert gradient.abs().sum() > 0, name
            parameter.grad = torch.ones_like(parameter)
        pullback: Any = getattr(network, "pullback", None)
        if pullback is None:
            continue
        explicit, pull = pullback(x, level.expand(4), given)
        pull(2 * explicit)
        torch.testing.assert_close(explicit, output, rtol=1e-10, atol=1e-10)
        for (name, parameter), gradient in zip(network.named_parameters(), gradients, strict=True):
            assert parameter.grad is not None, name
            torch.testing.assert_close(parameter.grad - 1, gradient, rtol=1e-8, atol=1e-8)


@check("model", provides=NETWORK)
def is_restored_by_its_state(subject: ComponentUnderTest) -> None:
    """A new network with the loaded state dict gives the same outputs; so does a deep copy (for the EMA)."""
    for network, x in networks(subject):
        level = torch.tensor([-1.0, 0.0, 0.5, 1.0])
        fresh = make_network(subject, tuple(x.shape[1:])).eval()
        fresh.load_state_dict(network.state_dict())
        assert torch.equal(fresh(x, level), network(x, level))
        assert torch.equal(copy.deepcopy(network)(x, level), network(x, level))


@check("model", provides=NETWORK)
def evaluates_without_randomness(subject: ComponentUnderTest) -> None:
    """In evaluation mode two calls agree and no global random state is used."""
    for network, x in networks(subject):
        with global_randomness_untouched():
            first = network(x, torch.zeros(4))
            assert torch.equal(first, network(x, torch.zeros(4)))


def exact_model(subject: ComponentUnderTest, process: ForwardProcess) -> Any:
    """The exact model of two Gaussians, or of examples from them."""
    mixture = two_gaussians()
    draw = torch.Generator().manual_seed(1)
    data = Dataset(
        name="two", train=mixture.sample(50, draw), held_out=mixture.sample(20, draw), distribution=mixture
    )
    return subject.make(process=process, dataset=data, shape=data.shape, classes=0)


@check("model", provides=EXACT, alone_in=GAUSSIAN_RUN)
def predicts_one_answer_in_every_kind(subject: ComponentUnderTest) -> None:
    """All kinds come from one pair x̂_0 and ε̂ with x = μ + α(x̂_0 − μ) + σε̂, from t_min to T.

    This holds for a number and for a batch of times.
    """
    for process in subject.partners:
        model = exact_model(subject, process)
        data = two_gaussians().sample(6, torch.Generator().manual_seed(2))
        for t in spread_times(process, 5):
            x = process.sample(data, t, 3)
            at = process.at(t)
            batch = process.at(torch.full((6,), t, dtype=torch.float64), 2)
            centre = process.centre_like(x)
            x0, noise = model.predict(x, at, "x0") - centre, model.predict(x, at, "noise")
            assert x0.dtype == torch.float64
            torch.testing.assert_close(at.alpha * x0 + at.sigma * noise, x - centre, rtol=1e-9, atol=1e-9)
            for kind, row in PREDICTIONS.items():
                a, b = row(at)
                expected = a * x0 + b * noise + (centre if kind == "x0" else 0)
                scale = abs(a) + abs(b) + 1
                got = model.predict(x, at, kind)
                torch.testing.assert_close(got / scale, expected / scale, rtol=1e-7, atol=1e-7)
                torch.testing.assert_close(
                    model.predict(x, batch, kind) / scale, got / scale, rtol=1e-7, atol=1e-7
                )


@check("model", provides=EXACT, alone_in=GAUSSIAN_RUN)
def is_finite_in_float32_at_both_ends(subject: ComponentUnderTest) -> None:
    """At t_min and at T the score and x̂_0 of float32 points are finite float32, and x̂_0 is right to 1e-3."""
    for process in subject.partners:
        model = exact_model(subject, process)
        for t in (process.t_min, process.horizon):
            at = process.at(t)
            x = process.sample(two_gaussians().sample(6, torch.Generator().manual_seed(2)), t, 3)
            for kind in ("x0", "score"):
                got = model.predict(x.float(), at, kind)
                assert got.dtype == torch.float32
                assert got.isfinite().all()
            truth = model.predict(x.float().double(), at, "x0")
            assert model.predict(x.float(), at, "x0").double() == pytest.approx(truth, abs=1e-3)
