"""Datasets: exact values, cluster updates, a user's files, strings of known entropy."""

import numpy as np
import pytest
import torch

from difrun.errors import DifrunError
from difrun_ising.data.lattices import ising
from difrun_ising.data.spin_file import spin_file
from difrun_ising.data.strings import markov
from difrun_ising.lattice.exact.kaufman import torus_energy

from ..support import TABLES


def test_the_default_lattice_knows_its_distribution():
    """8x8, β = 0.35: entropy of the table to 1e-10; −log p of 5000 training lattices has it as its mean, to 5 s.e."""
    data, table = ising(seed=1), TABLES["periodic"]["0.35"]
    assert data.train.shape == (5000, 8, 8)
    assert data.entropy / 64 == pytest.approx(table["entropy_per_spin_nats"], rel=1e-10)
    values = -data.log_density(data.train)
    assert values.mean().item() == pytest.approx(data.entropy, abs=5 * values.std().item() / 5000**0.5)


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
