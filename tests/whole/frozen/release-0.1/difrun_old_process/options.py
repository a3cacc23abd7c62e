"""Options of the process, without torch."""

import attrs
from attrs.validators import gt
from difrun.api import GaussianOptions, option


@attrs.frozen
class OldProcessOptions(GaussianOptions):
    """Options of the process `old-process`, beside those of every Gaussian process."""

    beta: float = option(10.0, "Rate of noising, β (1/time).", gt(0))
