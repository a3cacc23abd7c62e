"""Options of the sampler, without torch."""

from typing import Literal

import attrs
from difrun.api import option


@attrs.frozen
class ErSdeOptions:
    """Options of the sampler `er-sde`."""

    noise: Literal["er", "sde", "ode"] = option(
        "er",
        "Noise scale φ: er, r(exp(r^0.3) + 10), the authors' choice; sde, r², the reverse SDE; ode, r, none.",
    )
    corrected: bool = option(True, "Whether x̂_0 is extrapolated from the last two evaluations, or held.")
