"""Discrete-time denoising diffusion (DDPM and DDIM) for difrun."""

from difrun.api import Component, hookimpl
from difrun_ddpm.options import DDIMOptions, DDPMOptions, DDPMSamplerOptions, IntegerOptions, NoiseOptions
from difrun_ddpm.tabulated_options import TabulatedOptions


@hookimpl
def difrun_processes() -> list[Component]:
    return [
        Component(
            "ddpm",
            "difrun_ddpm.process:DDPM",
            "Chain of N steps, x_n = √(1 − β_n) x_{n−1} + √β_n ε, interpolated between integers",
            DDPMOptions,
            provides={"continuous", "gaussian", "ode", "sde", "chain"},
            requires={"real"},
            prefers={"loss": "noise"},
        ),
        Component(
            "tabulated",
            "difrun_ddpm.tabulated:tabulated",
            "x_t = α x_0 + σ ε through a table of α and σ made elsewhere",
            TabulatedOptions,
            provides={"continuous", "gaussian", "ode", "sde"},
            requires={"real"},
        ),
    ]


@hookimpl
def difrun_losses() -> list[Component]:
    return [
        Component(
            "noise",
            "difrun_ddpm.loss:noise",
            "Noise prediction, E ‖ε_θ − ε‖², the simple loss of DDPM",
            NoiseOptions,
            requires={"gaussian", "network"},
        ),
        Component(
            "vlb",
            "difrun_ddpm.loss:vlb",
            "Variational bound without its reconstruction term, in nats per coordinate",
            requires={"gaussian", "network"},
        ),
    ]


@hookimpl
def difrun_samplers() -> list[Component]:
    return [
        Component(
            "ddpm",
            "difrun_ddpm.samplers:DDPMSampler",
            "Ancestral sampling with the variance of the posterior (β̃) or of the forward step (β)",
            DDPMSamplerOptions,
            requires={"gaussian"},
        ),
        Component(
            "ddim",
            "difrun_ddpm.samplers:DDIM",
            "DDIM, from deterministic (η = 0) to ancestral (η = 1)",
            DDIMOptions,
            requires={"gaussian"},
        ),
    ]


@hookimpl
def difrun_grids() -> list[Component]:
    return [
        Component(
            "integer",
            "difrun_ddpm.grid:integer",
            "A sub-sequence of the chain's own times N, ..., 1, without repeats",
            IntegerOptions,
            requires={"chain"},
        )
    ]
