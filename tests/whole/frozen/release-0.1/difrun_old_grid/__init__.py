"""Equal steps in a root of t."""

from difrun.api import Component, hookimpl

from difrun_old_grid.options import OldGridOptions


@hookimpl
def difrun_grids() -> list[Component]:
    return [
        Component(
            "old-grid",
            "difrun_old_grid.grid:old_grid",
            "Equal steps in a root of t",
            OldGridOptions,
        )
    ]
