"""Options of guidance by classes, without torch."""

import math

import attrs
from attrs.validators import ge, gt, le

from difrun.api import option, refuse_unused
from difrun.errors import OptionError


@attrs.frozen
class CfgOptions:
    """Options of classifier-free guidance."""

    scale: float = option(
        2.0, "Strength s: 1 is the model of the class, 0 that of all classes.", ge(0), le(1e6)
    )
    low: float = option(
        0.0,
        "Lowest noise σ/α at which guidance is on (a time, if the process is not Gaussian); below it s = 1.",
        ge(0),
        le(1e12),
    )
    high: float = option(math.inf, "Highest noise at which guidance is on, likewise; above it s = 1.", gt(0))

    def __attrs_post_init__(self) -> None:
        if not self.low < self.high:
            raise OptionError(f"low = {self.low:g} must be below high = {self.high:g}")


@attrs.frozen
class ClassifierOptions:
    """Options of classifier guidance."""

    target: str | None = option(
        None, "Class to draw, by name or number; none: that of --label, or all in the proportion of the data."
    )
    scale: float = option(1.0, "Strength w: 1 is Bayes' theorem, 0 no guidance.", ge(0), le(1e6))
    exact: bool = option(
        False, "Take the exact p(class | x_t) of a mixture distribution, and train no classifier."
    )
    steps: int = option(2000, "Training steps of the classifier.", ge(1), le(10**9), second=2000)
    width: int = option(128, "Width of its hidden layers.", ge(1), le(2**14))

    def __attrs_post_init__(self) -> None:
        if self.exact:
            refuse_unused(self, ("steps", "width"), "the exact classifier does not need", "train one")
