"""Options of the package, without torch."""

import attrs
from attrs.validators import ge, gt, le
from difrun.api import MIN_EXAMPLES, option


@attrs.frozen
class OldDiscreteProcessOptions:
    """Options of the process `old-discrete-process`."""

    rate: float = option(3.0, "Rate at which every spin flips (1/time).", gt(0))


@attrs.frozen
class ChainOptions:
    """Options of the dataset `old-discrete-process-chain`."""

    n: int = option(2000, "Number of training examples.", ge(MIN_EXAMPLES))
    size: int = option(6, "Number of spins.", ge(2), le(12))
    like: float = option(0.8, "Probability that a spin is like the one before it.", ge(0.5), le(1))
