"""Rules for time grids."""

import itertools
import math

import pytest

from difrun.errors import DifrunError
from difrun.model.exact import ExactMixture
from difrun.plugin.signatures import Lazy
from difrun.process.gaussian import GaussianProcess
from difrun.sampler.fixed_step import Euler
from difrun.testing.check import GAUSSIAN_RUN, ComponentUnderTest, check
from difrun.testing.references import two_gaussians


def grid_times(subject: ComponentUnderTest, process: GaussianProcess, steps: int) -> list[float]:
    """The times of a grid, which may ask for the exact model of two Gaussians and for Euler's method."""
    model = Lazy(lambda: ExactMixture(two_gaussians(), process))
    return subject.make(process=process, steps=steps, model=model, sampler=Euler())


@check("grid", alone_in=GAUSSIAN_RUN)
def runs_from_the_horizon_to_t_min(subject: ComponentUnderTest) -> None:
    """It gives steps + 1 strictly decreasing Python numbers from T to t_min, for 1, 2, 7 and 50 steps."""
    for process in subject.partners:
        for steps in (1, 2, 7, 50):
            times = grid_times(subject, process, steps)
            assert len(times) == steps + 1, process
            assert all(isinstance(t, float) for t in times)
            assert all(b < a for a, b in itertools.pairwise(times)), (process, times)
            assert math.isclose(times[0], process.horizon, rel_tol=1e-12), process
            assert math.isclose(times[-1], process.t_min, rel_tol=1e-9), process


@check("grid", alone_in=GAUSSIAN_RUN)
def is_the_same_every_time(subject: ComponentUnderTest) -> None:
    """Two calls give the same times."""
    process = subject.partners[0]
    assert grid_times(subject, process, 9) == grid_times(subject, process, 9)


@check("grid", alone_in=GAUSSIAN_RUN)
def refuses_zero_steps(subject: ComponentUnderTest) -> None:
    """A grid of zero steps raises DifrunError."""
    with pytest.raises(DifrunError, match="step"):
        grid_times(subject, subject.partners[0], 0)
