"""Options of the loss, without torch."""

import attrs
from attrs.validators import gt
from difrun.api import option


@attrs.frozen
class OldLossOptions:
    """Options of the loss `old-loss`."""

    gamma: float = option(5.0, "Signal-to-noise ratio above which weights stop growing, γ.", gt(0))
