"""Options of the plugin's components, without torch."""

import attrs
from attrs.validators import ge, gt, le, optional

from difrun.api import GaussianOptions, option, refuse_unused
from difrun.errors import OptionError


@attrs.frozen
class EDMOptions(GaussianOptions):
    """Options of the process of Karras et al."""

    sigma_max: float = option(
        80.0, "Largest noise level, σ_max = T; the smallest is noise_floor.", ge(1e-9), le(1e6)
    )

    def __attrs_post_init__(self) -> None:
        if self.sigma_max <= self.noise_floor:
            raise OptionError(
                f"sigma_max = {self.sigma_max:g} must be larger than noise_floor = {self.noise_floor:g}"
            )


@attrs.frozen
class LossOptions:
    """Options of the loss of Karras et al."""

    p_mean: float = option(-1.2, "Mean of ln(σ/α) in training.", ge(-50), le(50))
    p_std: float = option(1.2, "Standard deviation of ln(σ/α) in training.", gt(0), le(50))
    data_std: float | None = option(
        None, "σ_d of the weight; none: the standard deviation of the data.", optional(gt(0))
    )


@attrs.frozen
class HeunOptions:
    """Options of Heun's method with churn."""

    s_churn: float = option(40.0, "Churn of a whole run; 0 makes the sampler deterministic.", ge(0), le(1e9))
    s_tmin: float = option(
        0.05, "Smallest noise-to-signal ratio σ/α at which noise is added.", ge(0), le(1e12)
    )
    s_tmax: float = option(
        50.0, "Largest noise-to-signal ratio σ/α at which noise is added.", gt(0), le(1e12)
    )
    s_noise: float = option(
        1.0, "Standard deviation of the added noise, relative to the exact one.", ge(0), le(1000), second=1.0
    )

    def __attrs_post_init__(self) -> None:
        if self.s_churn == 0:
            refuse_unused(
                self,
                ("s_tmin", "s_tmax", "s_noise"),
                "without churn there is no use for",
                "choose s_churn above 0",
            )
        if self.s_tmin >= self.s_tmax:
            raise OptionError(f"s_tmin = {self.s_tmin:g} must be less than s_tmax = {self.s_tmax:g}")
