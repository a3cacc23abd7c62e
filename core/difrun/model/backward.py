r"""Networks that know their own reverse pass.

For a small network autograd's bookkeeping takes longer than the arithmetic. A network may therefore offer

    pullback(x, level) -> F, pull        (with the label as a third argument, where the network knows classes)

beside `forward`: its output, and a function that takes G = ∂L/∂F and adds ∂L/∂θ to the `.grad` of every parameter.
Training then calls it in place of autograd, whatever the loss is, as long as it is a `difrun.loss.Regression`. It
runs without a graph, on the parameters alone: hooks of modules do not fire, and nothing flows to x.
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

    As a product with indicators, whose order of summation is fixed on every device, as that of scattering is not.
    """
    if layer.weight.grad is not None:
        chosen = torch.nn.functional.one_hot(index, layer.num_embeddings).to(gradient)
        layer.weight.grad.addmm_(chosen.t(), gradient)


def silu(gradient: Tensor, x: Tensor) -> Tensor:
    """∂L/∂x for y = silu(x), given G = ∂L/∂y: the derivative is s (1 + x (1 − s)) with s the logistic function."""
    return torch.ops.aten.silu_backward(gradient, x)


def relu(gradient: Tensor, y: Tensor) -> Tensor:
    """∂L/∂x for y = relu(x), given G = ∂L/∂y and y."""
    return torch.ops.aten.threshold_backward(gradient, y, 0)
