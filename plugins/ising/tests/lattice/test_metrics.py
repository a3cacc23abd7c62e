"""The metric of lattices: exact values for exact samples, its power, its floor and standard error."""

import math

import pytest
import torch
from scipy.stats import ks_2samp

from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.metric import measure, reading
from difrun.report.floors import at_floor, ratio
from difrun_ising.data.lattices import ising
from difrun_ising.lattice.exact.sampling import exact_samples
from difrun_ising.lattice.exact.transfer import transfer_matrix
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.metrics import lattice, memorisation

from ..support import TABLES, distribution


@pytest.fixture(scope="module")
def dataset():
    return ising(seed=1)


def test_exact_samples_have_the_exact_values_within_their_errors(dataset):
    """5000 exact samples, β = 0.35: all numbers that have an exact value are within 4 of their errors of it (of six
    resamples or sets, hence the factor), and so are their floors; the distances are at their floors: TV of P(M) 0.043 ±
    0.004 and of P(E) 0.025 ± 0.004, |ΔE| below 0.02, and nothing is learnt by heart."""
    x = dataset.fresh(5000, torch.Generator().manual_seed(9))
    found = measure(lattice, x, dataset, seed=0)
    known = {name for name, number in found.items() if "exact" in number}
    assert known == {
        *("energy", "heat-capacity", "abs-magnetisation", "susceptibility", "binder"),
        *("c1", "c2", "c3", "c4"),
    }
    assert found["energy"]["exact"] == pytest.approx(TABLES["periodic"]["0.35"]["energy_per_spin"], abs=1e-12)
    for name in known:
        number = found[name]
        error = max(number["value_sd"], number["floor_sd"])
        assert number["value"] == pytest.approx(number["exact"], abs=4 * error), name
        assert number["floor"] == pytest.approx(number["exact"], abs=4 * error / 6**0.5), name
        assert 1 / 4 < number["value_sd"] / number["floor_sd"] < 4, name
    assert found["magnetisation-tv"]["floor"] == pytest.approx(0.0427, abs=0.006)
    assert found["energy-tv"]["floor"] == pytest.approx(0.0253, abs=0.006)
    assert found["energy-error"]["value"] < 5 * 0.28 / math.sqrt(5000)
    learnt = found["memorisation"]
    assert abs(learnt["value"] - learnt["floor"]) < 5 * learnt["floor_sd"]


def test_the_susceptibility_in_a_field_is_that_of_the_fluctuations():
    """N(⟨m²⟩ − ⟨m⟩²) of the 512 states of a torus of 3x3, by enumeration; N⟨m²⟩ is seven times that."""
    data = ising(seed=0, size=(3, 3), beta=0.5, field=0.4, n=200, held_out=200)
    s, _, p, _ = distribution(data.lattice)
    m = s.double().sum((1, 2)) / 9
    truth = 9 * ((p * m**2).sum() - (p * m).sum() ** 2).item()
    assert 9 * (p * m**2).sum().item() > 7 * truth
    x = data.fresh(4000, torch.Generator().manual_seed(2))
    found = measure(lattice, x, data, seed=0)["susceptibility"]
    assert found["exact"] == pytest.approx(truth, rel=1e-9)
    assert found["value"] == pytest.approx(truth, abs=4 * found["value_sd"])
    assert found["value_sd"] < 0.1 * truth


def test_lattices_learnt_by_heart_are_seen(dataset):
    """The training lattices themselves: their nearest held-out lattice is flips away, the nearest training one is not;
    the mean over pairs of the smallest number of flips, counted one by one."""
    x = dataset.train[:40]
    data = Dataset(name="few", train=x, held_out=dataset.held_out[:30])
    flips = (x[:, None] != data.held_out[None]).flatten(2).sum(2).amin(1).double().mean().item()
    flips -= (x[:, None] != x[None, :30]).flatten(2).sum(2).amin(1).double().mean().item()
    assert memorisation(x, data) == pytest.approx(flips / 64, abs=1e-12)
    assert flips > 5


def test_without_exact_distributions_real_lattices_are_the_reference():
    """14x14 with a field: no exact values; samples of the same chains are at the floors, those of another field are
    not. Kolmogorov's distance is that of SciPy."""
    data = ising(seed=0, size=(14,), beta=0.4, field=0.05, n=300, held_out=400)
    same = measure(lattice, data.train, data, seed=0, repeats=2)
    assert not any("exact" in number for number in same.values())
    assert {"energy-ks", "magnetisation-ks", "c1", "c4", "c7"} <= set(same)
    assert not {"energy-tv", "energy-error", "c5"} & set(same)
    e = data.lattice.bond_sum(data.train), data.lattice.bond_sum(data.held_out)
    truth = ks_2samp(*(x.numpy() for x in e)).statistic
    assert same["energy-ks"]["value"] == pytest.approx(truth, abs=1e-12)
    # 1.95 √(1/n + 1/m): one in a thousand
    assert same["energy-ks"]["value"] < 1.95 * (1 / 300 + 1 / 400) ** 0.5
    other = ising(seed=0, size=(14,), beta=0.4, field=0.0, n=300, held_out=20)
    assert lattice(other.train, data, generator=torch.Generator())["magnetisation-ks"] > 0.3


