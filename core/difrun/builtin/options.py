"""Options of the core's own models, losses, samplers and grids, without torch."""

from typing import Any, Literal, get_args

import attrs
from attrs.validators import ge, gt, in_, optional

from difrun.api import option


def _even(_: Any, attribute: attrs.Attribute, value: int) -> None:
    if value < 2 or value % 2:
        raise ValueError(
            f"'{attribute.name}' must be an even number, at least 2 (one cosine for each sine); got {value}"
        )


@attrs.frozen
class MLPOptions:
    width: int = option(128, "Width of the hidden layers.", ge(1))
    depth: int = option(3, "Number of residual blocks.", ge(0))
    features: int = option(32, "Sinusoidal features of the noise level, an even number.", _even)


TUNABLE = range(2, 61)
"""Numbers of steps that a model can be tuned for: one step has no grid, and beyond there is nothing to gain."""


@attrs.frozen
class RhoOptions:
    rho: float = option(7.0, "Exponent ρ: larger values put more steps at small noise.", gt(0))


@attrs.frozen
class AdamsOptions:
    fixed_order: int | None = option(
        None, "Order, 1 to 6; none: chosen by the number of steps.", optional(in_(range(1, 7)))
    )


@attrs.frozen
class ExponentialOptions:
    predictor_order: int = option(3, "Order of the predictor, 1 to 4.", in_(range(1, 5)))
    corrected: bool = option(
        False, "Correct every step with the slope at its end, which raises the order by 1."
    )


Pair = Literal["bogacki-shampine", "dormand-prince"]


@attrs.frozen
class AdaptiveOptions:
    pair: Pair = option(
        "dormand-prince",
        "Embedded pair: orders 3 and 2 with three, or 5 and 4 with six evaluations per step.",
        in_(get_args(Pair)),
    )
    rtol: float = option(1e-4, "Error allowed in a step, relative to the size of the coordinates.", gt(0))
    atol: float = option(1e-4, "Error allowed in a step besides, in units of the data.", gt(0))


Weighting = Literal["uniform", "snr", "min-snr", "edm"]
Times = Literal["uniform", "log-snr", "log-normal", "logit-normal"]


@attrs.frozen
class X0Options:
    weighting: Weighting = option(
        "uniform",
        "Weight of the squared error of x̂_0: 1, α²/σ², min(α²/σ², 5), or α²/σ² + 1/σ_d².",
        in_(get_args(Weighting)),
    )
    times: Times = option("log-snr", "Law of the training time.", in_(get_args(Times)))


@attrs.frozen
class MinSNROptions:
    gamma: float = option(5.0, "Bound γ of the weight, min(α²/σ², γ).", gt(0))
    times: Times = option("log-snr", "Law of the training time.", in_(get_args(Times)))
