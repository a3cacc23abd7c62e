"""Schedules from two functions, against processes in closed form."""

import numpy as np
import pytest
import torch

from difrun.data import GaussianMixture
from difrun.grid import logsnr
from difrun.model import ExactMixture
from difrun.process.functions import FunctionProcess
from difrun.process.tabulated import TabulatedProcess
from difrun.sampler import Heun, generate
from difrun.testing import ReferenceFlow, ReferenceVE, ReferenceVP, probability_flow_endpoint
from difrun.testing.references import two_gaussians


@pytest.mark.parametrize(
    ("functions", "exact"),
    [
        ((lambda t: torch.exp(-t), lambda t: (-torch.expm1(-2 * t)).sqrt()), ReferenceVP()),
        ((lambda t: np.exp(-t), lambda t: np.sqrt(1 - np.exp(-2 * t))), ReferenceVP()),
        ((1.0, lambda t: t), ReferenceVE()),
        ((lambda t: 1, lambda t: np.asarray(t)), ReferenceVE()),
        ((lambda t: 1 - t, lambda t: t), ReferenceFlow()),
    ],
    ids=["vp by torch", "vp by NumPy", "ve", "ve by NumPy", "flow"],
)
def test_two_functions_make_the_process_in_closed_form(functions, exact):
    """α, σ, drift, diffusion, bridge, inverse and probability flow, to rounding."""
    process = TabulatedProcess.from_functions(*functions, exact.horizon)
    times = np.linspace(0.02, 0.97, 9) * exact.horizon
    for mine, other in zip(process.instants(times), exact.instants(times), strict=True):
        for name in ("alpha", "sigma", "lam", "f", "g2", "d_alpha", "d_sigma"):
            assert getattr(mine, name) == pytest.approx(getattr(other, name), rel=1e-9, abs=1e-12), name
    x, x0 = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    bridges = [p.bridge(x, x0, *p.instants([times[6], times[2]])) for p in (process, exact)]
    torch.testing.assert_close(bridges[0].mean, bridges[1].mean, rtol=1e-9, atol=1e-12)
    assert bridges[0].std == pytest.approx(bridges[1].std, rel=1e-9)
    lam = torch.linspace(*exact.lam_range, 20, dtype=torch.float64)
    torch.testing.assert_close(process.time_at(lam), exact.time_at(lam), rtol=1e-8, atol=1e-12)
    if functions[0] == 1.0:
        return
    span = (0.9 * exact.horizon, 0.05 * exact.horizon)
    mixture = GaussianMixture([0.4, 0.6], [[-1.0, 0.2], [1.0, 0.5]], [0.1, 0.2])
    ends = [
        probability_flow_endpoint(ExactMixture(mixture, p), x[:, :2], times=span, rtol=1e-6)
        for p in (process, exact)
    ]
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-5)


def test_samples_under_two_functions_are_those_of_the_closed_form():
    model = ExactMixture(two_gaussians(), FunctionProcess(lambda t: 1 - t, lambda t: t, 1.0))
    same = ExactMixture(two_gaussians(), ReferenceFlow())
    grid = logsnr(same.process, 12)
    samples = [generate(Heun(), m, 50, grid, seed=3, dtype=torch.float64) for m in (model, same)]
    torch.testing.assert_close(*samples, rtol=1e-9, atol=1e-9)
