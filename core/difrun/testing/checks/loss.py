"""Rules for losses of Gaussian processes."""

from typing import Any

import torch
from torch import Tensor, nn

from difrun.loss.base import Loss, Regression
from difrun.model.exact import ExactMixture
from difrun.model.mlp import MLP
from difrun.model.network import NetworkModel
from difrun.model.predictions import conversion
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator
from difrun.testing.check import GAUSSIAN_RUN, ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.references import Disturbed, two_gaussians

USABLE = GAUSSIAN_RUN | {"network"}

ERRORS = {
    "everywhere": lambda x, at: _signal(at) * torch.ones_like(x),
    "in proportion to x": lambda x, at: _signal(at) * x * (at.alpha**2 + at.var) ** -0.5,
    "where noise prevails": lambda x, at: _signal(at) * torch.tanh(x) * at.var / (at.alpha**2 + at.var),
}
"""Errors of the noise prediction. They vanish with α, so that the error of x̂_0, larger by σ/α, is bounded."""


def _signal(at: Any) -> Any:
    return at.alpha * (at.alpha**2 + at.var) ** -0.5


def network_model(process: GaussianProcess) -> NetworkModel:
    """A small network with random weights, for the data of the kit."""
    network = MLP((2,), width=16, depth=1)
    draw = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2, generator=draw)
    mixture = two_gaussians()
    return NetworkModel(network, process, (2,), mean=mixture.mean, var=mixture.var)


def data(n: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Examples (n, 2) of two Gaussians."""
    return two_gaussians().sample(n, torch.Generator().manual_seed(1)).to(dtype)


@check("loss", alone_in=USABLE)
def is_one_finite_number_per_example(subject: ComponentUnderTest) -> None:
    """The loss is finite, at least 0, of shape (n,), on every process; the loss of a slice is a slice of the losses."""
    loss, x0 = subject.make(), data(64)
    for process in subject.partners:
        model = network_model(process)
        drawn = loss.draw(model, x0, Generator(2))
        assert all(len(value) == 64 for value in drawn.values())
        assert not any(value.requires_grad for value in drawn.values()), (
            "what is drawn depends on the weights"
        )
        losses = loss.evaluate(model, drawn)
        assert losses.shape == (64,)
        assert losses.isfinite().all(), process
        assert (losses >= 0).all(), process
        part = loss.evaluate(model, {name: value[10:20] for name, value in drawn.items()})
        torch.testing.assert_close(part, losses[10:20], rtol=1e-4, atol=1e-6)


@check("loss", alone_in=USABLE)
def reaches_every_parameter(subject: ComponentUnderTest) -> None:
    """Its gradient exists, is finite and is not zero for every parameter of a network."""
    for process in subject.partners:
        model = network_model(process)
        subject.make()(model, data(256), Generator(2)).mean().backward()
        for name, parameter in model.network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().sum() > 0, name


@check("loss", alone_in=USABLE)
def trains_on_the_mean_of_its_values(subject: ComponentUnderTest) -> None:
    """`mean` is the mean of `evaluate`, and `backward` adds its gradient to `.grad`, in float64 to 1e-8."""
    loss, x0 = subject.make(), data(64, torch.float64)
    for process in subject.partners:
        model = network_model(process)
        parameters = list(model.network.double().parameters())
        drawn = loss.draw(model, x0, Generator(2))
        expected = loss.evaluate(model, drawn).mean()
        gradients = torch.autograd.grad(expected, parameters)
        torch.testing.assert_close(loss.mean(model, drawn), expected, rtol=1e-10, atol=0)
        size = sum(float(gradient.square().sum()) for gradient in gradients) ** 0.5
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, size)
        torch.testing.assert_close(loss.backward(model, drawn), expected.detach(), rtol=1e-10, atol=0)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            torch.testing.assert_close(parameter.grad - size, gradient, rtol=1e-8, atol=1e-8 * size)


@check("loss", alone_in=USABLE)
def is_least_for_the_exact_model(subject: ComponentUnderTest) -> None:
    """L(exact + δh) is L + δ² k with k > 0: larger by 5 standard errors, with a first-order term below 5 of them.

    h is an error of the noise prediction, in three forms. Pairs with δ = ±0.3 have equal times and noise; n = 20 000.
    """
    loss, x0 = subject.make(), data(20000, torch.float64)
    for process in subject.partners:
        model = ExactMixture(two_gaussians(), process)
        best, *others = _losses(loss, model, x0)
        for name, (plus, minus) in zip(ERRORS, others, strict=True):
            excess = 0.5 * (plus + minus) - best
            assert excess.mean() > 5 * _standard_error(excess), (process, name)
            slope = 0.5 * (plus - minus)
            assert slope.mean().abs() < 5 * _standard_error(slope), (process, name)


@check("loss", alone_in=USABLE)
def weighs_errors_as_declared(subject: ComponentUnderTest) -> None:
    """An error δh of the noise prediction adds w(t) (q δ)² ‖h‖²/d to the loss of its example, to 1e-6.

    This rule is for a `Regression` on a kind, with the weight w that it declares and the factor q from the noise to
    that kind; other losses declare no weight. The average over ±δh removes what the exact model does not know of x_0.
    """
    loss, x0 = subject.make(), data(200, torch.float64)
    if not isinstance(loss, Regression):
        return
    for process in subject.partners:
        model = ExactMixture(two_gaussians(), process)
        drawn = loss.draw(model, x0, Generator(2))
        at = process.at(drawn["t"], x0.ndim)
        weight = torch.as_tensor(loss.weight(at, loss.data_std or model.data_std))
        factor = torch.as_tensor(conversion(at, "noise", loss.kind)[1])
        best, *others = _losses(loss, model, x0, seed=2)
        for (name, error), (plus, minus) in zip(ERRORS.items(), others, strict=True):
            added = weight * (0.3 * factor * error(drawn["x"], at)).square()
            scale = best + 0.5 * (plus + minus)  # of what is subtracted
            gap = 0.5 * (plus + minus) - best - added.flatten(1).mean(1)
            assert (gap.abs() <= 1e-6 * scale).all(), (process, name)


@check("loss", alone_in=USABLE)
def is_random_only_through_its_generator(subject: ComponentUnderTest) -> None:
    """One seed gives one loss, another seed a different one; inputs and global random states do not change."""
    loss, x0 = subject.make(), data(32)
    before = x0.clone()
    model = network_model(subject.partners[0])
    with global_randomness_untouched():
        first, again, other = (loss(model, x0, Generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(x0, before)


def _losses(loss: Loss, model: ExactMixture, x0: Tensor, seed: int = 5) -> list[Any]:
    """The loss per example of the exact model, then (plus, minus) of each disturbance, all with one seed."""
    losses: list[Any] = [loss(model, x0, Generator(seed))]
    for error in ERRORS.values():
        losses.append([loss(Disturbed(model, size, error), x0, Generator(seed)) for size in (0.3, -0.3)])
    return losses


def _standard_error(values: Tensor) -> Tensor:
    return values.std() / len(values) ** 0.5
