"""L-BFGS for a few parameters and a loss that is smooth in them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

ROUND, HISTORY = 10, 20
"""Iterations between two words of progress, and the memory of L-BFGS."""


def descend(
    parameters: Sequence[Tensor],
    loss: Callable[[], Tensor],
    iterations: int,
    told: Callable[[int], Any] = lambda done: None,
) -> None:
    """Minimise `loss`, a scalar of all `parameters` at once, in place; those with the least loss that was met are kept.

    told: called with the iterations done, every ROUND. The search ends early where parameters become NaN, as after a
    line search that shrinks to steps of length 0.
    """
    best, kept = math.inf, [parameter.detach().clone() for parameter in parameters]
    lbfgs = torch.optim.LBFGS(
        parameters,
        max_iter=ROUND,
        history_size=HISTORY,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        nonlocal best, kept
        with torch.enable_grad():
            value = loss()
            gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.zeros_like(parameter) if gradient is None else gradient
        value = value.detach().double()
        if float(value) < best:
            best, kept = float(value), [parameter.detach().clone() for parameter in parameters]
        return value

    for done in range(0, iterations, ROUND):
        lbfgs.step(closure)
        told(min(done + ROUND, iterations))
        if not all(parameter.isfinite().all() for parameter in parameters):
            told(iterations)
            break
    with torch.no_grad():
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)
