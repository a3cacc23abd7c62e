r"""Losses: one regression in several coordinates.

Every training loss of a Gaussian process is

    L(θ) = E_t E_{x_0, ε} [ w(t) · ‖k_θ(x_t, t) − k(x_0, ε, t)‖² / d ]

for a prediction kind k, a weight w and a law of t. As the error of one kind is that of another times a factor known
from α and σ, the network is always compared in the kind that it predicts itself, with the factor moved into the
weight: nothing is divided by a small σ.
"""

from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from difrun.randomness import Generator
from difrun.times import TimeLaw, Uniform


class Loss:
    """A loss per example, in two halves: what does not depend on the weights, and what does.

    `draw` may be called once for many steps; `evaluate` takes any slice of what it returned.
    """

    def draw(self, model: Any, x0: Tensor, generator: Generator) -> dict[str, Tensor]:
        """Times, noise, inputs and targets for the examples x0 (n, ...): tensors with n rows."""
        raise NotImplementedError

    def evaluate(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        """The loss of each example, shape (n,)."""
        raise NotImplementedError

    def mean(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        """The mean of `evaluate`, which training differentiates; a loss may override it with fewer kernels."""
        return self.evaluate(model, examples).mean()

    def __call__(self, model: Any, x0: Tensor, generator: Generator) -> Tensor:
        return self.evaluate(model, self.draw(model, x0, generator))


def score_matching(at: Any) -> Any:
    """w = σ², by which every noise level counts alike on the score (Song and Ermon, 2019, arXiv 1907.05600, eq. 6)."""
    return at.var


def uniform(at: Any) -> Any:
    """w = 1."""
    return torch.ones_like(at.alpha) if isinstance(at.alpha, Tensor) else 1.0


@attrs.frozen
class Regression(Loss):
    """E_t w(t) ‖k_θ − k‖²/d for the kind `kind`, the weight `weight` and the law of times `times`.

    d is the number of coordinates of an example.
    """

    kind: str
    weight: Callable[[Any], Any] = uniform
    times: TimeLaw = attrs.field(factory=Uniform)

    def draw(self, model: Any, x0: Tensor, generator: Generator) -> dict[str, Tensor]:
        process = model.process
        at = process.instant(self.times.sample(process, x0, generator), x0.ndim)
        noise = generator.normal(x0)
        x = process.diffuse(x0, noise, at)
        examples = model.regression(x, x0, noise, at, self.kind)
        examples["root"] = examples.pop("gain") * torch.as_tensor(self.weight(at)).sqrt()
        return examples

    def evaluate(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        return (examples["root"] * model.residual(examples, self.kind)).square().flatten(1).mean(1)

    def mean(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        error = examples["root"] * model.residual(examples, self.kind)
        return functional.mse_loss(error, torch.zeros_like(error))
