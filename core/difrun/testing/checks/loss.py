"""Rules for losses of Gaussian processes."""

from typing import Any

import torch
from torch import Tensor, nn

from difrun.builtin.mlp import MLP
from difrun.exact import ExactMixture
from difrun.gaussian import GaussianProcess
from difrun.model import NetworkModel
from difrun.randomness import Generator
from difrun.testing.references import Disturbed, two_gaussians
from difrun.testing.select import GAUSSIAN_RUN, Subject, check, global_randomness_untouched

USABLE = GAUSSIAN_RUN | {"network"}

ERRORS = {
    "everywhere": lambda x, at: torch.ones_like(x),
    "in proportion to x": lambda x, at: x * (at.alpha**2 + at.var) ** -0.5,
    "where noise prevails": lambda x, at: torch.tanh(x) * at.var / (at.alpha**2 + at.var),
}


def network_model(process: GaussianProcess) -> NetworkModel:
    network = MLP((2,), width=16, depth=1)
    draw = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2, generator=draw)
    mixture = two_gaussians()
    return NetworkModel(network, process, (2,), mean=mixture.mean, var=mixture.var)


def data(n: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return two_gaussians().sample(n, torch.Generator().manual_seed(1)).to(dtype)


@check("loss", alone_in=USABLE)
def is_one_finite_number_per_example(subject: Subject) -> None:
    """Finite, at least 0, of shape (n,), on every process; the loss of a slice is that slice of the losses."""
    loss, x0 = subject.make(), data(64)
    for process in subject.partners:
        model = network_model(process)
        drawn = loss.draw(model, x0, Generator(2))
        assert all(len(value) == 64 for value in drawn.values())
        assert not any(value.requires_grad for value in drawn.values()), (
            "what is drawn depends on the weights"
        )
        each = loss.evaluate(model, drawn)
        assert each.shape == (64,)
        assert each.isfinite().all(), process
        assert (each >= 0).all(), process
        part = loss.evaluate(model, {name: value[10:20] for name, value in drawn.items()})
        torch.testing.assert_close(part, each[10:20], rtol=1e-4, atol=1e-6)


@check("loss", alone_in=USABLE)
def reaches_every_parameter(subject: Subject) -> None:
    """Its gradient exists, is finite and is not zero for every parameter of a network."""
    for process in subject.partners:
        model = network_model(process)
        subject.make()(model, data(256), Generator(2)).mean().backward()
        for name, parameter in model.network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().sum() > 0, name


@check("loss", alone_in=USABLE)
def is_least_for_the_exact_model(subject: Subject) -> None:
    """L(exact + δh) is L + δ² k with k > 0: larger by 5 standard errors, and no first-order term beyond 5 of them.

    h is an error of the noise prediction, of three forms, δ = ±0.3, in pairs with equal times and noise, n = 20 000.
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
def is_random_only_through_its_generator(subject: Subject) -> None:
    """One seed gives one loss, another another; inputs are left alone and global random states untouched."""
    loss, x0 = subject.make(), data(32)
    before = x0.clone()
    model = network_model(subject.partners[0])
    with global_randomness_untouched():
        first, again, other = (loss(model, x0, Generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(x0, before)


def _losses(loss: Any, model: ExactMixture, x0: Tensor) -> list[Any]:
    """The loss per example of the exact model, then (plus, minus) of each disturbance, all with one seed."""
    found: list[Any] = [loss(model, x0, Generator(5))]
    for error in ERRORS.values():
        found.append([loss(Disturbed(model, size, error), x0, Generator(5)) for size in (0.3, -0.3)])
    return found


def _standard_error(values: Tensor) -> Tensor:
    return values.std() / len(values) ** 0.5
