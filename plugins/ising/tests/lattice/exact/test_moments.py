"""Exact values beyond the partition function: against enumeration, the tables of the 8x8 lattice, and each other."""

import pytest
import torch

from difrun_ising.lattice.exact.correlation import correlation
from difrun_ising.lattice.exact.kaufman import has_closed_form, torus_energy, torus_log_z
from difrun_ising.lattice.exact.moments import exact_values, has_distributions, magnetisation_variance
from difrun_ising.lattice.exact.transfer import TransferMatrix, transfer_matrix
from difrun_ising.lattice.lattice import Lattice

from ...support import BETAS, BOUNDARIES, TABLES, distribution

COUPLINGS = ({"beta": 0.3}, {"beta": 0.5, "coupling": -0.7, "field": 0.3}, {"beta": 0.0, "field": 1.0})


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 3), (1, 8), (2, 2), (5, 1), (1, 1), (4, 4)], ids=str)
def test_moments_are_those_of_the_enumeration(shape, periodic):
    """C(r) to 1e-13 and ⟨M²⟩ − ⟨M⟩² to 1e-9, with and without a field, for couplings of either sign; the closed
    forms of log Z and energy of a torus to 1e-11."""
    for couplings in COUPLINGS:
        lattice = Lattice(*shape, periodic=periodic, **couplings)
        s, energy, p, log_z = distribution(lattice)
        matrix = TransferMatrix(lattice)
        truth = (p[:, None] * lattice.correlation(s)).sum(0)
        assert torch.allclose(correlation(matrix), truth, rtol=0, atol=1e-13), couplings
        m = lattice.magnetisation(s).double()
        of_m = (p * m**2).sum().item() - (p * m).sum().item() ** 2
        assert magnetisation_variance(matrix) == pytest.approx(of_m, rel=1e-9, abs=1e-9), couplings
        if has_closed_form(lattice):
            mean, variance = torus_energy(lattice)
            first = (p * energy).sum().item()
            assert torus_log_z(lattice) == pytest.approx(log_z, abs=1e-11)
            assert mean == pytest.approx(first, abs=1e-11)
            assert variance == pytest.approx((p * energy**2).sum().item() - first**2, abs=1e-11)


def test_which_tori_have_a_closed_form():
    """Antiferromagnets of an odd side are frustrated: Z(−K) is not Z(K) there."""
    assert has_closed_form(Lattice(4, 6, 0.3, coupling=-1.0))
    for other in (
        Lattice(3, 6, 0.3, coupling=-1.0),
        Lattice(4, 4, 0.3, field=0.1),
        Lattice(4, 4, 0.3, periodic=False),
        Lattice(1, 4, 0.3),
        Lattice(4, 4, 0.0),
    ):
        assert not has_closed_form(other)
    even = Lattice(4, 2, 0.3, coupling=-1.0)
    _, energy, p, log_z = distribution(even)
    assert torus_log_z(even) == pytest.approx(log_z, abs=1e-11)
    assert torus_energy(even)[0] == pytest.approx((p * energy).sum().item(), abs=1e-11)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_values_of_8x8_are_those_of_the_tables(boundary, beta):
    """All of them to 1e-7; susceptibility and Binder's ratio from the table's P(M)."""
    table = TABLES[boundary][beta]
    m = torch.arange(-64, 65, 2).double() / 64
    p = torch.tensor(table["P_M"], dtype=torch.float64)
    second, fourth = (p @ m**2).item(), (p @ m**4).item()
    truth = {
        "energy": table["energy_per_spin"],
        "heat-capacity": table["heat_capacity_per_spin"],
        "abs-magnetisation": table["abs_magnetization"],
        "susceptibility": 64 * second,
        "binder": 1 - fourth / (3 * second**2),
        **{f"c{r}": c for r, c in enumerate(table["C_axis"]) if r},
    }
    found = exact_values(Lattice(8, 8, float(beta), periodic=boundary == "periodic"))
    assert dict(found) == pytest.approx(truth, abs=1e-7)


def test_wide_lattices():
    """On 10x10 the moments of P(M) and P(E) are those of the derivatives and of the closed form. 16x16 has the latter
    alone, on a torus without field; nothing is known with a field."""
    lattice = Lattice(9, 9, 0.42)
    assert has_distributions(Lattice(10, 10, 0.4))
    assert not has_distributions(Lattice(11, 11, 0.4))
    assert has_distributions(Lattice(12, 12, 0.4, periodic=False))
    found, matrix = exact_values(lattice), transfer_matrix(lattice)
    values, p = matrix.magnetisation_distribution
    assert found["susceptibility"] == pytest.approx((p @ values**2).item() / 81, rel=1e-9)
    values, p = matrix.bond_distribution
    mean = (p @ values).item()
    assert found["energy"] == pytest.approx(-mean / 81, abs=1e-12)
    assert found["heat-capacity"] == pytest.approx(
        0.42**2 * ((p @ values**2).item() - mean**2) / 81, rel=1e-9
    )
    assert set(exact_values(Lattice(16, 16, 0.42))) == {"energy", "heat-capacity"}
    assert not exact_values(Lattice(16, 16, 0.42, field=0.1))
