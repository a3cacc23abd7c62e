"""Options of the process, without torch."""

import attrs
from attrs.validators import gt
from difrun.api import option


@attrs.frozen
class CldOptions:
    """Options of the process `cld`. Its friction Γ and mass M are critical, Γ² = 4M."""

    beta: float = option(4.0, "Rate of noising, β (1/time).", gt(0))
    friction: float = option(
        1.0, "Friction Γ; the mass is M = Γ²/4, the stationary variance of velocities.", gt(0)
    )
    gamma: float = option(0.04, "Variance of the initial velocities, in units of M.", gt(0))
    t_min: float = option(1e-3, "Time at which training and sampling end.", gt(0))

    def __attrs_post_init__(self) -> None:
        """Refuse a t_min that is not before T."""
        if self.t_min >= 1:
            raise ValueError(f"t_min must be less than T = 1; got {self.t_min}")
