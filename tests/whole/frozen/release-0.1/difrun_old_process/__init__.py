"""Variance-preserving with less noise on the way (sub-VP)."""

from difrun.api import Component, hookimpl

from difrun_old_process.options import OldProcessOptions


@hookimpl
def difrun_processes() -> list[Component]:
    return [
        Component(
            "old-process",
            "difrun_old_process.process:OldProcess",
            "Variance-preserving with less noise on the way (sub-VP)",
            OldProcessOptions,
            provides={"continuous", "gaussian", "sde", "ode"},
            requires={"real"},
        )
    ]
