"""The training loss of Karras et al."""

from difrun.loss import LogNormal, Regression
from difrun.loss.base import edm


def edm_loss(*, p_mean: float = -1.2, p_std: float = 1.2, data_std: float | None = None) -> Regression:
    r"""E_σ w(σ) ‖x̂_0 − x_0‖²/d with w = α²/σ² + 1/σ_d² and ln(σ/α) ~ N(p_mean, p_std²), cut to the process.

    Karras et al. (2022, arXiv 2206.00364, table 1), for α = 1: w = (σ² + σ_d²)/(σ σ_d)² multiplies the error of x̂_0,
    not that of the noise. data_std is σ_d; None takes the standard deviation of the data, with which the network is
    preconditioned too: one that predicts `edm` then has the loss 1 before training, at every noise level.
    """
    return Regression("x0", edm, LogNormal(p_mean, p_std), data_std)
