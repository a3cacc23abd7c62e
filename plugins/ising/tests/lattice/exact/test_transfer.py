"""The transfer matrix against the tables of the 8x8 lattice and against enumeration."""

import math

import pytest
import torch
from scipy import stats

from difrun_ising.lattice.exact.marginals import site_marginals
from difrun_ising.lattice.exact.sampling import exact_samples
from difrun_ising.lattice.exact.transfer import TransferMatrix
from difrun_ising.lattice.lattice import Lattice

from ...support import BETAS, BOUNDARIES, TABLES, distribution

SMALL = [
    Lattice(1, 1, 0.7, field=0.3),
    Lattice(1, 8, 0.7),
    Lattice(3, 3, 0.35),
    Lattice(3, 3, 0.35, periodic=False),
    Lattice(2, 3, 0.5, 0.8, -0.4),
    Lattice(4, 2, 0.5, -0.9, 0.2),
    Lattice(5, 2, 0.4, field=0.25, periodic=False),
    Lattice(3, 4, 0.0),
]


def name(lattice):
    border = "periodic" if lattice.periodic else "free"
    return f"{lattice.rows}x{lattice.columns}-{border}-b{lattice.beta:g}-J{lattice.coupling:g}-h{lattice.field:g}"


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("beta", BETAS)
def test_the_8x8_lattice_has_the_values_of_the_tables(boundary, beta):
    """log Z and energy to 1e-10, heat capacity to 1e-6; P(M) and P(E) to 1e-12."""
    table, lattice = TABLES[boundary][beta], Lattice(8, 8, float(beta), periodic=boundary == "periodic")
    matrix = TransferMatrix(lattice)
    log_z, energy, variance = matrix.log_z, matrix.energy, matrix.energy_variance
    assert log_z == pytest.approx(table["logZ"], rel=1e-12)
    assert energy / 64 == pytest.approx(table["energy_per_spin"], rel=1e-10)
    assert lattice.beta**2 * variance / 64 == pytest.approx(table["heat_capacity_per_spin"], rel=1e-6)
    assert (log_z + lattice.beta * energy) / 64 == pytest.approx(table["entropy_per_spin_nats"], rel=1e-10)
    assert matrix.magnetisation_distribution[1].tolist() == pytest.approx(table["P_M"], abs=1e-12)
    # the table counts unsatisfied bonds, so that its first entry is the largest sum
    assert matrix.bond_distribution[1].flip(0).tolist() == pytest.approx(table["P_E"], abs=1e-12)


