"""Options of the core's own models and grids, without torch."""

from typing import Any

import attrs
from attrs.validators import ge, gt

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


@attrs.frozen
class RhoOptions:
    rho: float = option(7.0, "Exponent ρ: larger values put more steps at small noise.", gt(0))
