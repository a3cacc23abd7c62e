"""Cluster updates: the distribution that they leave alone, and how nearly independent their lattices are."""

import numpy as np
import pytest
import torch

from difrun_ising.lattice.exact.transfer import TransferMatrix
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.swendsen_wang import Autocorrelation, integrated_time, swendsen_wang


@pytest.mark.parametrize(
    ("beta", "coupling", "field"), [(0.4406868, 1.0, 0.0), (0.5, -1.0, 0.0), (0.3, 1.0, 0.2)]
)
def test_cluster_updates_leave_the_exact_distribution(beta, coupling, field):
    """Swendsen–Wang on 6x6, 4000 lattices: energy, |M| and M² as exact ones; |z| < 5 with 2000 effective draws."""
    lattice = Lattice(6, 6, beta, coupling, field)
    drawn, times = swendsen_wang(lattice, 4000, torch.Generator().manual_seed(5))
    assert times.spacing >= 6 * max(times.energy, times.magnetisation) - 1e-9
    exact = TransferMatrix(lattice)
    error = 5 * (exact.energy_variance / 2000) ** 0.5
    assert lattice.energy(drawn).mean().item() == pytest.approx(exact.energy, abs=error)
    values, p = exact.magnetisation_distribution
    for power in (1, 2):
        each = lattice.magnetisation(drawn).abs() ** power
        truth = (p * values.abs() ** power).sum().item()
        spread = (p * values.abs() ** (2 * power)).sum().item() - truth**2
        assert each.mean().item() == pytest.approx(truth, abs=5 * (spread / 2000) ** 0.5)


def test_the_integrated_autocorrelation_time_of_a_known_series():
    """An AR(1) series x' = ax + ε has τ_int = ½ (1 + a)/(1 − a): 4.5 for a = 0.8, to 5 %."""
    random = np.random.default_rng(1)
    series = np.zeros((4000, 100))
    for k in range(1, len(series)):
        series[k] = 0.8 * series[k - 1] + random.standard_normal(100)
    assert integrated_time(series[100:]) == pytest.approx(4.5, rel=0.05)
    # 27 sweeps apart two lattices share a²⁷.
    assert Autocorrelation(energy=4.5, magnetisation=2.0, spacing=27).left == pytest.approx(
        0.8**27, rel=1e-12
    )
