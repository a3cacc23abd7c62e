"""Schedulers and models of diffusers as components of difrun."""

from difrun.api import Component, hookimpl
from difrun_diffusers.options import GridOptions, SchedulerOptions
from difrun_diffusers.table import SCHEDULERS


@hookimpl
def difrun_samplers() -> list[Component]:
    return [
        Component(
            f"diffusers-{name}",
            f"difrun_diffusers.samplers:{entry.cls.removesuffix('Scheduler')}",
            f"{entry.summary} ({entry.cls})",
            SchedulerOptions,
            requires={"gaussian"},
            prefers={"grid": "diffusers"},
        )
        for name, entry in SCHEDULERS.items()
    ]


@hookimpl
def difrun_grids() -> list[Component]:
    return [
        Component(
            "diffusers",
            "difrun_diffusers.grid:scheduler_grid",
            "The grid that the scheduler of a sampler of this plugin makes, or another scheduler",
            GridOptions,
            requires={"gaussian"},
        )
    ]
