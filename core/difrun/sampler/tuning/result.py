"""What tuning finds for a number of steps."""

import attrs

from difrun.sampler.multistep import Change

Candidate = tuple[list[float], list[Change] | None]
"""The times of a grid and the changes of the weights of `adams` on it, as `Tuning` has them."""


@attrs.frozen
class Tuning:
    """The tuned grid and weights for one number of steps, and how much they gain.

    All errors are distances to a fine solution from the same noise, which tuning has not seen, over the root mean
    square radius of the data. A few trajectories that end in another mode make up most of the root mean square, and
    their number varies; the median describes the others.

    Attributes:
        times: The grid, (steps + 1,).
        changes: What is added to the weights of `adams` on that grid: for each step, in units of its length, over all
            earlier slopes that it may use (`difrun.sampler.multistep.Change`). None: nothing.
        error: Root mean square error.
        before: Root mean square error of `adams` on the pilot grid.
        median: Median error.
        median_before: Median error of `adams` on the pilot grid.
        trajectories: The number of trajectories on which the errors are measured.
    """

    times: list[float]
    changes: list[Change] | None
    error: float
    before: float
    median: float
    median_before: float
    trajectories: int
