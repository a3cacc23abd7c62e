"""Ornstein–Uhlenbeck, variance-preserving and variance-exploding diffusions."""

from difrun.api import Component, hookimpl
from difrun_ou.options import EulerMaruyamaOptions, OUOptions, PCOptions, ScoreOptions, VEOptions, VPOptions

_DIFFUSION = {"continuous", "gaussian", "ode", "sde"}
_PREFERS = {"loss": "score"}


@hookimpl
def difrun_processes() -> list[Component]:
    def process(name: str, target: str, summary: str, options: type) -> Component:
        target = f"difrun_ou.process:{target}"
        return Component(
            name, target, summary, options, provides=_DIFFUSION, requires={"real"}, prefers=_PREFERS
        )

    return [
        process("ou", "OrnsteinUhlenbeck", "Ornstein–Uhlenbeck, dX = θ(μ − X)dt + σ dW", OUOptions),
        process("vp", "VariancePreserving", "Variance preserving, dX = −½β(t)X dt + √β(t) dW", VPOptions),
        process("ve", "VarianceExploding", "Variance exploding, dX = g(t) dW", VEOptions),
    ]


@hookimpl
def difrun_losses() -> list[Component]:
    return [
        Component(
            "score",
            "difrun_ou.loss:score",
            "Denoising score matching, E σ² ‖s_θ − ∇ log p_t(x_t | x_0)‖²",
            ScoreOptions,
            requires={"gaussian", "network"},
        )
    ]


@hookimpl
def difrun_samplers() -> list[Component]:
    return [
        Component(
            "euler-maruyama",
            "difrun_ou.euler_maruyama:EulerMaruyama",
            "Euler–Maruyama on a reversal of the SDE, from the ODE (a = ½) to the reverse SDE (a = 1) and beyond",
            EulerMaruyamaOptions,
            requires={"gaussian", "sde"},
        ),
        Component(
            "pc",
            "difrun_ou.predictor_corrector:PredictorCorrector",
            "Any sampler as predictor, then corrections at the time reached: Langevin, restart or none",
            PCOptions,
            requires={"gaussian", "sde"},
        ),
    ]
