r"""Networks with a reverse pass of their own.

For a small network autograd's bookkeeping takes longer than the arithmetic. A network may therefore offer

    pullback(x, level) -> F, pull        (with the label as a third argument, where the network knows classes)

beside `forward`: its output, and a function that takes G = ∂L/∂F and adds ∂L/∂θ to the `.grad` of every parameter.
Training then calls it in place of autograd for every `difrun.loss.Regression`. It records no graph and reaches the
parameters alone: hooks of modules do not fire, and x gets no gradient.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Pull = Callable[[Tensor], None]
"""Adds ∂L/∂θ to the gradients of the parameters, given ∂L/∂F."""


def linear(layer: nn.Linear, x: Tensor, gradient: Tensor) -> None:
    """Add to `.grad` what y = W x + b contributes: Gᵀx and ΣG, for x (n, in) and G = ∂L/∂y (n, out).

    A frozen parameter, which has no gradient, is left alone.
    """
    if layer.weight.grad is not None:
        layer.weight.grad.addmm_(gradient.t(), x)
    if layer.bias is not None and layer.bias.grad is not None:
        layer.bias.grad.add_(gradient.sum(0))


def embedding(layer: nn.Embedding, index: Tensor, gradient: Tensor) -> None:
    """Add to `.grad` what rows of a table contribute: to row k the sum of G over the examples with index k.

    The sum is a product with indicators, whose order of summation is fixed on every device. Scattering has no fixed
    order.
    """
    if layer.weight.grad is not None:
        indicators = torch.nn.functional.one_hot(index, layer.num_embeddings).to(gradient)
        layer.weight.grad.addmm_(indicators.t(), gradient)


def silu(gradient: Tensor, x: Tensor) -> Tensor:
    """Return ∂L/∂x, given G = ∂L/∂y, where y is the SiLU of x.

    The derivative is s (1 + x (1 − s)), with s the logistic function of x.
    """
    return torch.ops.aten.silu_backward(gradient, x)


def relu(gradient: Tensor, y: Tensor) -> Tensor:
    """Return ∂L/∂x, given G = ∂L/∂y and y, where y is the ReLU of x."""
    return torch.ops.aten.threshold_backward(gradient, y, 0)
