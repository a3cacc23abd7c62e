"""Rules for time grids."""

import itertools
import math

from difrun.model.exact import ExactMixture
from difrun.plugin.signatures import Lazy
from difrun.process.gaussian import GaussianProcess
from difrun.sampler.fixed_step import Euler
from difrun.testing.references import two_gaussians
from difrun.testing.rules import GAUSSIAN_RUN, ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.verdict import ensure, ensure_equal, ensure_refused, name_of, shown


def grid_times(subject: ComponentUnderTest, process: GaussianProcess, steps: int) -> list[float]:
    """The times of a grid, which may ask for the exact model of two Gaussians and for Euler's method."""
    model = Lazy(lambda: ExactMixture(two_gaussians(), process))
    make = subject.made if steps > 0 else subject.make  # zero steps are refused whatever the options
    return make(process=process, steps=steps, model=model, sampler=Euler())


@check("grid", alone_in=GAUSSIAN_RUN)
def runs_from_the_horizon_to_t_min(subject: ComponentUnderTest) -> None:
    """It gives steps + 1 strictly decreasing Python numbers from T to t_min, for 1, 2, 3, 7, 50 and 200 steps."""
    for process in subject.vanishing:
        for steps in (1, 2, 3, 7, 50, 200):
            times = grid_times(subject, process, steps)
            where = f"{steps} steps on {name_of(process)}"
            ensure_equal(len(times), steps + 1, f"the number of times for {where}")
            ensure(
                all(isinstance(t, float) for t in times),
                f"times that are no Python floats: {times[:3]!r}",
                "floats",
            )
            falls = all(b < a for a, b in itertools.pairwise(times))
            ensure(falls, f"times for {where}: {shown(list(times))}", "each less than the one before")
            first = math.isclose(times[0], process.horizon, rel_tol=1e-12)
            ensure(first, f"the first time for {where}: {times[0]!r}", f"T = {process.horizon!r}")
            last = math.isclose(times[-1], process.t_min, rel_tol=1e-9)
            ensure(last, f"the last time for {where}: {times[-1]!r}", f"t_min = {process.t_min!r}")


@check("grid", alone_in=GAUSSIAN_RUN)
def is_the_same_every_time(subject: ComponentUnderTest) -> None:
    """Two calls give the same times."""
    process = subject.partners[0]
    with global_randomness_untouched():
        first, again = (list(grid_times(subject, process, 9)) for _ in range(2))
    ensure_equal(again, first, "the times of a second call")


@check("grid", alone_in=GAUSSIAN_RUN)
def refuses_zero_steps(subject: ComponentUnderTest) -> None:
    """A grid of zero steps, or of −1, raises DifrunError."""
    process = subject.partners[0]
    for steps in (0, -1):
        ensure_refused(grid_times, subject, process, steps, what=f"a grid of {steps} steps", says="step")
