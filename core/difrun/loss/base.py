r"""Losses: one regression in several coordinates.

Every training loss of a Gaussian process is

    L(θ) = E_t E_{x_0, ε} [ w(t) · ‖k_θ(x_t, t) − k(x_0, ε, t)‖² / d ]

for a prediction kind k, a weight w and a distribution of t. The error of one kind is that of another times a factor of
α and σ. The network is therefore always compared in the kind that it predicts itself, with the factor moved into the
weight, so that nothing is divided by a small σ.
"""

from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.loss.times import TimeDistribution, Uniform
from difrun.model.base import ScoreModel
from difrun.model.trainable import trainable
from difrun.randomness.generator import Generator


class Loss:
    """A loss per example, in two halves: `draw` does not depend on the weights, `evaluate` does.

    `draw` may be called once for many steps; `evaluate` takes any slice of what it returned.

    Attributes:
        minimiser: What the model of least loss predicts: "mean", E[x_0 | x_t], or "other" for a loss that is robust
            against outliers, such as Huber's. A process and its samplers mean the mean, so samples of such a loss are
            biased where x_0 given x_t is not symmetric.
    """

    minimiser: str = "mean"

    def draw(
        self, model: ScoreModel, x0: Tensor, generator: Generator, noise: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Draw times, noise, inputs and targets for examples.

        Args:
            model: The model to be trained.
            x0: The examples, (n, *shape).
            generator: The source of random numbers.
            noise: The noise with which each example is paired (`Dataset.noise`); None draws it. Training on couples
                is refused for a loss whose `draw` has no such argument.

        Returns:
            Tensors with n rows, by name.
        """
        raise NotImplementedError

    def evaluate(self, model: ScoreModel, examples: dict[str, Tensor]) -> Tensor:
        """Return the loss of each example.

        Args:
            model: The model that is trained.
            examples: What `draw` returned, by name; each tensor has n rows.

        Returns:
            The losses, (n,), differentiable in the weights of the model.
        """
        raise NotImplementedError

    def mean(self, model: ScoreModel, examples: dict[str, Tensor]) -> Tensor:
        """Return the mean of `evaluate`, which training differentiates.

        A loss may override it with fewer kernels.

        Args:
            model: The model that is trained.
            examples: What `draw` returned, by name.

        Returns:
            The mean, ().
        """
        return self.evaluate(model, examples).mean()

    def backward(self, model: ScoreModel, examples: dict[str, Tensor]) -> Tensor:
        """Add the gradient of `mean` to the parameters' `.grad`, and return the mean, detached.

        The trainer calls it with gradients of zero. A loss may override it for networks that have a reverse pass of
        their own (`difrun.model.backward`).

        Args:
            model: The model that is trained.
            examples: What `draw` returned, by name.

        Returns:
            The mean, () without a graph.
        """
        loss = self.mean(model, examples)
        if not loss.requires_grad:
            raise DifrunError(
                "The loss does not depend on the weights: the network has none that are trained, detaches its output, "
                "or computes it without gradients. Return an output that torch can differentiate."
            )
        loss.backward()
        return loss.detach()

    def __call__(self, model: ScoreModel, x0: Tensor, generator: Generator) -> Tensor:
        """Return the loss of each example x0 (n, *shape), with times and noise drawn for it: (n,)."""
        return self.evaluate(model, self.draw(model, x0, generator))


Weight = Callable[[Any, float], Any]
"""w at an instant, for data of standard deviation σ_d: a number, or one per example, like the instant's fields."""


def uniform(at: Any, data_std: float) -> Any:
    """The weight w = 1."""
    return 1.0


def score_matching(at: Any, data_std: float) -> Any:
    """The weight w = σ², with which every noise level of the score counts alike.

    References:
        Song and Ermon (2019), arXiv 1907.05600, eq. 6.
    """
    return at.var


def snr(at: Any, data_std: float) -> Any:
    """The weight w = α²/σ², which on x_0 is the plain loss of the noise.

    References:
        Salimans and Ho (2022), arXiv 2202.00512, sec. 4.
    """
    return at.alpha**2 / at.var


def min_snr(gamma: float = 5.0) -> Weight:
    """The weight w = min(α²/σ², γ): on x_0, the plain loss of the noise with a bound.

    References:
        Hang et al. (2023), arXiv 2303.09556, eq. 6, where γ = 5.
    """

    def weight(at: Any, data_std: float) -> Any:
        ratio = snr(at, data_std)
        return ratio.clamp(max=gamma) if isinstance(ratio, Tensor) else min(ratio, gamma)

    return weight


def edm(at: Any, data_std: float) -> Any:
    r"""The weight w = α²/σ² + 1/σ_d², on x_0.

    With α = 1 it is (σ² + σ_d²)/(σ σ_d)², as in Karras et al.; otherwise it is the same function of σ/α. As w =
    1/c_out², it is the plain loss of a network that predicts `edm`.

    References:
        Karras et al. (2022), arXiv 2206.00364, table 1.
    """
    return snr(at, data_std) + data_std**-2


WEIGHTS: dict[str, Weight] = {"uniform": uniform, "snr": snr, "min-snr": min_snr(), "edm": edm}
"""Weights of the error of x_0, by name."""


@attrs.frozen
class Regression(Loss):
    r"""The loss E_t w(t) ‖k_θ − k‖²/d, with d coordinates in an example.

    The published losses are combinations of kind, weight and times:

        loss     | kind      | weight          | times
        score    | score     | σ²              |
        noise    | noise     | 1               | uniform (Ho et al., 2020)
        x0       | x0        | 1, SNR, ...     |
        min-snr  | x0        | min(SNR, γ)     | uniform (Hang et al., 2023)
        flow     | velocity  | 1               | uniform, or logit-normal (Esser et al., 2024)
        edm      | x0        | SNR + 1/σ_d²    | log-normal (Karras et al., 2022)

    With the same distribution of times, `score`, `noise` and `x0` weighted by the SNR = α²/σ² are the same loss.

    Attributes:
        kind: The prediction kind k that is compared.
        weight: The weight w.
        times: The distribution of t.
        data_std: The σ_d that the weight gets; None takes the model's, which is measured from the data.
    """

    kind: str
    weight: Weight = uniform
    times: TimeDistribution = attrs.field(factory=Uniform)
    data_std: float | None = None

    @override
    def draw(
        self, model: ScoreModel, x0: Tensor, generator: Generator, noise: Tensor | None = None
    ) -> dict[str, Tensor]:
        process = model.process
        at = process.instant(self.times.sample(process, x0, generator), x0.ndim)
        noise = generator.normal(x0) if noise is None else noise
        x = process.diffuse(x0, noise, at)
        examples = trainable(model).regression(x, x0, noise, at, self.kind)
        gain = examples.pop("gain")
        weight = torch.as_tensor(self.weight(at, self.data_std or model.data_std), dtype=gain.dtype)
        root = gain * weight.sqrt()
        if root.ndim or abs(root) != 1:  # at 1 the loss is the plain error of the network
            examples["root"] = root.to(at.t.device).expand(at.t.shape)
        return examples

    @override
    def evaluate(self, model: ScoreModel, examples: dict[str, Tensor]) -> Tensor:
        return (
            self._error(examples, trainable(model).residual(examples, self.kind)).square().flatten(1).mean(1)
        )

    @override
    def mean(self, model: ScoreModel, examples: dict[str, Tensor]) -> Tensor:
        error = self._error(examples, trainable(model).residual(examples, self.kind))
        return functional.mse_loss(error, torch.zeros_like(error))

    @override
    def backward(self, model: ScoreModel, examples: dict[str, Tensor]) -> Tensor:
        explicit = trainable(model).pullback(examples)
        if explicit is None:
            return super().backward(model, examples)
        residual, pull = explicit
        # d/dr of the mean of (root·r)², over the n numbers of r, is 2 root² r / n
        error = self._error(examples, residual)
        pull(self._error(examples, error) * (2 / error.numel()))
        return error.square().mean()

    @staticmethod
    def _error(examples: dict[str, Tensor], residual: Tensor) -> Tensor:
        return examples["root"] * residual if "root" in examples else residual
