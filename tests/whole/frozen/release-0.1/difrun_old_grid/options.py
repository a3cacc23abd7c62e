"""Options of the grid, without torch."""

import attrs
from attrs.validators import ge, le
from difrun.api import option


@attrs.frozen
class OldGridOptions:
    """Options of the grid `old-grid`."""

    power: float = option(2.0, "Power p of t = u^p, with u in equal steps.", ge(0.1), le(10))
