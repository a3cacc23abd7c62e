"""The methods against closed forms: dense matrices, differences, and the exact posterior of Gaussian data."""

import numpy as np
import pytest
import torch

from difrun.data import GaussianMixture
from difrun.model import ExactMixture, ScoreModel
from difrun.process import GaussianProcess
from difrun.sampler import Adams, generate
from difrun.tuning import pilot
from difrun_guidance.measurements.conjugate_gradients import conjugate_gradients
from difrun_guidance.measurements.exact_posterior import Exact, posterior
from difrun_guidance.measurements.methods import LinearDPS, LinearMMPS, LinearPiGDM

from .problems import EDM, NAMES, PROCESSES, context, mixture, normal, problem, seeded

KINDS = ("x0", "noise", "score", "velocity", "v", "straight")
ENOUGH = {"iterations": 3, "tolerance": 1e-15}


def places(process):
    """t_min, the middle and T."""
    return process.at(process.t_min), process.at(0.3 * process.horizon), process.at(process.horizon)


def noised(process, distribution, at, n=5):
    return process.diffuse(distribution.sample(n, seeded(1)), normal(n, distribution.dim, seed=2), at)


def jacobian(model, x, at):
    """∂x̂_0/∂x of every row, (n, d, d)."""
    rows = [
        torch.autograd.functional.jacobian(lambda row: model.predict(row[None], at, "x0")[0], row)
        for row in x
    ]
    return torch.stack(rows)


def test_posterior_of_a_mixture_is_bayes_rule():
    """log p(x | y) = log p(x) + log N(y; A x, σ_y²) + a constant: the same at every x."""
    distribution, options = problem(3, 4, 2, 0.4, seed=11)
    found = posterior(distribution, options["matrix"], options["y"], 0.4)
    x = normal(50, 3, seed=1)
    likelihood = -0.5 * ((options["y"] - x @ options["matrix"].T) / 0.4).square().sum(1)
    constant = found.log_prob(x) - distribution.log_prob(x) - likelihood
    assert constant.std().item() < 1e-10 * constant.abs().max().item()
    isotropic = GaussianMixture(distribution.weights, distribution.means, [0.1, 0.2, 0.3, 0.4])
    full = GaussianMixture(
        distribution.weights, distribution.means, isotropic.covs[:, None, None] * torch.eye(3).double()
    )
    a, b = (posterior(p, options["matrix"], options["y"], 0.4) for p in (isotropic, full))
    torch.testing.assert_close(a.covs, b.covs)
    torch.testing.assert_close(a.weights, b.weights)


@pytest.mark.parametrize("process", PROCESSES, ids=NAMES)
def test_mmps_is_exact_for_gaussian_data(process):
    """The conditional score of one Gaussian (d = 8, m = 3), to 1e-10 of its size, in every kind and at both ends."""
    distribution, options = problem(8, 1, 3, 0.2, seed=2)
    model = ExactMixture(distribution, process)
    exact = Exact(model, context=context(distribution=distribution), **options)
    method = LinearMMPS(model, **options, **ENOUGH)
    for at in places(process):
        x = noised(process, distribution, at)
        for kind in KINDS if at.alpha > 0 else ("score", "noise"):
            wanted = exact.predict(x, at, kind)
            error = (method.predict(x, at, kind) - wanted).abs().max() / wanted.abs().max()
            assert error < 1e-10, (kind, at.t, error)
        if at.alpha == 0:  # Δ is that of λ = −5, where 1/149 of the data is left
            assert (method.predict(x, at, "x0") - exact.predict(x, at, "x0")).abs().max() < 0.1


@pytest.mark.parametrize("process", PROCESSES, ids=NAMES)
def test_pigdm_is_its_formula(process):
    """s_y = Jᵀ Aᵀ (σ_y² I + v A Aᵀ)⁻¹ (y − A x̂_0), v = σ² σ_d²/(α² σ_d² + σ²), with dense matrices (d = 8, m = 3)."""
    distribution, options = problem(8, 4, 3, 0.2, seed=2)
    model, matrix = ExactMixture(distribution, process), options["matrix"]
    method = LinearPiGDM(model, **options)
    at = process.at(0.3 * process.horizon)
    x = noised(process, distribution, at)
    v = at.var * model.data_std**2 / (at.alpha**2 * model.data_std**2 + at.var)
    r = options["y"] - model.predict(x, at, "x0") @ matrix.T
    u = torch.linalg.solve(0.04 * torch.eye(3).double() + v * matrix @ matrix.T, r.T).T
    added = (jacobian(model, x, at).mT @ (u @ matrix)[:, :, None])[:, :, 0]
    torch.testing.assert_close(
        method.predict(x, at, "score") - model.predict(x, at, "score"), added, atol=1e-10, rtol=1e-9
    )


