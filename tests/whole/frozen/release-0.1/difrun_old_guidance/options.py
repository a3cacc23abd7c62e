"""Options of the guidance, without torch."""

import attrs
from attrs.validators import ge
from difrun.api import option


@attrs.frozen
class OldGuidanceOptions:
    """Options of the guidance `old-guidance`."""

    bound: float = option(3.0, "Largest |x̂_0| per coordinate; 0 is off.", ge(0))
