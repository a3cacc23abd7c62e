r"""Prediction kinds and the one formula that converts between them.

Every kind is a linear function of the clean data and the noise that x_t = α x_0 + σ ε is made of:

    kind      | (a, b) in a·x̂_0 + b·ε̂
    x0        | (1, 0)
    noise     | (0, 1)
    score     | (0, −1/σ)                      ∇ log p_t = −ε̂/σ (Tweedie)
    velocity  | (α̇, σ̇)                        probability flow dx/dt
    straight  | (−1, 1)                        velocity in the frame of a rectified flow (`difrun.sampler.base`)
    v         | (−σ, α)                        Salimans and Ho, 2022, arXiv 2202.00512

What a network predicts may also be

    edm       | (σ/(σ_d S), −α σ_d/S)          Karras et al., 2022, arXiv 2206.00364, S² = α²σ_d² + σ²

whose meaning depends on the data: x̂_0 is measured from their mean, and σ_d is their standard deviation. A model cannot
be asked for it; it is a parameterisation of a network (`difrun.model.NetworkModel`). A network that predicts `score`
returns σ∇ log p_t, (0, −1). The score itself runs from 1/80 to 500 over the noise levels of some processes, which no
network follows (Song and Ermon, 2020, arXiv 2006.09011, section 3.2).

Given x and a prediction A = a·x̂_0 + b·ε̂ the pair (x̂_0, ε̂) follows from two equations, and with it any other kind
B = c·x̂_0 + d·ε̂:

    B = [(c b − d a) x + (α d − σ c) A] / (α b − σ a).

No term cancels for the pairs in use, so the conversion keeps float32 accuracy at both ends of time. Where α = 0, every
kind follows from a prediction that contains x̂_0, but x̂_0 does not follow from a prediction of the noise.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from difrun.errors import DifrunError

Coefficients = Callable[[Any], tuple[Any, Any]]

PREDICTIONS: dict[str, Coefficients] = {
    "x0": lambda at: (1.0, 0.0),
    "noise": lambda at: (0.0, 1.0),
    "score": lambda at: (0.0, -1 / at.sigma),
    "velocity": lambda at: (at.d_alpha, at.d_sigma),
    "straight": lambda at: (-1.0, 1.0),
    "v": lambda at: (-at.sigma, at.alpha),
}
"""Kind -> (a, b) at an instant: what a model can be asked for."""

PARAMETERISATIONS = (*PREDICTIONS, "edm")
"""What a network can be trained to predict."""


def coefficients(kind: str, at: Any, data_std: float | None = None) -> tuple[Any, Any]:
    """Return the coefficients (a, b) of a kind at an instant.

    Args:
        kind: The kind, or what a network predicts.
        at: The instant.
        data_std: σ_d, for what a network predicts; None for a kind that a model is asked for.

    Raises:
        DifrunError: If there is no such kind, or it is edm without σ_d.
    """
    if kind == "edm" and data_std is not None:
        total = total_std(at, data_std)
        return at.sigma / (data_std * total), -at.alpha * data_std / total
    if kind == "score" and data_std is not None:
        return 0.0, -1.0
    try:
        return PREDICTIONS[kind](at)
    except KeyError:
        known = ", ".join(PREDICTIONS)
        if kind == "edm":
            raise DifrunError(
                "edm is what a network predicts inside its model, and no kind to ask a model for; "
                f"ask for one of {known}"
            ) from None
        raise DifrunError(f"no prediction kind {kind!r}; there are {known}") from None


def conversion(at: Any, source: str, target: str, data_std: float | None = None) -> tuple[Any, Any]:
    """Return coefficients (p, q) with target = p·x + q·source, numbers or tensors like the instant's fields.

    Args:
        at: The instant.
        source: The kind that is known, or what a network predicts.
        target: The kind that is wanted.
        data_std: σ_d, where the source is what a network predicts.

    Raises:
        DifrunError: If there are none, because the source predicts the noise alone and α = 0, or x_0 alone and σ = 0.
            For tensors the coefficients are not finite there.
    """
    if source == target and target in PREDICTIONS and (source != "score" or data_std is None):
        return 0.0, 1.0
    return between(at, coefficients(source, at, data_std), coefficients(target, at), source, target)


def between(
    at: Any, known: tuple[Any, Any], wanted: tuple[Any, Any], source: str, target: str
) -> tuple[Any, Any]:
    """Return (p, q) with B = p·x + q·A, for A = a·x̂_0 + b·ε̂ and B = c·x̂_0 + d·ε̂.

    Args:
        at: The instant.
        known: (a, b).
        wanted: (c, d).
        source: What A is called in a message.
        target: What B is called in a message.

    Raises:
        DifrunError: As `conversion`.
    """
    (a, b), (c, d) = known, wanted
    if is_zero(a) and is_zero(c):  # both are multiples of ε̂, whatever α is
        return 0.0, d / b
    determinant = at.alpha * b - at.sigma * a
    if isinstance(determinant, float) and determinant == 0.0:
        why = "nothing of the data is left (α = 0)" if at.alpha == 0 else "there is no noise (σ = 0)"
        raise DifrunError(
            f"at t = {at.t:g} {why}, and {target} does not follow from {source}. A prediction of edm, v or velocity "
            "determines both."
        )
    return (c * b - d * a) / determinant, (at.alpha * d - at.sigma * c) / determinant


def total_var(at: Any, data_std: Any) -> Any:
    """Return S² = α²σ_d² + σ², the variance of x_t for data of standard deviation σ_d."""
    return at.alpha**2 * data_std**2 + at.var


def total_std(at: Any, data_std: Any) -> Any:
    """Return S = √(α²σ_d² + σ²), the standard deviation of x_t for data of standard deviation σ_d.

    The likelihood and the sampler `MarginalSDE` take `math.hypot` instead, which rounds differently: with this function
    their results would change in the last bit.
    """
    var = total_var(at, data_std)
    return var.sqrt() if isinstance(var, Tensor) else var**0.5


def data_angle(at: Any, data_std: float) -> float:
    """Return the angle atan(σ/(α σ_d)) at an instant of Python numbers: 0 without noise, π/2 without data."""
    return math.atan2(at.sigma, at.alpha * data_std)


def is_zero(coefficient: Any) -> bool:
    """Return whether a coefficient is the number 0: the kind has no such part at any time."""
    return isinstance(coefficient, float) and coefficient == 0.0


def mix(p: Any, x: Tensor, q: Any, y: Tensor) -> Tensor:
    """Return p·x + q·y in as few kernels as possible: p and q are numbers in sampling, tensors in training."""
    if isinstance(p, float) and isinstance(q, float):
        return q * y if p == 0.0 else torch.add(p * x, y, alpha=q)
    return p * x + q * y
