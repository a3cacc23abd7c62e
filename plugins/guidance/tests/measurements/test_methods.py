"""The methods against closed forms: dense matrices, differences, and the exact posterior of Gaussian data."""

import pytest
import torch

from difrun.model import ExactMixture
from difrun_guidance.measurements.exact_posterior import Exact
from difrun_guidance.measurements.methods import LinearDPS, LinearMMPS, LinearPiGDM

from .problems import ENOUGH, NAMES, PROCESSES, context, jacobian, noised, places, problem

KINDS = ("x0", "noise", "score", "velocity", "v", "straight")


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
