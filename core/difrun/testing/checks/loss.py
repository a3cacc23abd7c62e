"""Rules for losses of Gaussian processes."""

from typing import Any

import torch
from torch import Tensor, nn

from difrun.data.mixture import GaussianMixture
from difrun.loss.base import Loss, Regression
from difrun.model.exact import ExactMixture
from difrun.model.mlp import MLP
from difrun.model.network import NetworkModel
from difrun.model.predictions import conversion
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator
from difrun.testing.checks.model import ensure_gradient
from difrun.testing.references import Disturbed, two_gaussians
from difrun.testing.rules import GAUSSIAN_RUN, ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.verdict import (
    NotTried,
    ensure,
    ensure_close,
    ensure_different,
    ensure_equal,
    ensure_finite,
    name_of,
)

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
    for process in subject.vanishing:
        model = network_model(process)
        drawn = loss.draw(model, x0, Generator(2))
        for name, value in drawn.items():
            ensure_equal(len(value), 64, f"the rows of {name}, which is drawn for 64 examples,")
            ensure(
                not value.requires_grad,
                f"{name}, which is drawn, requires a gradient",
                "no use of the weights",
            )
        losses = loss.evaluate(model, drawn)
        ensure_equal(tuple(losses.shape), (64,), "the shape of the losses of 64 examples")
        ensure_finite(losses, f"losses on {name_of(process)}")
        ensure(losses >= 0, f"a loss of {losses.min():.4g} on {name_of(process)}", "at least 0")
        part = loss.evaluate(model, {name: value[11:20] for name, value in drawn.items()})
        ensure_close(part, losses[11:20], "the losses of a slice", rtol=1e-4, atol=1e-6)


@check("loss", alone_in=USABLE)
def reaches_every_parameter(subject: ComponentUnderTest) -> None:
    """Its gradient exists, is finite and is not zero for every parameter of a network."""
    for process in subject.vanishing:
        model = network_model(process)
        subject.make()(model, data(256), Generator(2)).mean().backward()
        for name, parameter in model.network.named_parameters():
            ensure_gradient(name, parameter.grad)


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
        ensure_close(loss.mean(model, drawn), expected, "mean", rtol=1e-10)
        size = sum(float(gradient.square().sum()) for gradient in gradients) ** 0.5
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, size)
        ensure_close(loss.backward(model, drawn), expected, "what backward returns", rtol=1e-10)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            assert parameter.grad is not None  # for the type checker
            added = parameter.grad - size
            ensure_close(added, gradient, "what backward adds to .grad", rtol=1e-8, atol=1e-8 * size)


@check("loss", alone_in=USABLE)
def is_least_for_the_exact_model(subject: ComponentUnderTest) -> None:
    """L(exact + δh) is L + δ² k with k > 0: larger by 5 standard errors, with a first-order term below 5 of them.

    h is an error of the noise prediction, in three forms. Pairs with δ = ±0.3 have equal times and noise; n = 20 000.
    A loss whose `minimiser` is not "mean", such as Huber's, is tried with data of one Gaussian, for which x_0 given x_t
    is symmetric, and least where it is: at the mean.
    """
    loss = subject.make()
    mixture = two_gaussians() if loss.minimiser == "mean" else _one_gaussian()
    x0 = mixture.sample(20000, torch.Generator().manual_seed(1))
    for process in subject.partners:
        model = ExactMixture(mixture, process)
        best, *others = _losses(loss, model, x0)
        for name, (plus, minus) in zip(ERRORS, others, strict=True):
            excess, slope = 0.5 * (plus + minus) - best, 0.5 * (plus - minus)
            what = f"on {name_of(process)}, with an error {name}, the loss"
            gain, bar = float(excess.mean()), 5 * float(_standard_error(excess))
            ensure(
                gain > bar, f"{what} of a disturbed model is larger by {gain:.4g}", f"more than 0 + {bar:.2g}"
            )
            first, bar = float(slope.mean()), 5 * float(_standard_error(slope))
            ensure(abs(first) < bar, f"{what} changes by {first:.4g} in first order", f"0 ± {bar:.2g}")


def _one_gaussian() -> GaussianMixture:
    return GaussianMixture([1.0], [[1.0, -0.5]], [[[0.4, 0.1], [0.1, 0.3]]])


@check("loss", alone_in=USABLE)
def weighs_errors_as_declared(subject: ComponentUnderTest) -> None:
    """An error δh of the noise prediction adds w(t) (q δ)² ‖h‖²/d to the loss of its example, to 1e-6.

    This rule is for a `Regression` on a kind, with the weight w that it declares and the factor q from the noise to
    that kind; other losses declare no weight. The average over ±δh removes what the exact model does not know of x_0.
    """
    loss, x0 = subject.make(), data(200, torch.float64)
    if not isinstance(loss, Regression):
        raise NotTried("it is no Regression, and declares no weight")
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
            share = (gap.abs() / scale).max().item()
            what = f"on {name_of(process)}, with an error {name}, the loss"
            ensure(
                share <= 1e-6, f"{what} grows by something else than declared: off by {share:.2g}", "0 ± 1e-6"
            )


@check("loss", alone_in=USABLE)
def is_random_only_through_its_generator(subject: ComponentUnderTest) -> None:
    """One seed gives one loss, another seed a different one; inputs and global random states do not change."""
    loss, x0 = subject.make(), data(32)
    before = x0.clone()
    model = network_model(subject.partners[0])
    with global_randomness_untouched():
        first, again, other = (loss(model, x0, Generator(seed)) for seed in (3, 3, 4))
    ensure_equal(again, first, "the loss of one seed, twice,")
    ensure_different(first, other, "the loss of seed 4", "another than that of seed 3")
    ensure_equal(x0, before, "the examples, after the loss,")


def _losses(loss: Loss, model: ExactMixture, x0: Tensor, seed: int = 5) -> list[Any]:
    """The loss per example of the exact model, then (plus, minus) of each disturbance, all with one seed."""
    losses: list[Any] = [loss(model, x0, Generator(seed))]
    for error in ERRORS.values():
        losses.append([loss(Disturbed(model, size, error), x0, Generator(seed)) for size in (0.3, -0.3)])
    return losses


def _standard_error(values: Tensor) -> Tensor:
    return values.std() / len(values) ** 0.5
