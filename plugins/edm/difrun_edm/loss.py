"""The training loss of Karras et al."""

from difrun.loss import LogNormal, Regression, edm


def edm_loss(*, p_mean: float = -1.2, p_std: float = 1.2, data_std: float | None = None) -> Regression:
    r"""The weighted denoising loss of Karras et al., at log-normal noise levels.

        E w ‖x̂_0 − x_0‖²/d,    w = α²/σ² + 1/σ_d²,    ln(σ/α) ~ N(p_mean, p_std²) within the range of the process.

    For α = 1 this is the paper's w = (σ² + σ_d²)/(σ σ_d)², which multiplies the error of x̂_0, not that of the noise.

    Args:
        p_mean: The mean of ln(σ/α).
        p_std: The standard deviation of ln(σ/α).
        data_std: The σ_d of the weight. None takes the standard deviation of the data, by which the network is
            preconditioned too. A network that predicts `edm` then has the loss 1 at every noise level before training.

    References:
        Karras et al. (2022), arXiv 2206.00364, table 1.
    """
    return Regression("x0", edm, LogNormal(p_mean, p_std), data_std)
