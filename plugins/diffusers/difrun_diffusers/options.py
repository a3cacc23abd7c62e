"""Options of the plugin's components, without torch."""

import attrs

from difrun.api import option


@attrs.frozen
class SchedulerOptions:
    """Options of every sampler of the plugin."""

    settings: tuple[str, ...] = option(
        (),
        "Settings of the scheduler, of its constructor or its step: solver_order=3,use_karras_sigmas=true.",
        metavar="NAME=VALUE,...",
    )


@attrs.frozen
class GridOptions:
    """Options of the grid that a scheduler makes."""

    scheduler: str = option(
        "",
        "Scheduler whose grid is taken, such as euler, for a sampler that is not of this plugin; else the sampler's own.",
        metavar="NAME",
    )
