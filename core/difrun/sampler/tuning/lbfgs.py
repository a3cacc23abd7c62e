"""L-BFGS for a few parameters and a loss that is smooth in them, preconditioned by Gauss–Newton curvatures."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

ROUND = 10
"""Iterations between two reports of progress."""

HISTORY = 20
"""Memory of L-BFGS."""

REFRESH = 40
"""Iterations after which the preconditioner is computed again."""

DAMPING = 1e-4
"""Damping μ over the largest curvature: directions of smaller curvature are stretched no further."""

PENALTY = 10.0
"""Where the loss is not finite it counts as worse than the least loss by this factor, so that the line search turns
back."""


def minimise(
    parameters: Sequence[Tensor],
    loss: Callable[[], Tensor],
    iterations: int,
    watch: Callable[[int], Any] = lambda done: None,
    residuals: Callable[[], Tensor] | None = None,
) -> None:
    """Minimise a scalar loss of all parameters at once, in place.

    The parameters end at the least loss that was evaluated. With residuals the search uses `preconditioner`, and hardly
    depends on how differently the parameters act. If a round finds nothing better, the search starts again without a
    preconditioner; if two in a row do, it ends.

    Args:
        parameters: The tensors to change, on the CPU.
        loss: Returns the loss at their present values.
        iterations: The most iterations.
        watch: Called after every `ROUND` iterations with the number done, while the parameters are the best so far.
        residuals: Returns a vector r with ‖r‖²/2 close to the loss, for example for a part of the examples.
    """
    search, failures = _Search(parameters, loss), 0
    for done in range(0, iterations, ROUND):
        if failures:
            search.restart(None)
        elif done == 0 or (residuals is not None and done % REFRESH == 0):
            search.restart(None if residuals is None else preconditioner(parameters, residuals))
        before = search.least
        search.run()
        failures = 0 if search.least < before else failures + 1
        watch(iterations if failures > 1 else min(done + ROUND, iterations))
        if failures > 1:
            break


class _Search:
    """L-BFGS in u for parameters p_0 + T u; it records the least loss and where it is."""

    def __init__(self, parameters: Sequence[Tensor], loss: Callable[[], Tensor]):
        self.parameters, self.loss = parameters, loss
        self.least, self.best = math.inf, _flatten(parameters)

    def restart(self, transform: Tensor | None) -> None:
        """Continue from the best parameters with another T; None is the identity."""
        self.origin, self.transform = self.best, transform
        self.u = torch.zeros_like(self.best)
        self.lbfgs = torch.optim.LBFGS(
            [self.u],
            max_iter=ROUND,
            history_size=HISTORY,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

    def run(self) -> None:
        """Run one round, and set the parameters to the best so far."""
        self.lbfgs.step(self._evaluate)
        _assign(self.best, self.parameters)

    def _evaluate(self) -> Tensor:
        values = self.origin + (self.u if self.transform is None else self.transform @ self.u)
        _assign(values, self.parameters)
        with torch.enable_grad():
            loss = self.loss()
            gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        gradient = _flatten(
            [torch.zeros_like(p) if g is None else g for p, g in zip(self.parameters, gradients, strict=True)]
        )
        loss = loss.detach().cpu().double()
        if not (loss.isfinite() and gradient.isfinite().all()):
            self.u.grad = torch.zeros_like(self.u)
            return torch.full_like(loss, self.least + PENALTY * abs(self.least))
        if float(loss) < self.least:
            self.least, self.best = float(loss), values
        self.u.grad = gradient if self.transform is None else self.transform.T @ gradient
        return loss


def preconditioner(parameters: Sequence[Tensor], residuals: Callable[[], Tensor]) -> Tensor:
    """Return a matrix T that makes the Gauss–Newton curvature of ‖r‖²/2 the identity.

        T Tᵀ = (JᵀJ + μ I)⁻¹,    J = ∂r/∂p

    In u, with parameters p_0 + T u, the second derivatives of ‖r‖²/2 are I where r is linear, except in directions that
    are damped. J is computed by forward differences: this takes p + 1 evaluations, and no memory for a graph.

    Args:
        parameters: The p parameters, in one or more tensors; they are left unchanged.
        residuals: Returns r at their present values.

    Returns:
        Shape (p, p), float64.
    """
    values, columns = _flatten(parameters), []
    with torch.no_grad():
        base = residuals().flatten()
        # The cube root and not the square root of ε, because r accumulates rounding over many steps.
        step = torch.finfo(base.dtype).eps ** (1 / 3)
        for k in range(len(values)):
            shifted = values.clone()
            shifted[k] += step
            _assign(shifted, parameters)
            columns.append((residuals().flatten() - base).cpu().double() / step)
    _assign(values, parameters)
    jacobian = torch.stack(columns, 1).nan_to_num(0.0, 0.0, 0.0)
    curvatures, axes = torch.linalg.eigh(jacobian.T @ jacobian)
    if not curvatures[-1] > 0:
        return torch.eye(len(values), dtype=torch.float64)
    return axes * (curvatures.clamp(min=0) + DAMPING * curvatures[-1]).rsqrt()


def _flatten(parameters: Sequence[Tensor]) -> Tensor:
    return torch.cat([p.detach().double().flatten() for p in parameters])


def _assign(values: Tensor, parameters: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for p, part in zip(parameters, values.split([p.numel() for p in parameters]), strict=True):
            p.copy_(part.view_as(p))
