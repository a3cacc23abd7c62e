"""L-BFGS for a few parameters and a loss that is smooth in them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

ROUND, HISTORY = 10, 20
"""Iterations between two words of progress, and the memory of L-BFGS."""

STRETCHED = 40
"""Iterations after which the residuals are differentiated anew."""

DAMPING = 1e-4
"""μ over the greatest curvature: directions of less are stretched no further."""

LOST = 10.0
"""A loss that is no number counts as worse than the least by so many times its size: the line search turns back."""


def descend(
    parameters: Sequence[Tensor],
    loss: Callable[[], Tensor],
    iterations: int,
    told: Callable[[int], Any] = lambda done: None,
    residuals: Callable[[], Tensor] | None = None,
) -> None:
    """Minimise `loss`, a scalar of all `parameters` at once, in place; those with the least loss that was met are kept.

    parameters: on the CPU. residuals: a vector r of them such that ‖r‖²/2 is about the loss, as of a part of the
    examples. With it the search goes along the axes of `stretched`, and hardly feels how differently the parameters
    act; it is made anew every STRETCHED iterations.
    told: called with the iterations done, every ROUND, while the parameters are the best of the search so far. After a
    round that finds nothing better the search begins anew, along the parameters themselves; after two it ends.
    """
    search, failed = _Search(parameters, loss), 0
    for done in range(0, iterations, ROUND):
        if failed:
            search.begin(None)
        elif done == 0 or (residuals is not None and done % STRETCHED == 0):
            search.begin(None if residuals is None else stretched(parameters, residuals))
        before = search.least
        search.go_on()
        failed = 0 if search.least < before else failed + 1
        told(iterations if failed > 1 else min(done + ROUND, iterations))
        if failed > 1:
            break


class _Search:
    """L-BFGS in u, with parameters p_0 + T u; the least loss that was met, and where."""

    def __init__(self, parameters: Sequence[Tensor], loss: Callable[[], Tensor]):
        self.parameters, self.loss = parameters, loss
        self.least, self.best = math.inf, _joined(parameters)

    def begin(self, stretch: Tensor | None) -> None:
        """From the best parameters on with T (None: I)."""
        self.origin, self.stretch = self.best, stretch
        self.moved = torch.zeros_like(self.best)
        self.lbfgs = torch.optim.LBFGS(
            [self.moved],
            max_iter=ROUND,
            history_size=HISTORY,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

    def go_on(self) -> None:
        """One round; then the parameters are the best that were met."""
        self.lbfgs.step(self._evaluate)
        _put(self.best, self.parameters)

    def _evaluate(self) -> Tensor:
        place = self.origin + (self.moved if self.stretch is None else self.stretch @ self.moved)
        _put(place, self.parameters)
        with torch.enable_grad():
            value = self.loss()
            gradients = torch.autograd.grad(value, self.parameters, allow_unused=True)
        gradient = _joined(
            [torch.zeros_like(p) if g is None else g for p, g in zip(self.parameters, gradients, strict=True)]
        )
        value = value.detach().cpu().double()
        if not (value.isfinite() and gradient.isfinite().all()):
            self.moved.grad = torch.zeros_like(self.moved)
            return torch.full_like(value, self.least + LOST * abs(self.least))
        if float(value) < self.least:
            self.least, self.best = float(value), place
        self.moved.grad = gradient if self.stretch is None else self.stretch.T @ gradient
        return value


def stretched(parameters: Sequence[Tensor], residuals: Callable[[], Tensor]) -> Tensor:
    """T (p, p) with T Tᵀ = (JᵀJ + μ I)⁻¹, J the derivatives of the residuals by all p parameters, μ the damping.

    In u, with parameters p_0 + T u, the second derivatives of ‖r‖²/2 are I where r is linear (Gauss and Newton), but
    for directions that are damped. J is of forward differences: a call per parameter and one more, and no memory for a
    graph.
    """
    here, columns = _joined(parameters), []
    with torch.no_grad():
        base = residuals().flatten()
        step = torch.finfo(base.dtype).eps ** (1 / 3)  # r is rounded along many steps
        for k in range(len(here)):
            there = here.clone()
            there[k] += step
            _put(there, parameters)
            columns.append((residuals().flatten() - base).cpu().double() / step)
    _put(here, parameters)
    jacobian = torch.stack(columns, 1).nan_to_num(0.0, 0.0, 0.0)
    curvatures, axes = torch.linalg.eigh(jacobian.T @ jacobian)
    if not curvatures[-1] > 0:
        return torch.eye(len(here), dtype=torch.float64)
    return axes * (curvatures.clamp(min=0) + DAMPING * curvatures[-1]).rsqrt()


def _joined(parameters: Sequence[Tensor]) -> Tensor:
    return torch.cat([p.detach().double().flatten() for p in parameters])


def _put(values: Tensor, parameters: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for p, part in zip(parameters, values.split([p.numel() for p in parameters]), strict=True):
            p.copy_(part.view_as(p))
