"""The posterior covariance V: from the data where a network cannot tell, from the model elsewhere."""

import numpy as np
import torch

from difrun.model import ExactMixture, ScoreModel
from difrun.process import GaussianProcess
from difrun.sampler import Adams, generate
from difrun.sampler.tuning import pilot
from difrun_guidance.measurements.methods import LinearMMPS

from .problems import (
    EDM,
    ENOUGH,
    PROCESSES,
    context,
    jacobian,
    mixture,
    noised,
    problem,
)


class Rough(ScoreModel):
    """The model of a mixture as a network has it: with much noise x̂_0 is off by 0.2 sin(4 x/σ), V by 0.8 σ."""

    def __init__(self, distribution, process):
        self.truth, self.network = ExactMixture(distribution, process), torch.nn.Identity()
        self.process, self.shape = process, self.truth.shape
        self.mean, self.var = self.truth.mean, self.truth.var

    def forward(self, x, at):
        return self.truth.predict(x, at, "x0") + 0.2 * at.var / (at.var + 9) * torch.sin(4 * x / at.sigma)


def test_the_covariance_is_that_of_the_data_where_a_network_cannot_tell():
    """With much noise V = C (I + (α²/σ²) C)⁻¹ for the covariance C of the examples, else (σ²/α) J, smoothly in between.

    m = d, so that Δ = V Aᵀ (σ_y² + A V Aᵀ)⁻¹ r shows V, against dense algebra.
    """
    process = PROCESSES[1]
    distribution, options = problem(3, 2, 3, 0.2, seed=5)
    of, model = context(distribution=distribution), Rough(distribution, process)
    matrix, std = options["matrix"], model.data_std
    data = torch.from_numpy(np.cov(of.dataset.train.double().numpy().T, bias=True))
    eye = torch.eye(3, dtype=torch.float64)
    method = LinearMMPS(model, context=of, **options, **ENOUGH)
    for noise, share in ((3.0, 1.0), (1.0, 0.5), (0.3, 0.0), (1.2, None)):
        at = process.at(noise * std)
        if share is None:
            place = np.log2(noise) + 0.5
            share = place**2 * (3 - 2 * place)
        x = noised(process, distribution, at)
        x0 = model.predict(x, at, "x0")
        v = (1 - share) * at.var / at.alpha * jacobian(model, x, at).mT
        v = v + share * data @ torch.linalg.inv(eye + at.alpha**2 / at.var * data)
        # The system that is solved takes V as symmetric, which this Jacobian is not.
        moved = method.predict(x, at, "x0") - x0
        if share == 1:
            r = options["y"] - x0 @ matrix.T
            u = torch.linalg.solve(0.04 * eye + matrix @ v @ matrix.T, r[:, :, None])
            torch.testing.assert_close(moved, (v @ matrix.T @ u)[:, :, 0], atol=1e-8, rtol=1e-8)
        pulled = _pulled(method, x, at)
        torch.testing.assert_close(pulled, (v @ matrix.T).sum(2), atol=1e-8, rtol=1e-8)


def _pulled(method, x, at):
    """V Hᵀ (1, ..., 1) as the method computes it."""
    with torch.enable_grad():
        x = x.clone().requires_grad_()
        x0 = method.inner.predict(x, at, "x0")
        r = method.residual_of(x0)
        return method.apply_covariance(r, x, x0, torch.ones_like(r), at).detach()


def test_the_jacobian_of_an_exact_model_is_used_throughout():
    distribution, options = problem(3, 2, 3, 0.2, seed=5)
    process: GaussianProcess = PROCESSES[1]
    at = process.at(process.horizon)
    x = noised(process, distribution, at)
    exact, forced = (
        LinearMMPS(
            ExactMixture(distribution, process),
            context=context(distribution=distribution),
            jacobian_below=below,
            **options,
        )
        for below in (None, 1.0)
    )
    v = at.var / at.alpha * jacobian(exact.inner, x, at)
    torch.testing.assert_close(_pulled(exact, x, at), (v @ options["matrix"].T).sum(2))
    assert (_pulled(forced, x, at) - _pulled(exact, x, at)).abs().max() > 1e-3


def test_rough_network_is_followed_by_the_default_sampler():
    """Adams on the pilot grid, 20 steps: the misfit is 1 within four standard errors of 24 samples of 3 numbers and 0.1
    for the steps; with the Jacobian everywhere it is twice as much or more (2.5 to 3.3 for five seeds)."""
    distribution, process = mixture(6, 1, seed=8), EDM()
    of, misfits = context(distribution=distribution), []
    for below in (None, 1e6):
        options = {"seen": "left", "sigma_y": 0.1, "jacobian_below": below}
        method = LinearMMPS(Rough(distribution, process), context=of, **options)
        samples = generate(Adams(), method, 24, pilot(method, 20))
        misfits.append(method.misfit(samples).mean().item())
    assert abs(misfits[0] - 1) < 4 * (2 / 72) ** 0.5 + 0.1, misfits
    assert misfits[1] > 2, misfits