def test_chains_tell_their_autocorrelation():
    data = ising(seed=0, size=(13,), beta=0.3, n=20, held_out=20)
    times = data.autocorrelation
    (note,) = data.notes
    assert f"{times.energy:.2f} sweeps for the energy and {times.magnetisation:.2f} for |M|" in note
    assert f"{times.spacing} sweeps apart, which leaves about {times.left:.1g} of their correlation" in note
    assert 0 < times.left < 0.003
    assert not ising(seed=0, size=(4,), n=20, held_out=20).notes


def test_distances_see_a_wrong_temperature(dataset):
    """Samples at β = 0.3: ΔE is the difference of the exact energies, to 5 standard errors; P(E) is far off."""
    other = Lattice(8, 8, 0.3)
    x = exact_samples(other, 5000, torch.Generator().manual_seed(1))
    found = lattice(x, dataset, generator=torch.Generator())
    shift = (transfer_matrix(other).energy - transfer_matrix(dataset.lattice).energy) / 64
    assert found["energy-error"] == pytest.approx(shift, abs=5 * 0.25 / 5000**0.5)
    assert found["energy-tv"] > 0.25


def test_distributions_are_compared_value_by_value():
    """2x2, β = 0, a set in which every configuration stands once: all distances are 0 and the energy is 0."""
    from ..support import configurations

    data = ising(seed=0, size=(2, 2), beta=0.0, boundary="free", n=20, held_out=5)
    found = lattice(configurations((2, 2)), data, generator=torch.Generator())
    for name in ("energy", "energy-error", "energy-tv", "magnetisation-tv", "c1"):
        assert found[name] == pytest.approx(0, abs=1e-12), name
    ones = lattice(torch.ones(10, 2, 2), data, generator=torch.Generator())
    assert ones["magnetisation-tv"] == pytest.approx(15 / 16, abs=1e-12)
    assert ones["energy-tv"] == pytest.approx(14 / 16, abs=1e-12)


def test_a_cold_lattice_has_floors_of_zero_with_nothing_to_divide_by():
    """4x4, β = 5: P(E ≠ E_0) is e^−40, and the rounding of the exact distribution is no floor of 5e-15."""
    data = ising(seed=0, size=(4, 4), beta=5.0, n=20, held_out=20)
    samples = torch.ones(50, 4, 4)
    samples[:5, 0, 0] = -1
    found = measure(lattice, samples, data, seed=0)["energy-tv"]
    assert found["floor"] == 0
    assert found["value"] == pytest.approx(0.1, abs=1e-12)
    assert ratio(found) is None


def test_the_energy_without_coupling_is_zero_and_not_minus_zero():
    exact = measure(
        lattice,
        torch.ones(4, 2, 2),
        ising(seed=0, size=(2, 2), beta=0.0, n=20, held_out=4),
        seed=0,
    )
    assert math.copysign(1, exact["energy"]["exact"]) == 1


def test_masks_are_refused(dataset):
    with pytest.raises(DifrunError, match="masks are left"):
        lattice(torch.zeros(5, 8, 8), dataset, generator=torch.Generator())


def test_spins_of_unknown_couplings_are_compared_with_real_ones():
    """Free boundaries: energy and C(1) are means over the 17 bonds of 3x4; distances are from the training spins, as
    the floor is that of all held-out ones."""
    x = torch.randint(0, 2, (90, 3, 4), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    data = Dataset(name="mine", train=x[:40], held_out=x[40:70])
    found = measure(lattice, x[70:], data, seed=0)
    assert not any("exact" in number for number in found.values())
    assert not {"heat-capacity", "energy-tv", "memorisation"} & set(found)
    across, down = x[70:, :, 1:] * x[70:, :, :-1], x[70:, 1:] * x[70:, :-1]
    bonds = torch.cat((across.flatten(1), down.flatten(1)), 1).double()
    assert bonds.shape[1] == 17
    assert found["energy"]["value"] == pytest.approx(-bonds.sum(1).mean().item() / 12, abs=1e-12)
    assert found["c1"]["value"] == pytest.approx(bonds.mean().item(), abs=1e-12)
    sums = [part.sum((1, 2)).numpy() for part in (x[70:], x[:40])]
    assert found["magnetisation-ks"]["value"] == pytest.approx(ks_2samp(*sums).statistic, abs=1e-12)
    assert found["magnetisation-ks"]["floor"] > 0
    flat = Dataset(name="flat", train=x[:40].flatten(1), held_out=x[40:70].flatten(1))
    assert lattice(x[70:].flatten(1), flat, generator=torch.Generator())[
        "abs-magnetisation"
    ] == pytest.approx(found["abs-magnetisation"]["value"], abs=1e-12)


def test_a_correlation_is_not_divided_by_its_floor():
    """C(r), the energy and Binder's ratio have either sign: value/floor says nothing, whatever the floor's spread."""
    x = torch.randint(0, 2, (300, 4, 4), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    data = Dataset(name="cold", train=torch.ones(40, 4, 4), held_out=torch.ones(30, 4, 4))
    found = measure(lattice, x, data, seed=0)
    for name in ("energy", "binder", "c1", "c2"):
        number = {**found[name], "ratio": reading(lattice, name).ratio}
        assert ratio(number) is None, name
        assert not at_floor(number), name
