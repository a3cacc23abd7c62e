"""Critically damped Langevin diffusion: noise reaches the data by way of a velocity."""

from difrun.api import Component, hookimpl

from difrun_cld.options import CldOptions


@hookimpl
def difrun_processes() -> list[Component]:
    return [
        Component(
            "cld",
            "difrun_cld.process:CriticallyDampedLangevin",
            "Critically damped Langevin diffusion of data and a velocity (Dockhorn et al.)",
            CldOptions,
            provides={"continuous", "momentum"},
            requires={"real"},
            prefers={"loss": "cld", "sampler": "sscs", "grid": "quadratic"},
            suits={"sample.steps": 100},
        )
    ]


@hookimpl
def difrun_models() -> list[Component]:
    return [
        Component(
            "cld-exact",
            "difrun_cld.exact:exact",
            "The exact score of a Gaussian mixture under critically damped Langevin diffusion",
            provides={"exact"},
            requires={"momentum"},
        )
    ]


@hookimpl
def difrun_losses() -> list[Component]:
    return [
        Component(
            "cld",
            "difrun_cld.loss:HybridScoreMatching",
            "Hybrid score matching: the noise of the velocity given x_0, over all initial velocities",
            requires={"momentum", "network"},
        )
    ]


@hookimpl
def difrun_samplers() -> list[Component]:
    def sampler(name: str, target: str, summary: str) -> Component:
        return Component(name, f"difrun_cld.samplers:{target}", summary, requires={"momentum"})

    return [
        sampler(
            "sscs", "Splitting", "Symmetric splitting: exact damped motion around a kick by the score (SSCS)"
        ),
        sampler(
            "cld-em", "EulerMaruyama", "Euler–Maruyama for the reverse SDE of critically damped Langevin"
        ),
        sampler("cld-flow", "Flow", "Heun's method for the probability flow of critically damped Langevin"),
    ]
