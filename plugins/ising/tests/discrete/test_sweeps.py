"""Heat-bath sweeps on lattices of any sides: no two neighbours are drawn at once."""

import itertools

import pytest
import torch

from difrun.grid import linear
from difrun.randomness import Generator
from difrun.sampler import generate
from difrun_ising.discrete.colouring import class_count, colouring
from difrun_ising.discrete.heat_bath import HeatBath, sweep, sweep_classes
from difrun_ising.discrete.losses import CrossEntropy
from difrun_ising.lattice.cnn import SpinCNN
from difrun_ising.lattice.exact.model import ExactSpins
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.magnetisation import magnetisation
from difrun_ising.lattice.process import Ising

from ..support import distribution


@pytest.mark.parametrize("classes", range(2, 10))
def test_no_two_neighbours_of_any_torus_have_one_class(classes):
    """All lines up to 20, planes up to 8 x 8 and boxes up to 5 x 5 x 5: both neighbours along every axis differ."""
    shapes = [(n,) for n in range(1, 21)]
    shapes += [*itertools.product(range(1, 9), repeat=2), *itertools.product(range(1, 6), repeat=3)]
    for shape in shapes:
        colour = colouring(shape, classes)
        assert 0 <= colour.min() <= colour.max() < class_count(shape, classes) <= max(classes, 3), shape
        for axis, length in enumerate(shape):
            assert length == 1 or (colour != colour.roll(1, axis)).all(), (shape, axis)


def test_even_sides_have_the_classes_that_were_asked_for():
    assert torch.equal(colouring((4, 6), 2), torch.arange(4)[:, None].add(torch.arange(6)) % 2)
    assert class_count((1, 8), 2) == class_count((4, 2), 2) == class_count((1, 1), 2) == 2
    assert class_count((1, 7), 2) == class_count((2, 3), 2) == 3


def swept(model, p, s, classes):
    """The distribution of s after a sweep at t = 0: every class as a kernel, by the conditionals of the model."""
    at, sites = model.process.at(0.0), s[0].numel()
    values = 2 ** torch.arange(sites - 1, -1, -1)
    colour, count = sweep_classes(model, tuple(s.shape[1:]), classes)
    for turn in range(count):
        chosen = (colour == turn).flatten()
        up = model.cavity(s, at, chosen.reshape(s.shape[1:]))[..., 1].flatten(1)[:, chosen]
        rest = ((s.flatten(1) > 0) & ~chosen).long() @ values
        after = torch.zeros_like(p)
        for spins in itertools.product((0, 1), repeat=int(chosen.sum())):
            drawn = torch.tensor(spins, dtype=torch.int64)
            probability = torch.where(drawn == 1, up, 1 - up).prod(1)
            after.index_add_(0, rest + (drawn * values[chosen]).sum(), p * probability)
        p = after
    return p


@pytest.mark.parametrize("periodic", [True, False], ids=["torus", "free"])
@pytest.mark.parametrize(
    ("shape", "classes"),
    [
        ((3, 3), 2),
        ((3, 3), 4),
        ((2, 3), 2),
        ((3, 2), 5),
        ((3, 4), 2),
        ((1, 5), 2),
        ((7, 1), 2),
        ((1, 3), 3),
        ((1, 7), 6),
        ((1, 2), 2),
        ((1, 1), 2),
        ((2, 2), 3),
        ((2, 4), 2),
    ],
    ids=str,
)
def test_a_sweep_leaves_the_exact_distribution_alone(shape, classes, periodic):
    """At t = 0, over all configurations, with a field: to 1e-10 (on 3x3 two classes are 0.02 off)."""
    lattice = Lattice(*shape, 0.4, field=0.2, periodic=periodic)
    s, _, p, _ = distribution(lattice)
    found = swept(ExactSpins(lattice, Ising()), p, s, classes)
    assert (found - p).abs().max() < 1e-10


@pytest.mark.parametrize(("shape", "periodic"), [((2, 3), False), ((1, 5), True), ((2, 4), True)], ids=str)
def test_a_guided_sweep_leaves_the_guided_distribution_alone(shape, periodic):
    """Guided to M > 0 all spins are coupled: p(s | M > 0) stays, to 1e-10 (two classes put 0.01 to 0.04 on M ≤ 0)."""
    lattice = Lattice(*shape, 0.4, field=0.1, periodic=periodic)
    s, _, p, _ = distribution(lattice)
    exact = ExactSpins(lattice, Ising())
    p = p * (s.sum((1, 2)) > 0)
    p = p / p.sum()
    assert (swept(magnetisation(exact), p, s, 2) - p).abs().max() < 1e-10
    plain, off = (sweep_classes(m, shape, 2)[0] for m in (exact, magnetisation(exact, scale=0.0)))
    assert torch.equal(off, plain)


@pytest.mark.parametrize("shape", [(3, 3), (1, 5), (2, 3)])
def test_many_sweeps_of_an_odd_torus_keep_its_energy(shape):
    """40 sweeps of 2 000 random lattices at βJ = 0.45: the energy is that of all configurations, to 4 standard errors
    (on 3x3 two classes give −1.096 per spin)."""
    lattice = Lattice(*shape, 0.45)
    _, energy, p, _ = distribution(lattice)
    model, random = ExactSpins(lattice, Ising()), Generator(1)
    x = model.prior(2000, random, dtype=torch.float64)
    for _ in range(40):
        x = sweep(model, x, model.process.at(0.0), random)
    mean = (p @ energy).item()
    error = ((p @ energy**2).item() - mean**2) ** 0.5 / 2000**0.5
    assert lattice.energy(x).mean().item() == pytest.approx(mean, abs=4 * error)


def test_the_cost_of_sweeps_of_an_odd_torus_is_counted():
    """With two classes it depends on the sides, so none is declared; 3x3 takes three evaluations a sweep."""
    model = ExactSpins(Lattice(3, 3, 0.3), Ising())
    calls = []
    model._marginals, marginals = (
        lambda likelihood: calls.append(1) or marginals(likelihood),
        model._marginals,
    )
    assert HeatBath(to_data=True).evaluations_in(4) is None
    generate(HeatBath(to_data=True), model, 3, linear(model.process, 4))
    assert len(calls) == 4 + 3 * 4


@pytest.mark.parametrize(("shape", "classes"), [((3, 3), 3), ((4, 3), 3), ((4, 4), 2)])
def test_training_hides_the_classes_that_sweeps_draw(shape, classes):
    """Every hidden set is one class, all classes occur, and each about as often: 600 examples, 5 standard errors."""
    process, x0 = Ising(), torch.ones(600, *shape)
    model = process.denoiser(SpinCNN(shape), shape=shape, mean=torch.zeros(shape), var=torch.ones(shape))
    x = CrossEntropy(hidden=1.0).draw(model, x0, Generator(3))["x"]
    colour = colouring(shape, 2)
    patterns = torch.stack([colour != turn for turn in range(classes)]).to(x.dtype)
    which = (x[:, None] == patterns).flatten(2).all(2)
    assert (which.sum(1) == 1).all()
    share, error = 1 / classes, (1 / classes * (1 - 1 / classes) / 600) ** 0.5
    assert ((which.double().mean(0) - share).abs() < 5 * error).all()
