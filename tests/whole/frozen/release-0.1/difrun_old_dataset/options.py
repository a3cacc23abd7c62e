"""Options of the dataset, without torch."""

import attrs
from attrs.validators import ge, gt
from difrun.api import MIN_EXAMPLES, option


@attrs.frozen
class OldDatasetOptions:
    """Options of the dataset `old-dataset`."""

    n: int = option(3000, "Number of training examples.", ge(MIN_EXAMPLES))
    std: float = option(0.1, "Standard deviation of each Gaussian.", gt(0))
