"""Rectified flow: process, loss, the marginal-preserving SDE, and reflow."""

from difrun.api import Component, hookimpl
from difrun_flow.options import FlowLossOptions, FlowOptions, ReflowOptions, SDEOptions


@hookimpl
def difrun_processes() -> list[Component]:
    return [
        Component(
            "flow",
            "difrun_flow.process:RectifiedFlow",
            "Rectified flow, x_t = (1 − t) x_0 + t ε",
            FlowOptions,
            provides={"continuous", "gaussian", "ode", "sde"},
            requires={"real"},
            prefers={"loss": "flow"},
        )
    ]


@hookimpl
def difrun_losses() -> list[Component]:
    return [
        Component(
            "flow",
            "difrun_flow.loss:flow",
            "Velocity matching, E ‖u_θ − (ε − x_0)‖²",
            FlowLossOptions,
            requires={"gaussian", "network"},
        )
    ]


@hookimpl
def difrun_samplers() -> list[Component]:
    return [
        Component(
            "sde",
            "difrun_flow.marginal_sde:MarginalSDE",
            "Reversals that keep the marginals, from the ODE (a = ½) to the reverse SDE (a = 1) and beyond",
            SDEOptions,
            requires={"gaussian", "sde"},
        )
    ]


@hookimpl
def difrun_datasets() -> list[Component]:
    return [
        Component(
            "reflow",
            "difrun_flow.reflow:reflow",
            "Couples (noise, sample) of a trained run, to straighten its flow",
            ReflowOptions,
            provides={"real"},
        )
    ]
