"""Rules for networks."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.plugin.signatures import Lazy
from difrun.testing.rules import ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.verdict import NotTried, ensure, ensure_close, ensure_equal, ensure_finite

NETWORK = {"network"}
SHAPES = ((2,), (5,), (12, 2), (1, 16, 16), (3, 32, 32), (1, 4, 6, 5))


def make_network(
    subject: ComponentUnderTest,
    shape: tuple[int, ...],
    classes: int = 0,
    condition_shape: tuple[int, ...] | None = None,
    seed: int | None = None,
) -> nn.Module:
    """A new network, which may also ask for examples of its shape and for a process; `seed` draws its weights."""

    def examples() -> Dataset:
        return Dataset(name="zeros", train=torch.zeros(20, *shape), held_out=torch.zeros(20, *shape))

    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
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
    ensure(accepted, f"it refuses examples of each of the shapes {SHAPES}", "at least one that it takes")
    return accepted


LEVELS = (-1.0, 0.0, 0.5, 1.0)


def free(network: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters that are trained, with their names; those that were frozen on purpose are left out."""
    return [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]


def ensure_gradient(name: str, gradient: Tensor | None) -> None:
    """Ensure that the gradient of a parameter is there, finite and not zero."""
    ensure(
        gradient is not None, f"parameter {name} has no gradient", "one; freeze it with requires_grad_(False)"
    )
    assert gradient is not None  # for the type checker
    ensure_finite(gradient, f"the gradient of parameter {name}")
    ensure(gradient.abs().sum() > 0, f"the gradient of parameter {name} is 0 everywhere", "one that is not 0")


@check("model", provides=NETWORK)
def gives_what_it_gets(subject: ComponentUnderTest) -> None:
    """F(x, c) is finite and has the shape and dtype of x, in float32 and after .double(), for c from −5 to 5.

    An x whose numbers are in another order in memory, as a permuted view has them, gives what its copy gives.
    """
    for network, x in networks(subject):
        for level in (-5.0, -0.5, 0.0, 5.0):
            output = network(x, torch.full((4,), level))
            ensure_equal(tuple(output.shape), tuple(x.shape), "the shape of the output")
            ensure_equal(output.dtype, x.dtype, "the dtype of the output")
            ensure_finite(output, f"the output at c = {level:g}")
        apart = (
            x.transpose(1, -1).contiguous().transpose(1, -1)
        )  # the same numbers in another order in memory
        same = network(x, torch.zeros(4))
        ensure_close(
            network(apart, torch.zeros(4)),
            same,
            "the output for an x that is a permuted view",
            rtol=1e-5,
            atol=1e-5,
        )
        wide = network.double()(x.double(), torch.zeros(4).double()).dtype
        ensure_equal(wide, torch.float64, "the dtype of the output of network.double()")


@check("model", provides=NETWORK)
def uses_its_noise_level(subject: ComponentUnderTest) -> None:
    """One level (1,) for all gives the output of equal levels (n,), to 1e-9 in float64; another level changes it."""
    for network, x in networks(subject):
        network, x = network.double(), x.double()
        together = network(x, torch.full((4,), 0.3).double())
        one = network(x, torch.full((1,), 0.3).double())
        ensure_close(one, together, "the output for one level (1,)", rtol=1e-9, atol=1e-9)
        other = network(x, torch.full((4,), -0.3).double())
        changed = not torch.allclose(other, together, rtol=1e-3, atol=1e-4)
        ensure(changed, "the output at c = −0.3 is that at c = 0.3", "a network that uses its noise level")


@check("model", provides=NETWORK)
def keeps_examples_apart(subject: ComponentUnderTest) -> None:
    """Output i depends on example i and level i alone, in float64 to 1e-9."""
    for network, x in networks(subject):
        network, x = network.double(), x.double()
        level = torch.tensor(LEVELS, dtype=torch.float64)
        alone = torch.cat([network(x[i : i + 1], level[i : i + 1]) for i in range(4)])
        ensure_close(
            network(x, level), alone, "the output for a batch, against that of each", rtol=1e-9, atol=1e-9
        )


@check("model", provides=NETWORK)
def gives_every_parameter_a_gradient(subject: ComponentUnderTest) -> None:
    """Once no weight is zero, every parameter has a finite gradient that is not zero, but for those that are frozen."""
    for network, x in networks(subject):
        network(x, torch.tensor(LEVELS)).square().sum().backward()
        for name, parameter in free(network):
            ensure_gradient(name, parameter.grad)


@check("model", provides=NETWORK)
def reverses_as_autograd_does(subject: ComponentUnderTest) -> None:
    """A `pullback` (`difrun.model.backward`) gives the output and adds autograd's gradients: in float64, to 1e-8."""
    for network, x in networks(subject):
        if getattr(network, "pullback", None) is None:
            continue
        network, x = network.double(), x.double()
        level = torch.tensor(LEVELS, dtype=torch.float64)
        output = network(x, level)
        parameters = [parameter for _, parameter in free(network)]
        gradients = torch.autograd.grad(output.square().sum(), parameters)
        ensure_pullback(network, (x, level), output, gradients)


