"""Options of the plugin's components, without torch."""

from typing import Any, Literal, get_args

import attrs
from attrs.validators import ge, gt, in_, le

from difrun.api import GaussianOptions, option, refuse_unused
from difrun.errors import OptionError

Schedule = Literal["linear", "cosine"]
Times = Literal["uniform", "log-snr", "log-normal"]
Corrector = Literal["langevin", "restart", "none"]
Numbers = float | tuple[float, ...]


def _within_reach(_: Any, __: attrs.Attribute, value: Numbers) -> None:
    numbers = value if isinstance(value, tuple) else (value,)
    if any(abs(number) > 1e6 for number in numbers):
        raise ValueError(f"the mean must lie between -1e6 and 1e6; got {max(numbers, key=abs):g}")


@attrs.frozen
class OUOptions(GaussianOptions):
    """Options of the Ornstein–Uhlenbeck process."""

    theta: float = option(1.0, "Rate of return to the mean, θ (1/time).", ge(1e-9), le(1e6))
    mu: Numbers = option(
        0.0,
        "Mean to which the process returns, μ: one number, or one per coordinate. For standardised data of a file it "
        "is in standard deviations from their mean.",
        _within_reach,
    )
    sigma: float = option(
        2**0.5, "Noise amplitude, σ; the stationary variance is σ²/(2θ).", ge(1e-9), le(1e6)
    )
    horizon: float = option(4.0, "Time T at which sampling starts.", ge(1e-9), le(1e6))


@attrs.frozen
class VPOptions(GaussianOptions):
    """Options of the variance-preserving process."""

    schedule: Schedule = option("linear", "Form of the noise schedule β(t).", in_(get_args(Schedule)))
    beta_min: float = option(0.1, "β at t = 0, for the linear schedule.", ge(1e-9), le(1e6))
    beta_max: float = option(20.0, "β at t = 1, for the linear schedule.", ge(1e-9), le(1e6))

    def __attrs_post_init__(self) -> None:
        if self.schedule == "cosine":
            refuse_unused(
                self, ("beta_min", "beta_max"), "only the linear schedule has", "choose schedule linear"
            )


@attrs.frozen
class VEOptions(GaussianOptions):
    """Options of the variance-exploding process."""

    sigma_min: float = option(
        0.01, "Noise scale σ_min from which the geometric growth starts.", ge(1e-9), le(1e6)
    )
    sigma_max: float = option(50.0, "Noise scale σ_max, nearly σ(T) at T = 1.", ge(1e-9), le(1e6))

    def __attrs_post_init__(self) -> None:
        if self.sigma_max <= self.sigma_min:
            raise OptionError(
                f"sigma_max = {self.sigma_max:g} must be larger than sigma_min = {self.sigma_min:g}"
            )


@attrs.frozen
class ScoreOptions:
    """Options of denoising score matching."""

    times: Times = option(
        "log-snr",
        "Distribution of the training time: uniform in t, uniform in log(α/σ), or normal in ln(σ/α).",
        in_(get_args(Times)),
    )
    p_mean: float = option(-1.2, "Mean of ln(σ/α), for log-normal times.", ge(-50), le(50))
    p_std: float = option(1.2, "Standard deviation of ln(σ/α), for log-normal times.", gt(0), le(50))

    def __attrs_post_init__(self) -> None:
        if self.times != "log-normal":
            refuse_unused(self, ("p_mean", "p_std"), "only log-normal times have", "choose times log-normal")


@attrs.frozen
class EulerMaruyamaOptions:
    """Options of Euler–Maruyama."""

    a: float = option(
        1.0,
        "Member of the family of reversals: ½ is the probability-flow ODE, 1 the reverse SDE, more is noisier.",
        ge(0.5),
        le(1000),
    )


@attrs.frozen
class PCOptions:
    """Options of the predictor–corrector sampler."""

    predictor: str = option("ancestral", "Sampler that takes the step: any installed one.")
    corrector: Corrector = option(
        "langevin",
        "What follows each step: Langevin steps; restart, which takes the step once more from its start; none.",
        in_(get_args(Corrector)),
    )
    corrections: int = option(1, "Corrections after each step.", ge(1), le(1000))
    snr: float = option(
        0.16, "Signal-to-noise ratio r of a Langevin correction, which sets its length.", gt(0), le(100)
    )

    def __attrs_post_init__(self) -> None:
        if self.corrector == "none":
            refuse_unused(
                self,
                ("corrections",),
                "without a corrector there are no",
                "choose corrector langevin or restart",
            )
        if self.corrector != "langevin":
            refuse_unused(self, ("snr",), "only a Langevin correction has an", "choose corrector langevin")
