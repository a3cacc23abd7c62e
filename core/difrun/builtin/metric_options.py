"""Options of the built-in metrics. No torch here: `difrun --help` reads it."""

import attrs
from attrs.validators import ge

from difrun.api import option


@attrs.frozen
class SlicedW2Options:
    projections: int = option(256, "Number of random directions.", ge(1))


@attrs.frozen
class W2Options:
    max_points: int = option(1000, "Use at most this many points of each set; time grows as its cube.", ge(2))


@attrs.frozen
class EnergyOptions:
    max_points: int = option(
        5000, "Use at most this many points of each set; time grows as its square.", ge(2)
    )


@attrs.frozen
class DensityCoverageOptions:
    k: int = option(5, "A point's ball reaches to its k-th nearest neighbour in its own set.", ge(1))
    max_points: int = option(
        2000, "Use at most this many points of each set; time grows as its square.", ge(2)
    )
