"""The metric of lattices: exact values for exact samples, its power, its floor and standard error."""

import math

import pytest
import torch

from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.metric import measure
from difrun_ising.data import ising
from difrun_ising.metrics import lattice

from .support import TABLES


@pytest.fixture(scope="module")
def dataset():
    return ising(seed=1)


def test_exact_samples_have_the_exact_values_within_their_errors(dataset):
    """5000 exact samples, β = 0.35: energy, |m|, susceptibility, C(r) of the tables within 5 standard errors (of
    resampling); the distances at their floors: TV of P(M) 0.043 ± 0.004 and of P(E) 0.025 ± 0.004, |ΔE| below 0.02."""
    table = TABLES["periodic"]["0.35"]
    x = dataset.fresh(5000, torch.Generator().manual_seed(9))
    found = measure(lattice, x, dataset, seed=0, law=True)
    truth = {
        "energy": table["energy_per_spin"],
        "heat-capacity": table["heat_capacity_per_spin"],
        "abs-magnetisation": table["abs_magnetization"],
        **{f"c{r}": table["C_axis"][r] for r in range(1, 5)},
    }
    for name, value in truth.items():
        number = found[name]
        assert number["value"] == pytest.approx(value, abs=5 * number["value_sd"] * 1.5), name
        # the floor is the mean of six sets; the error of resampling is that of one set, to a factor of 3
        assert number["floor"] == pytest.approx(value, abs=5 * number["value_sd"]), name
        assert 1 / 3 < number["value_sd"] / number["floor_sd"] < 3, name
    assert found["magnetisation-tv"]["floor"] == pytest.approx(0.0427, abs=0.006)
    assert found["energy-tv"]["floor"] == pytest.approx(0.0253, abs=0.006)
    assert found["energy-error"]["value"] < 5 * 0.28 / math.sqrt(5000)


def test_distances_see_a_wrong_temperature(dataset):
    """Samples at β = 0.3: ΔE is the difference of the exact energies, to 5 standard errors; P(E) is far off."""
    from difrun_ising.lattice import Lattice
    from difrun_ising.transfer import transfer_matrix

    other = transfer_matrix(Lattice(8, 8, 0.3))
    x = other.sample(5000, torch.Generator().manual_seed(1))
    found = lattice(x, dataset, generator=torch.Generator())
    shift = (other.energy - dataset.transfer.energy) / 64
    assert found["energy-error"] == pytest.approx(shift, abs=5 * 0.25 / 5000**0.5)
    assert found["energy-tv"] > 0.25


def test_laws_are_compared_value_by_value():
    """2x2, β = 0, a set in which every configuration stands once: all distances are 0 and the energy is 0."""
    from .support import configurations

    data = ising(seed=0, size=(2, 2), beta=0.0, boundary="free", n=20, held_out=5)
    found = lattice(configurations((2, 2)), data, generator=torch.Generator())
    for name in ("energy", "energy-error", "energy-tv", "magnetisation-tv", "c1"):
        assert found[name] == pytest.approx(0, abs=1e-12), name
    ones = lattice(torch.ones(10, 2, 2), data, generator=torch.Generator())
    assert ones["magnetisation-tv"] == pytest.approx(15 / 16, abs=1e-12)
    assert ones["energy-tv"] == pytest.approx(14 / 16, abs=1e-12)


def test_masks_and_unknown_lattices_are_refused(dataset):
    with pytest.raises(DifrunError, match="masks are left"):
        lattice(torch.zeros(5, 8, 8), dataset, generator=torch.Generator())
    mine = Dataset(name="mine", train=torch.ones(20, 2, 2), held_out=torch.ones(1, 2, 2))
    with pytest.raises(DifrunError, match="dataset 'mine' does not know"):
        lattice(torch.ones(5, 2, 2), mine, generator=torch.Generator())
