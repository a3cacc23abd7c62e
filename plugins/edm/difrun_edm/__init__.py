"""Karras et al. (EDM): process, loss and stochastic sampler; and the DPM-Solver++ samplers."""

from difrun.api import Component, hookimpl
from difrun_edm.options import EDMOptions, HeunOptions, LossOptions


@hookimpl
def difrun_processes() -> list[Component]:
    return [
        Component(
            "edm",
            "difrun_edm.process:EDM",
            "Variance exploding with σ_t = t (Karras et al.), dX = √(2t) dW",
            EDMOptions,
            provides={"continuous", "gaussian", "ode", "sde"},
            requires={"real"},
            prefers={"loss": "edm"},
        )
    ]


@hookimpl
def difrun_losses() -> list[Component]:
    return [
        Component(
            "edm",
            "difrun_edm.loss:edm_loss",
            "Squared error of x̂_0 with the weight α²/σ² + 1/σ_d², at log-normal noise levels",
            LossOptions,
            requires={"gaussian", "network"},
        )
    ]


@hookimpl
def difrun_samplers() -> list[Component]:
    def solver(name: str, target: str, summary: str) -> Component:
        return Component(name, f"difrun_edm.dpmpp:{target}", summary, requires={"gaussian", "ode"})

    return [
        Component(
            "edm",
            "difrun_edm.heun:ChurnedHeun",
            "Heun in x/α against σ/α, with churn: noise added before each step (Karras et al., Algorithm 2)",
            HeunOptions,
            requires={"gaussian", "ode"},
        ),
        solver("dpmpp-2s", "SingleStep2", "DPM-Solver++(2S), single-step, order 2, two evaluations per step"),
        solver("dpmpp-2m", "Multistep2", "DPM-Solver++(2M), multistep, order 2, one evaluation per step"),
        solver("dpmpp-3m", "Multistep3", "DPM-Solver++(3M), multistep, order 3, one evaluation per step"),
    ]
