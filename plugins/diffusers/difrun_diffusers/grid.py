"""The grid that a scheduler makes."""

import math

from difrun.errors import DifrunError
from difrun.process import GaussianProcess
from difrun.sampler import Sampler
from difrun_diffusers.levels import own_schedule
from difrun_diffusers.of_folder import OwnScheduler
from difrun_diffusers.sampler import SchedulerSampler
from difrun_diffusers.settings import entry_of, split


def scheduler_grid(
    process: GaussianProcess, steps: int, sampler: Sampler | None = None, *, scheduler: str = ""
) -> list[float]:
    """The grid that a scheduler of diffusers makes with `set_timesteps`, on the levels of the process.

    It may start below T, and end above t_min or at t = 0, where the last step is the scheduler's own jump to x̂_0.

    Args:
        process: The process. A scheduler gets its table of β, or a table of 1000 levels at equal times.
        steps: The number of steps.
        sampler: The sampler, if it is one of this plugin.
        scheduler: The name of a scheduler, for a sampler of another origin.

    Returns:
        The times, (steps + 1,), decreasing.

    Raises:
        DifrunError: If there is no scheduler, it refuses the number of steps, or its levels are not those of the
            process.
    """
    if steps < 1:
        raise DifrunError(f"a grid needs at least 1 step, not {steps}")
    if isinstance(sampler, OwnScheduler):
        sampler = sampler.of(process)
    if scheduler:
        entry = entry_of(scheduler)
        schedule = own_schedule(entry, split(entry, ())[0], process, steps)
    elif isinstance(sampler, SchedulerSampler):
        entry, schedule = sampler.entry, sampler.own(process, steps)
    else:
        raise DifrunError(
            "grid 'diffusers' is the one that a scheduler makes, and this sampler is none: name the scheduler with "
            "--grid.scheduler, such as euler or dpmsolver."
        )
    horizon = process.at(process.horizon)
    highest = horizon.sigma / horizon.alpha if horizon.alpha else math.inf
    if schedule.ratios[0] > highest * (1 + 1e-5):
        raise DifrunError(
            f"{entry.cls} starts at the level σ/α = {schedule.ratios[0]:.4g}; this process ends at {highest:.4g}. "
            "Take a process that reaches it (flow for a rectified flow), or another grid."
        )
    times = [0.0 if r == 0 else float(process.time_at(-math.log(r))) for r in schedule.ratios[1:]]
    first = (
        process.horizon if math.isinf(schedule.ratios[0]) else process.time_at(-math.log(schedule.ratios[0]))
    )
    return [min(float(first), process.horizon), *times]
