r"""Models of a Gaussian process that are guided by the gradient of a log-likelihood.

The score s = ∇ log p_t + w ∇ log L changes ε̂ by Δε̂ = −σ w ∇ log L and, as x_t = α x̂_0 + σ ε̂ stays the same, x̂_0 by
Δx̂_0 = (σ²/α) w ∇ log L. Every other kind is a·x̂_0 + b·ε̂ (`difrun.model.predictions`).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.predictions import coefficients, is_zero
from difrun.model.wrappers import ModelWrapper

LogLikelihoodFunction = Callable[[Tensor, Any], Tensor]
"""log p(y | x_t) at x (n, ...) and an instant: (n,).

If y differs between rows, the function has a method `rows(index)`, which returns the function for the rows with these
numbers. Processes of finitely many states need it, because they evaluate many changes of each row.
"""

Scale = Callable[[Any], Any]
"""The strength of guidance at an instant: one number, or one per example in the shape of the instant's fields."""


class Conditioned(ModelWrapper):
    """A model with scale · ∇_x log L(x, t) added to its score; see `GaussianProcess.condition`.

    Args:
        model: The model that is guided.
        log_likelihood: log L, called with x (n, ...) and an instant; it returns (n,), differentiable in x.
        scale: The factor of the gradient.
    """

    def __init__(self, model: ScoreModel, log_likelihood: LogLikelihoodFunction, scale: float):
        super().__init__(model)
        self.log_likelihood, self.scale = log_likelihood, scale

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        factor = self.scale * _per_score(kind, at)
        return self.inner.predict(x, at, kind) + factor * self.gradient(x, at)

    def gradient(self, x: Tensor, at: Any) -> Tensor:
        """Return ∇_x log L(x, t), of the shape of x.

        It is itself differentiable where x is, as the likelihood of the guided model needs.

        Args:
            x: The state x_t, (n, ...).
            at: The instant of t.

        Raises:
            DifrunError: If `log_likelihood` returns anything but one number per row that depends on x.
        """
        differentiable = torch.is_grad_enabled() and x.requires_grad
        with torch.enable_grad():
            point = x if differentiable else x.detach().requires_grad_()
            value = self.log_likelihood(point, at)
            if value.shape != x.shape[:1] or not value.requires_grad:
                raise DifrunError(
                    f"a log-likelihood must give one number per row, ({len(x)},), differentiable in x; this one gave "
                    f"{tuple(value.shape)}{'' if value.requires_grad else ', without a gradient'}."
                )
            return torch.autograd.grad(value.sum(), point, create_graph=differentiable)[0].to(x.dtype)


def _per_score(kind: str, at: Any) -> Any:
    """The change of a kind per change of the score: a σ²/α − b σ.

    Where nothing of the data is left (α = 0), L is the same for all x, and x̂_0 does not change.
    """
    a, b = coefficients(kind, at)
    if is_zero(a):
        return -b * at.sigma
    ratio: Any
    if isinstance(at.alpha, Tensor):
        ratio = torch.where(at.alpha > 0, at.var / at.alpha, torch.zeros_like(at.var))
    else:
        ratio = at.var / at.alpha if at.alpha > 0 else 0.0
    return a * ratio - b * at.sigma
