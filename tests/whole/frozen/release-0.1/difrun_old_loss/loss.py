"""The weight of the loss."""

from typing import Any

from difrun.loss import Regression, Uniform


def old_loss(*, gamma: float = 5.0) -> Regression:
    r"""E_t min(1, γ/SNR) ‖ε̂ − ε‖²/d, with SNR = α²/σ² and t uniform.

    Args:
        gamma: The signal-to-noise ratio above which weights stop growing.

    Returns:
        The regression on the noise with this weight. `draw` and `evaluate` are those of every regression.

    References:
        Hang et al. (2023), arXiv 2303.09556, sec. 3.4.
    """

    def weight(at: Any, data_std: float) -> Any:
        return (gamma * at.var / at.alpha**2).clamp(max=1.0)

    return Regression("noise", weight, Uniform())
