"""Options of the plugin's components, without torch."""

from typing import Literal, get_args

import attrs
from attrs.validators import ge, in_, le, lt

from difrun.api import GaussianOptions, option, refuse_unused

Table = Literal["linear", "cosine", "scaled-linear"]
Times = Literal["uniform", "log-snr"]
Variance = Literal["posterior", "forward"]
Spacing = Literal["trailing", "quadratic"]


@attrs.frozen
class DDPMOptions(GaussianOptions):
    """Options of the chain of DDPM."""

    steps: int = option(1000, "Number of steps of the chain, N; time runs from 0 to N.", ge(1), le(10**6))
    schedule: Table = option(
        "linear",
        "Form of the table β_1 ... β_N: β linear in n, ᾱ a squared cosine, or √β linear in n.",
        in_(get_args(Table)),
    )
    beta_start: float = option(1e-4, "β_1, for the linear and the scaled-linear schedule.", ge(1e-9), lt(1))
    beta_end: float = option(0.02, "β_N, for the linear and the scaled-linear schedule.", ge(1e-9), lt(1))
    rescale: bool = option(
        False, "Multiply β by 1000/N, so that a chain of any length forgets as much as one of 1000 steps."
    )

    def __attrs_post_init__(self) -> None:
        if self.schedule == "cosine":
            refuse_unused(
                self,
                ("beta_start", "beta_end"),
                "the cosine schedule has no",
                "choose schedule linear or scaled-linear",
            )
        if self.beta_end < self.beta_start:
            raise ValueError(
                f"beta_end = {self.beta_end:g} must not be smaller than beta_start = {self.beta_start:g}"
            )
        if self.rescale and self.schedule == "cosine":
            raise ValueError(
                "rescale is for the linear and the scaled-linear schedule; the cosine schedule ends in noise at any N"
            )


@attrs.frozen
class NoiseOptions:
    """Options of the simple loss."""

    times: Times = option(
        "uniform",
        "Distribution of the training time: uniform (n = 1 ... N on the chain `ddpm`), or uniform in log(α/σ).",
        in_(get_args(Times)),
    )


@attrs.frozen
class DDPMSamplerOptions:
    """Options of ancestral sampling."""

    variance: Variance = option(
        "posterior",
        "Variance of a step: of q(x_s | x_t, x_0), β̃ in DDPM, or of q(x_t | x_s), β in DDPM.",
        in_(get_args(Variance)),
    )


@attrs.frozen
class DDIMOptions:
    """Options of DDIM."""

    eta: float = option(0.0, "Noise of a step, η: 0 is deterministic, 1 is ancestral sampling.", ge(0), le(1))


@attrs.frozen
class IntegerOptions:
    """Options of the grid of the chain's own times."""

    spacing: Spacing = option(
        "trailing",
        "Equal strides down from N, or strides that shrink towards the data.",
        in_(get_args(Spacing)),
    )