@pytest.mark.parametrize("process", PROCESSES, ids=NAMES)
def test_dps_is_the_gradient_of_its_potential(process):
    """s_y = −ζ (m/σ_y) ∇ √(σ_y² + ‖y − A x̂_0‖²/m), by central differences."""
    distribution, options = problem(4, 3, 2, 0.2, seed=2)
    model = ExactMixture(distribution, process)
    method = LinearDPS(model, zeta=0.7, **options)
    at = process.at(0.3 * process.horizon)
    x = noised(process, distribution, at)

    def potential(x):
        r = options["y"] - model.predict(x, at, "x0") @ options["matrix"].T
        return -0.7 * (2 / 0.2) * (0.04 + r.square().mean(1)).sqrt()

    h, steps = 1e-5, torch.eye(4, dtype=torch.float64)
    wanted = torch.stack([(potential(x + h * e) - potential(x - h * e)) / (2 * h) for e in steps], dim=1)
    added = method.predict(x, at, "score") - model.predict(x, at, "score")
    torch.testing.assert_close(added, wanted, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("method", [LinearDPS, LinearPiGDM, LinearMMPS])
@pytest.mark.parametrize("process", PROCESSES, ids=NAMES)
def test_single_precision_is_enough_at_both_ends(method, process):
    """float32 against float64: 1e-3 of the size of what is predicted, x̂_0, ε̂ and the velocity of the flow."""
    distribution, options = problem(8, 4, 3, 0.2, seed=2)
    guided = method(ExactMixture(distribution, process), **options)
    for at in places(process):
        x = noised(process, distribution, at).float()
        for kind in ("x0", "noise", "straight"):
            wanted = guided.predict(x.double(), at, kind)
            found = guided.predict(x, at, kind)
            assert found.dtype == torch.float32
            assert (found - wanted).abs().max() < 1e-3 * wanted.abs().max(), (kind, at.t)


@pytest.mark.parametrize("tolerance", [1e-12, 1e-2])
def test_conjugate_gradients_solve_each_row_by_itself(tolerance):
    """Against LAPACK, with another matrix for every row; a row that is done stays as it is."""
    factors = normal(6, 5, 5, seed=0)
    matrices = factors @ factors.mT + 0.1 * torch.eye(5, dtype=torch.float64)
    b = normal(6, 5, seed=1)

    def solve(rows):
        def apply(p):
            return (matrices[rows] @ p[:, :, None])[:, :, 0]

        return conjugate_gradients(apply, b[rows], least=0.1, iterations=30, tolerance=tolerance)

    together = solve(list(range(6)))
    residual = (matrices @ together[:, :, None])[:, :, 0] - b
    assert (residual.norm(dim=1) <= 1.001 * tolerance * b.norm(dim=1)).all()
    assert tolerance > 1e-3 or torch.allclose(together, torch.linalg.solve(matrices, b), atol=1e-9)
    for row in range(6):
        torch.testing.assert_close(solve([row])[0], together[row], rtol=1e-10, atol=1e-12)


def test_conjugate_gradients_stop_where_the_matrix_cannot_be():
    """S = diag(2, 1, −3) is said to be at least 1: the row keeps what it found before; another row is not disturbed."""
    values = torch.tensor([[2.0, 1.0, -3.0], [2.0, 1.0, 3.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 1.0, 0.1], [1.0, 1.0, 0.1]], dtype=torch.float64)
    u = conjugate_gradients(lambda p: values * p, b, least=1.0, iterations=10, tolerance=1e-12)
    torch.testing.assert_close(u[1], b[1] / values[1])
    assert (u[0] * values[0] * u[0]).sum() > 0
    assert u[0].norm() < 2
    nothing = conjugate_gradients(lambda p: -p, b, least=1.0, iterations=10, tolerance=1e-12)
    assert torch.equal(nothing, torch.zeros_like(b))


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
        return method.pull(r, x, x0, torch.ones_like(r), at).detach()


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
