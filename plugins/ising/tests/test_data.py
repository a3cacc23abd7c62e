"""Datasets: exact values, cluster updates, a user's files, strings of known entropy."""

import numpy as np
import pytest
import torch

from difrun.errors import DifrunError
from difrun_ising.data import ising, markov, spin_file
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.moments import torus_energy
from difrun_ising.lattice.swendsen_wang import Autocorrelation, integrated_time, swendsen_wang
from difrun_ising.lattice.transfer import TransferMatrix

from .support import TABLES


def test_the_default_lattice_knows_its_distribution():
    """8x8, β = 0.35: entropy of the table to 1e-10; −log p of 5000 training lattices has it as its mean, to 5 s.e."""
    data, table = ising(seed=1), TABLES["periodic"]["0.35"]
    assert data.train.shape == (5000, 8, 8)
    assert data.entropy / 64 == pytest.approx(table["entropy_per_spin_nats"], rel=1e-10)
    values = -data.log_density(data.train)
    assert values.mean().item() == pytest.approx(data.entropy, abs=5 * values.std().item() / 5000**0.5)


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


def test_lattices_beyond_the_transfer_matrix_are_drawn_by_clusters():
    """13x13 at the critical point: ⟨E⟩ of 400 lattices is Kaufman's, to 5 standard errors of 360 independent ones;
    with a field no log p is known."""
    data = ising(seed=0, size=(13,), beta=0.4406868, n=400, held_out=100)
    assert data.autocorrelation is not None
    energy, variance = torus_energy(data.lattice)
    error = (variance / 360) ** 0.5
    assert data.lattice.energy(data.train).mean().item() == pytest.approx(energy, abs=5 * error)
    surprise = -data.log_density(data.train).mean().item()
    assert surprise == pytest.approx(data.entropy, abs=5 * 0.4406868 * error)
    field = ising(seed=0, size=(13,), beta=0.3, field=0.1, n=20, held_out=20)
    assert field.autocorrelation is not None
    assert (field.log_density, field.entropy) == (None, None)


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


def test_a_users_spins_are_taken(tmp_path):
    spins = np.random.default_rng(1).choice([-1, 1], (50, 3, 5))
    np.save(tmp_path / "s.npy", spins)
    data = spin_file(seed=0, path=tmp_path / "s.npy")
    assert data.train.shape == (40, 3, 5)
    both = torch.cat((data.train, data.held_out)).flatten(1).numpy()
    assert sorted(map(tuple, both)) == sorted(map(tuple, spins.reshape(50, -1).astype(float)))


def test_what_is_no_spin_is_refused_with_its_value_and_place(tmp_path):
    spins = np.ones((30, 4, 4))
    spins[7, 2, 3] = 0.5
    np.savez(tmp_path / "s.npz", x=spins)
    with pytest.raises(DifrunError, match=r"0\.5 at \[7, 2, 3\] is not a spin"):
        spin_file(seed=0, path=tmp_path / "s.npz")
    np.save(tmp_path / "few.npy", np.ones((21, 2)))
    with pytest.raises(DifrunError, match=r"leaves 17 to train on"):
        spin_file(seed=0, path=tmp_path / "few.npy")
    with pytest.raises(DifrunError, match=r"needs a file"):
        spin_file(seed=0)


def test_strings_have_the_entropy_that_is_said():
    """−log p of 20 000 strings has the entropy as its mean, to 5 standard errors; of 2^L strings the distribution
    sums to 1."""
    data = markov(seed=0, length=5, letters=3, stay=0.6, n=100)
    values = -data.log_density(data.fresh(20000, torch.Generator().manual_seed(1)))
    assert values.mean().item() == pytest.approx(data.entropy, abs=5 * values.std().item() / 20000**0.5)
    index = torch.cartesian_prod(*[torch.arange(3)] * 5)
    every = torch.nn.functional.one_hot(index, 3).float()
    assert data.log_density(every).exp().sum().item() == pytest.approx(1, abs=1e-12)
