"""What a guidance declares of its score, for the conformance kit."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])

ClassStrength = Callable[..., float | None]
"""(noise σ/α, **options) -> c, with which a guided score is ∇ log p_t(x) + c ∇ log p_t(class | x); None: not known."""


def towards_class(strength: ClassStrength) -> Callable[[T], T]:
    """Declare how strongly a guidance leads to the class of each row, given exact models. A decorator.

    With the exact models of the data and of each class the guided score is

        ∇ log p_t(x) + c ∇ log p_t(class | x) = (1 − c) ∇ log p_t(x) + c ∇ log p_t(x | class).

    Args:
        strength: (noise, **options) -> c at the noise-to-signal ratio σ/α. None where it is not known, such as for a
            classifier that is trained.
    """

    def declare(target: T) -> T:
        target.class_strength = strength  # type: ignore[attr-defined]
        return target

    return declare