def ensure_pullback(
    network: Any, inputs: tuple[Tensor, ...], output: Tensor, gradients: tuple[Tensor, ...]
) -> None:
    """Ensure that a reverse pass gives the output, and adds the gradients of its square to `.grad`."""
    for _, parameter in free(network):
        parameter.grad = torch.ones_like(parameter)
    explicit, pull = network.pullback(*inputs)
    pull(2 * explicit)
    ensure_close(explicit, output, "the output of pullback", rtol=1e-10, atol=1e-10)
    for (name, parameter), gradient in zip(free(network), gradients, strict=True):
        ensure(parameter.grad is not None, f"pullback removes the gradient of {name}", "one that it adds to")
        assert parameter.grad is not None  # for the type checker
        ensure_close(parameter.grad - 1, gradient, f"what pullback adds to {name}.grad", rtol=1e-8, atol=1e-8)


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
        ensure_close(
            output, alone, "the output for a batch of labels, against that of each", rtol=1e-9, atol=1e-9
        )
        each = network(x[:1].expand_as(x), level, labels).flatten(1)
        ensure(torch.pdist(each).min() > 1e-6, "two labels give one output", "another output for every label")
        parameters = [parameter for _, parameter in free(network)]
        gradients = torch.autograd.grad(output.square().sum(), parameters, allow_unused=True)
        for (name, _), gradient in zip(free(network), gradients, strict=True):
            ensure_gradient(name, gradient)
        if getattr(network, "pullback", None) is not None:
            ensure_pullback(network, (x, level.expand(4), labels), output, gradients)


@check("model", provides=NETWORK)
def knows_its_condition(subject: ComponentUnderTest) -> None:
    """A network that asks for `condition_shape` takes c (n, *condition_shape) as a third argument, NaN for unknown.

    In float64, to 1e-9, output i depends on condition i alone; values and gaps make a difference. Every parameter has a
    gradient, and a `pullback` gives those of autograd to 1e-8.
    """
    if not subject.entry.asks_for("condition_shape"):
        raise NotTried("it takes no condition")
    gap = math.nan
    level = torch.full((1,), 0.3).double()
    given = torch.tensor([[gap, gap], [0.0, 0], [1, -2], [1, gap]]).double()
    for network, x in networks(subject, condition_shape=(2,)):
        network, x = network.double(), x.double()
        output = network(x, level, given)
        ensure_finite(output, "the output for conditions with gaps")
        alone = torch.cat([network(x[i : i + 1], level, given[i : i + 1]) for i in range(4)])
        ensure_close(
            output, alone, "the output for a batch of conditions, against that of each", rtol=1e-9, atol=1e-9
        )
        each = network(x[:1].expand_as(x), level, given).flatten(1)
        ensure(
            torch.pdist(each).min() > 1e-6,
            "two conditions give one output",
            "another output for each condition",
        )
        parameters = [parameter for _, parameter in free(network)]
        gradients = torch.autograd.grad(output.square().sum(), parameters, allow_unused=True)
        for (name, _), gradient in zip(free(network), gradients, strict=True):
            ensure_gradient(name, gradient)
        if getattr(network, "pullback", None) is not None:
            ensure_pullback(network, (x, level.expand(4), given), output, gradients)


@check("model", provides=NETWORK)
def is_restored_by_its_state(subject: ComponentUnderTest) -> None:
    """A network of other random numbers gives the same outputs with the state dict; so does a deep copy (the EMA).

    One seed of torch gives one network.
    """
    for network, x in networks(subject):
        level = torch.tensor(LEVELS)
        fresh = make_network(subject, tuple(x.shape[1:]), seed=7).eval()
        fresh.load_state_dict(network.state_dict())
        ensure_equal(fresh(x, level), network(x, level), "the output after loading the state dict")
        ensure_equal(copy.deepcopy(network)(x, level), network(x, level), "the output of a deep copy")
        with global_randomness_untouched(but="torch"):
            again = make_network(subject, tuple(x.shape[1:]), seed=7).state_dict()
        first = make_network(subject, tuple(x.shape[1:]), seed=7).state_dict()
        for name, value in first.items():
            ensure_equal(again[name], value, f"{name} of a second network from one seed of torch")


@check("model", provides=NETWORK)
def evaluates_without_randomness(subject: ComponentUnderTest) -> None:
    """In evaluation mode two calls agree and no global random state is used."""
    for network, x in networks(subject):
        with global_randomness_untouched():
            first = network(x, torch.zeros(4))
            ensure_equal(network(x, torch.zeros(4)), first, "the output of a second call")
