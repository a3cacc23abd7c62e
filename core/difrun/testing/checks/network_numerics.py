"""Rules for networks: the device and the precision in which they compute, and what they do while they are trained."""

import torch
from torch import Tensor, nn

from difrun.testing.checks.model import LEVELS, NETWORK, networks
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import NotTried, RuleBroken, ensure, ensure_close
from difrun.text import in_one_line


@check("model", provides=NETWORK)
def computes_where_its_parameters_are(subject: ComponentUnderTest) -> None:
    """After `network.to("meta")` it computes there; a tensor that is neither parameter nor buffer stays behind.

    Declare such a tensor with `register_buffer`. It is then moved, converted and saved with the network.
    """
    for network, x in networks(subject):
        try:
            output = network.to("meta")(x.to("meta"), torch.zeros(4, device="meta"))
        except NotImplementedError as error:
            raise NotTried(f"it computes with numbers that 'meta' does not have: {error}") from error
        except RuntimeError as error:
            text = f"moved to 'meta', it fails: {in_one_line(error)}"
            raise RuleBroken(
                text, "parameters and buffers alone, and tensors made on the device of x"
            ) from error
        ensure(output.is_meta, f"the output is on '{output.device}'", "on 'meta', where the parameters are")


@check("model", provides=NETWORK)
def computes_in_the_precision_of_its_parameters(subject: ComponentUnderTest) -> None:
    """After `network.double()` it computes in float64 throughout: differences of its output agree with its gradient.

    Central differences over 1e-6 along a direction of x and of c agree with autograd to 1e-3 of their size. A cast to
    float32 on the way leaves an error of about 0.1.
    """
    for network, x in networks(subject):
        network, x = network.double(), x.double()
        level = torch.tensor(LEVELS, dtype=torch.float64)
        draw = torch.Generator().manual_seed(3)
        along = torch.randn(x.shape, generator=draw, dtype=torch.float64)
        for what, direction in (
            ("x", (along, torch.zeros(4).double())),
            ("c", (0 * along, torch.ones(4).double())),
        ):
            slope = directional(network, x, level, *direction)
            h = 1e-6
            with torch.no_grad():
                ends = [network(x + s * h * direction[0], level + s * h * direction[1]) for s in (1, -1)]
            difference = (ends[0] - ends[1]) / (2 * h)
            size = float(slope.square().mean().sqrt()) + 1e-12
            error = float((difference - slope).square().mean().sqrt()) / size
            ensure(
                error < 1e-3, f"along {what} differences are off by {error:.2g} of the derivative", "0 ± 1e-3"
            )


def directional(network: nn.Module, x: Tensor, level: Tensor, dx: Tensor, dlevel: Tensor) -> Tensor:
    """The derivative of the output along a direction, by two reverse passes."""
    x, level = x.clone().requires_grad_(), level.clone().requires_grad_()
    output = network(x, level)
    weights = torch.zeros_like(output, requires_grad=True)
    gradients = torch.autograd.grad(output, (x, level), weights, create_graph=True, allow_unused=True)
    total = sum(
        (gradient * direction).sum()
        for gradient, direction in zip(gradients, (dx, dlevel), strict=True)
        if gradient is not None
    )
    if not isinstance(total, Tensor) or not total.requires_grad:
        return torch.zeros_like(output)
    (slope,) = torch.autograd.grad(total, weights, allow_unused=True)
    return torch.zeros_like(output) if slope is None else slope


@check("model", provides=NETWORK)
def keeps_examples_apart_in_training(subject: ComponentUnderTest) -> None:
    """In training mode, too, output 0 does not depend on the other examples of the batch: its gradient there is 0.

    Batch normalisation mixes the examples of a batch, which are at different noise levels.
    """
    for network, x in networks(subject):
        network.train()
        x = x.clone().requires_grad_()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            output = network(x, torch.tensor(LEVELS))
        (gradient,) = torch.autograd.grad(output[0].square().sum(), x)
        ensure_close(
            gradient[1:], torch.zeros_like(gradient[1:]), "the gradient of output 0 in the other examples"
        )
