r"""Models of a Gaussian process that are guided: by the gradient of a log-likelihood, or by a class without one.

With s = ∇ log p_t + w ∇ log L, what x_t is made of changes by Δε̂ = −σ w ∇ log L and, as x_t = α x̂_0 + σ ε̂ stays,
Δx̂_0 = (σ²/α) w ∇ log L; every other kind is a·x̂_0 + b·ε̂ (`difrun.model.predictions`).
"""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.predictions import coefficients, is_zero
from difrun.model.wrappers import ModelWrapper

LogLikelihoodFunction = Callable[[Tensor, Any], Tensor]
"""log p(y | x_t) at x (n, ...) and an instant: (n,). One whose y differs between rows has a method `rows(index)`, which
gives that of some rows, by their numbers: processes of finitely many states ask about many changes of each."""


Scale = Callable[[Any], Any]
"""The strength of guidance at an instant: a number, or one per example as the instant's fields are."""


class Conditioned(ModelWrapper):
    """`model` with scale · ∇_x log_likelihood(x, at) added to its score; see `GaussianProcess.condition`."""

    def __init__(self, model: ScoreModel, log_likelihood: LogLikelihoodFunction, scale: float):
        super().__init__(model)
        self.log_likelihood, self.scale = log_likelihood, scale

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        factor = self.scale * _per_score(kind, at)
        return self.inner.predict(x, at, kind) + factor * self.gradient(x, at)

    def gradient(self, x: Tensor, at: Any) -> Tensor:
        """∇_x log L(x, t), of the shape of x; itself differentiable where x is, as a likelihood of the model needs.

        Raises DifrunError when `log_likelihood` gives anything but one number per row that depends on x.
        """
        further = torch.is_grad_enabled() and x.requires_grad
        with torch.enable_grad():
            point = x if further else x.detach().requires_grad_()
            value = self.log_likelihood(point, at)
            if value.shape != x.shape[:1] or not value.requires_grad:
                raise DifrunError(
                    f"a log-likelihood must give one number per row, ({len(x)},), differentiable in x; this one gave "
                    f"{tuple(value.shape)}{'' if value.requires_grad else ', without a gradient'}."
                )
            return torch.autograd.grad(value.sum(), point, create_graph=further)[0].to(x.dtype)


class Extrapolated(ModelWrapper):
    """(1 − s)·(any class) + s·(the class of each row), of every kind; see `GaussianProcess.extrapolate`.

    One evaluation of a batch of twice the size where all rows are at one time; two where they are not, as in a sampler
    with steps of its own for every sample; one of the class alone where s is 1.
    """

    def __init__(self, model: ScoreModel, labels: Tensor, scale: Scale):
        super().__init__(model.condition_on(labels))
        any_class = torch.full_like(labels, -1)
        self.free = model.condition_on(any_class)
        self.both = model.condition_on(torch.cat((labels, any_class)))
        self.model, self.scale = model, scale

    @override
    def condition_on(self, labels: Tensor) -> Self:
        return type(self)(self.model, labels, self.scale)

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        scale = self.scale(at)
        if isinstance(scale, Tensor):
            own, free = self.inner.predict(x, at, kind), self.free.predict(x, at, kind)
            return torch.where(scale == 1, own, free + scale * (own - free))
        if scale == 1:
            return self.inner.predict(x, at, kind)
        if isinstance(at.t, Tensor):
            own, free = self.inner.predict(x, at, kind), self.free.predict(x, at, kind)
        else:
            own, free = self.both.predict(torch.cat((x, x)), at, kind).chunk(2)
        return free + scale * (own - free)


def _per_score(kind: str, at: Any) -> Any:
    """The change of a kind per change of the score: a σ²/α − b σ. Where nothing of the data is left, α = 0, L is the
    same for all x and there is nothing to add to x̂_0."""
    a, b = coefficients(kind, at)
    if is_zero(a):
        return -b * at.sigma
    ratio: Any
    if isinstance(at.alpha, Tensor):
        ratio = torch.where(at.alpha > 0, at.var / at.alpha, torch.zeros_like(at.var))
    else:
        ratio = at.var / at.alpha if at.alpha > 0 else 0.0
    return a * ratio - b * at.sigma
