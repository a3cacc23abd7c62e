"""Options of the core's own models and grids, without torch."""

import attrs
from attrs.validators import ge, gt

from difrun.api import option


@attrs.frozen
class MLPOptions:
    width: int = option(128, "Width of the hidden layers.", ge(1))
    depth: int = option(3, "Number of residual blocks.", ge(0))
    features: int = option(32, "Sinusoidal features of the noise level.", ge(2))


@attrs.frozen
class RhoOptions:
    rho: float = option(7.0, "Exponent ρ: larger values put more steps at small noise.", gt(0))
