r"""Prediction kinds and the one formula that converts between them.

Every kind is a linear function of the clean data and the noise that x_t = α x_0 + σ ε is made of:

    kind      | (a, b) in a·x̂_0 + b·ε̂
    x0        | (1, 0)
    noise     | (0, 1)
    score     | (0, −1/σ)                      ∇ log p_t = −ε̂/σ (Tweedie)
    velocity  | (α̇, σ̇)                        probability flow dx/dt
    straight  | (−1, 1)                        velocity in the frame of a rectified flow (`difrun.sampler`)
    v         | (−σ, α)                        Salimans and Ho, 2022, arXiv 2202.00512
    edm       | (σ/(σ_d S), −α σ_d/S)          Karras et al., 2022, arXiv 2206.00364, S² = α²σ_d² + σ²

Given x and a prediction A = a·x̂_0 + b·ε̂ the pair (x̂_0, ε̂) follows from two equations, and with it any other kind
B = c·x̂_0 + d·ε̂:

    B = [(c b − d a) x + (α d − σ c) A] / (α b − σ a).

No term cancels for the pairs in use, so the conversion keeps float32 accuracy at both ends of time. Where α = 0, all
kinds follow from a prediction of x̂_0, whichever form it has, but x̂_0 does not follow from one of the noise.
"""

from collections.abc import Callable
from typing import Any

from difrun.errors import DifrunError

Row = Callable[[Any, float], tuple[Any, Any]]


def _edm(at: Any, data_std: float) -> tuple[Any, Any]:
    total = (at.alpha**2 * data_std**2 + at.var) ** 0.5
    return at.sigma / (data_std * total), -at.alpha * data_std / total


KINDS: dict[str, Row] = {
    "x0": lambda at, data_std: (1.0, 0.0),
    "noise": lambda at, data_std: (0.0, 1.0),
    "score": lambda at, data_std: (0.0, -1 / at.sigma),
    "velocity": lambda at, data_std: (at.d_alpha, at.d_sigma),
    "straight": lambda at, data_std: (-1.0, 1.0),
    "v": lambda at, data_std: (-at.sigma, at.alpha),
    "edm": _edm,
}
"""Kind -> its row (a, b) at an instant, for data of standard deviation σ_d."""


def row(kind: str, at: Any, data_std: float = 1.0) -> tuple[Any, Any]:
    """The coefficients (a, b) of a kind at an instant. Raises DifrunError for a kind that does not exist."""
    try:
        return KINDS[kind](at, data_std)
    except KeyError:
        raise DifrunError(f"no prediction kind {kind!r}; there are {', '.join(KINDS)}") from None


def conversion(at: Any, source: str, target: str, data_std: float = 1.0) -> tuple[Any, Any]:
    """Coefficients (p, q) with target = p·x + q·source, numbers or tensors as the instant's fields are.

    Raises DifrunError where they do not exist: the source speaks of the noise alone and α = 0, or of x_0 alone and
    σ = 0 (for tensors they are not finite there).
    """
    if source == target:
        return 0.0, 1.0
    a, b = row(source, at, data_std)
    c, d = row(target, at, data_std)
    if is_zero(a) and is_zero(c):  # both are multiples of ε̂, whatever α is
        return 0.0, d / b
    determinant = at.alpha * b - at.sigma * a
    if isinstance(determinant, float) and determinant == 0.0:
        why = "nothing of the data is left (α = 0)" if at.alpha == 0 else "there is no noise (σ = 0)"
        raise DifrunError(
            f"at t = {at.t:g} {why}, and {target} does not follow from {source}. A prediction of edm, v or velocity "
            "says both."
        )
    return (c * b - d * a) / determinant, (at.alpha * d - at.sigma * c) / determinant


def is_zero(coefficient: Any) -> bool:
    """Whether a coefficient is the number 0, at every time: the kind has no such part."""
    return isinstance(coefficient, float) and coefficient == 0.0
