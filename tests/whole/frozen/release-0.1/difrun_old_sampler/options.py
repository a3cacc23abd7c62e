"""Options of the sampler, without torch."""

import attrs
from attrs.validators import ge, le
from difrun.api import option


@attrs.frozen
class OldSamplerOptions:
    """Options of the sampler `old-sampler`."""

    eta: float = option(
        0.5, "Share of the noise that is new in each step, η: 0 none, 1 as in DDPM.", ge(0), le(1)
    )
