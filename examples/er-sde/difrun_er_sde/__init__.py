"""Extended reverse-time SDE solvers: one family from the probability flow to noisier reverse SDEs."""

from difrun.api import Component, hookimpl

from difrun_er_sde.options import ErSdeOptions


@hookimpl
def difrun_samplers() -> list[Component]:
    return [
        Component(
            "er-sde",
            "difrun_er_sde.sampler:ErSde",
            "Extended reverse-time SDE solver, with as much noise as a function of σ/α says (ER-SDE)",
            ErSdeOptions,
            requires={"gaussian", "ode"},
        )
    ]
