"""Options of the network, without torch."""

import attrs
from attrs.validators import ge
from difrun.api import option


@attrs.frozen
class OldModelOptions:
    """Options of the network `old-model`."""

    width: int = option(64, "Width of the hidden layers.", ge(1))