@pytest.mark.parametrize("lattice", SMALL, ids=name)
def test_small_lattices_are_those_of_an_enumeration(lattice):
    """log Z, energy and distributions of rectangles, chains, L = 1, β = 0, fields and J < 0, to 1e-11."""
    s, energy, p, log_z = distribution(lattice)
    torch.testing.assert_close(lattice.energy(s), energy, rtol=0, atol=1e-12)
    matrix = TransferMatrix(lattice)
    found, mean, variance = matrix.log_z, matrix.energy, matrix.energy_variance
    assert found == pytest.approx(log_z, abs=1e-12)
    assert mean == pytest.approx((p * energy).sum().item(), abs=1e-11)
    assert variance == pytest.approx((p * energy**2).sum().item() - mean**2, rel=1e-6, abs=1e-10)
    for (values, weights), of in (
        (matrix.magnetisation_distribution, lattice.magnetisation(s)),
        (matrix.bond_distribution, lattice.bond_sum(s)),
    ):
        true = torch.stack([p[of == value].sum() for value in values])
        torch.testing.assert_close(weights, true, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lattice", SMALL[1:-1], ids=name)
def test_samples_have_the_distribution_of_every_configuration(lattice):
    """χ² of 20 000 draws over all configurations, those expected less than 5 times together; p > 1e-6."""
    s, _, p, _ = distribution(lattice)
    n, power = 20000, 2.0 ** torch.arange(lattice.spins - 1, -1, -1, dtype=torch.float64)
    drawn = exact_samples(lattice, n, torch.Generator().manual_seed(3))
    assert drawn.shape == (n, *lattice.shape)
    index = ((drawn.double().flatten(1) + 1) / 2) @ power
    seen = torch.bincount(index.long(), minlength=len(s)).double()
    assert_distribution(seen, p)


def assert_distribution(seen, p):
    """χ² of counts, with all that is expected less than 5 times as one class; p > 1e-6."""
    n, rare = seen.sum(), seen.sum() * p < 5
    assert seen[p == 0].sum() == 0
    expected = torch.cat(((n * p)[~rare], (n * p)[rare].sum()[None]))
    counts = torch.cat((seen[~rare], seen[rare].sum()[None]))
    keep = expected > 0
    assert stats.chisquare(counts[keep], expected[keep] * n / expected[keep].sum()).pvalue > 1e-6


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_samples_of_the_8x8_lattice_have_the_tabled_distributions(boundary):
    """χ² of P(M) and P(E) of 20 000 draws at β = 0.4406868; C(r) within 5 standard errors."""
    table, lattice = TABLES[boundary]["0.4406868"], Lattice(8, 8, 0.4406868, periodic=boundary == "periodic")
    drawn = exact_samples(lattice, 20000, torch.Generator().manual_seed(4))
    for value, table_distribution in (
        ((lattice.magnetisation(drawn) + 64) / 2, table["P_M"]),
        ((lattice.bonds - lattice.bond_sum(drawn)) / 2, table["P_E"]),
    ):
        p = torch.tensor(table_distribution, dtype=torch.float64)
        assert_distribution(torch.bincount(value.round().long(), minlength=len(p)).double(), p)
    if boundary == "periodic":
        correlation = lattice.correlation(drawn)
        error = 5 * correlation.std(0) / len(drawn) ** 0.5
        truth = torch.tensor(table["C_axis"][1 : lattice.reach + 1], dtype=torch.float64)
        assert ((correlation.mean(0) - truth).abs() < error).all()


def test_a_wide_torus_is_reached():
    """log Z of 11x11 is Kaufman's, to 1e-12; the mean energy of 500 draws has his derivative, to 5 standard errors."""
    lattice = Lattice(11, 11, 0.4)
    log_z = TransferMatrix(lattice).log_z
    assert log_z == pytest.approx(kaufman(11, 11, 0.4), rel=1e-12)
    slope = (kaufman(11, 11, 0.4 + 1e-4) - kaufman(11, 11, 0.4 - 1e-4)) / 2e-4
    drawn = exact_samples(lattice, 500, torch.Generator().manual_seed(1))
    energies = lattice.energy(drawn)
    assert energies.mean().item() == pytest.approx(-slope, abs=5 * energies.std().item() / 500**0.5)


def kaufman(m, n, k):
    """log Z of an m x n torus, J = β-free coupling K (Kaufman, 1949, Phys. Rev. 76, 1232, eq. 61)."""

    def gamma(j):
        if j == 0:
            return 2 * k + math.log(math.tanh(k))
        c = math.cosh(2 * k) / math.tanh(2 * k) - math.cos(math.pi * j / n)
        return math.acosh(c)

    terms = []
    for odd, of in ((1, math.cosh), (1, math.sinh), (0, math.cosh), (0, math.sinh)):
        terms.append(math.prod(2 * of(m * gamma(2 * r + odd) / 2) for r in range(n)))
    return m * n / 2 * math.log(2 * math.sinh(2 * k)) + math.log(sum(terms) / 2)


@pytest.mark.parametrize(
    "lattice", [Lattice(3, 3, 0.4), Lattice(2, 4, 0.5, -0.7, 0.3, periodic=False)], ids=name
)
def test_marginals_in_any_field_are_those_of_an_enumeration(lattice):
    """P(s_i = ±1) for random site likelihoods, some spins pinned, to 1e-12."""
    s, _, p, _ = distribution(lattice)
    likelihood = torch.rand(
        (5, *lattice.shape, 2), dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    likelihood[0, 0, 0, 0] = 0
    likelihood[1, 1, 1] = torch.tensor([1.0, 0.0])
    up = (s > 0).double()
    chosen = likelihood[:, None, ..., 0] * (1 - up) + likelihood[:, None, ..., 1] * up
    weights = p * chosen.flatten(2).prod(2)
    truth = torch.einsum("nc,cij->nij", weights / weights.sum(1, keepdim=True), up)
    truth = torch.stack((1 - truth, truth), -1)
    torch.testing.assert_close(site_marginals(lattice, likelihood), truth, rtol=0, atol=1e-12)
