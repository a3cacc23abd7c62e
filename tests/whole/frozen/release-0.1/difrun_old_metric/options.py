"""Options of the metric, without torch."""

import attrs
from attrs.validators import ge, le
from difrun.api import option


@attrs.frozen
class OldMetricOptions:
    """Options of the metric `old-metric`."""

    power: float = option(
        1.0, "Power p of the distance: 1 is the mean gap, 2 the root mean square.", ge(1), le(10)
    )
