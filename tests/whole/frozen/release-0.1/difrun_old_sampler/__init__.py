"""DDIM with a share of the noise renewed."""

from difrun.api import Component, hookimpl

from difrun_old_sampler.options import OldSamplerOptions


@hookimpl
def difrun_samplers() -> list[Component]:
    return [
        Component(
            "old-sampler",
            "difrun_old_sampler.sampler:OldSampler",
            "DDIM with a share of the noise renewed",
            OldSamplerOptions,
            requires={"gaussian", "sde", "ode"},
        )
    ]
