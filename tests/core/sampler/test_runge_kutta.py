"""Runge–Kutta tables: order conditions on rooted trees in exact fractions, and the engine against a plain loop."""

import itertools
from fractions import Fraction
from math import factorial, prod

import pytest
import torch

from difrun.grid import logsnr
from difrun.model import Counted, ExactMixture
from difrun.sampler import RK4, Euler, Heun, Kutta3, Midpoint, RungeKutta, Table, integrate
from difrun.sampler.adaptive import PAIRS
from difrun.testing import ReferenceVE, ReferenceVP, observed_order, probability_flow_endpoint, two_gaussians
from difrun.testing.references import NoNoise

SAMPLERS = [Euler(), Midpoint(), Heun(), Kutta3(), RK4()]
TABLES = {type(sampler).__name__: sampler.table for sampler in SAMPLERS}

Tree = tuple
"""A rooted tree: the tuple of its subtrees. () is a single node."""


def trees(nodes):
    """The rooted trees with so many nodes, each once."""
    if nodes == 1:
        return {()}
    return {
        tuple(sorted(branches))
        for parts in _partitions(nodes - 1)
        for branches in itertools.product(*(trees(part) for part in parts))
    }


def _partitions(n, largest=None):
    if n == 0:
        yield ()
    for part in range(min(n, largest or n), 0, -1):
        yield from ((part, *rest) for rest in _partitions(n - part, part))


def size(tree):
    return 1 + sum(size(branch) for branch in tree)


def density(tree):
    """γ: the number of nodes times the densities of the subtrees."""
    return size(tree) * prod(density(branch) for branch in tree)


def weight(table, weights, tree):
    """Φ(tree) = Σ_i b_i Π over branches of Σ_j a_ij (...), the elementary weight of a method."""

    def stage(i, tree):
        return prod(
            (sum((a * stage(j, branch) for j, a in enumerate(table.a[i])), Fraction(0)) for branch in tree),
            start=Fraction(1),
        )

    return sum(b * stage(i, tree) for i, b in enumerate(weights))


def attained(table, weights, up_to=7):
    """The largest p for which Φ = 1/γ on all trees of up to p nodes: the order of the method (Butcher, 1963)."""
    for nodes in range(1, up_to):
        if any(weight(table, weights, tree) != Fraction(1, density(tree)) for tree in trees(nodes)):
            return nodes - 1
    raise AssertionError("no method here has so high an order")


def test_trees_are_all_there():
    """1, 1, 2, 4, 9, 20 rooted trees; Σ 1/(γ σ) = 1/n over them, checked through Σ n!/(γ σ) = (n − 1)!."""
    assert [len(trees(n)) for n in range(1, 7)] == [1, 1, 2, 4, 9, 20]

    def symmetry(tree):
        groups = [list(group) for _, group in itertools.groupby(sorted(tree))]
        return prod(factorial(len(group)) * prod(symmetry(branch) for branch in group) for group in groups)

    for n in range(1, 7):
        assert sum(Fraction(factorial(n), density(t) * symmetry(t)) for t in trees(n)) == factorial(n - 1)


@pytest.mark.parametrize("name", list(TABLES))
def test_every_table_has_its_order_and_no_higher_one(name):
    """All order conditions up to the declared order hold exactly, and one of the next fails."""
    table = TABLES[name]
    assert attained(table, table.b) == table.order


@pytest.mark.parametrize("name", list(PAIRS))
def test_both_halves_of_a_pair_have_their_order(name):
    """What is kept has the declared order, the embedded step one less; its last slope is the first of the next."""
    pair = PAIRS[name]
    assert attained(pair, pair.b) == pair.order
    assert attained(pair, pair.embedded) == pair.order - 1
    assert (*pair.a[-1], 0) == pair.b


def test_a_wrong_table_has_a_lower_order():
    """The conditions are sharp: the weights of RK4 in another order satisfy those of order 1 alone."""
    table = Table(RK4.table.a, ["1/3", "1/6", "1/3", "1/6"], 4)
    assert attained(table, table.b) == 1


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE()], ids=["vp", "ve"])
def test_a_step_is_that_of_the_textbook(sampler, process):
    """k_i = u(y + H Σ a_ij k_j, τ + c_i H), y + H Σ b_i k_i, for y = x/(α + σ), written as in a book: to 1e-11."""
    model = ExactMixture(two_gaussians(), process)
    x = process.prior((8, 2), mean=model.mean, var=model.var, generator=0, dtype=torch.float64)
    times = [process.horizon, 0.4 * process.horizon, 0.01 * process.horizon]

    def at_place(tau):
        return process.at(process.time_at(float(torch.logit(torch.tensor(1 - tau, dtype=torch.float64)))))

    table, y = sampler.table, None
    for t, s in itertools.pairwise(times):
        at, to = process.at(t), process.at(s)
        y = x / (at.alpha + at.sigma) if y is None else y
        start = at.sigma / (at.alpha + at.sigma)
        length = to.sigma / (to.alpha + to.sigma) - start
        slopes = []
        for row, c in zip(table.a, table.nodes, strict=True):
            here = at if c == 0 else to if c == 1 else at_place(start + float(c) * length)
            place = y + length * sum(float(a) * k for a, k in zip(row, slopes, strict=True))
            slopes.append(model.predict((here.alpha + here.sigma) * place, here, "straight"))
        y = y + length * sum(float(b) * k for b, k in zip(table.b, slopes, strict=True))
    expected = (to.alpha + to.sigma) * y
    torch.testing.assert_close(integrate(sampler, model, x, times), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_stages_cost_no_more_than_they_must(sampler):
    """As many evaluations as stages; without a grid prepared, one step is the same step."""
    model = Counted(ExactMixture(two_gaussians(), ReferenceVP()))
    x = torch.tensor([[0.3, -1.0]], dtype=torch.float64)
    at, to = model.process.instants([2.0, 1.0])
    prepared, _ = sampler.step(model, x, at, to, sampler.prepare(model, [at, to]), NoNoise())
    assert model.evaluations == len(sampler.table.b) == sampler.evaluations == sampler.evaluations_in(1)
    assert torch.equal(prepared, sampler.step(model, x, at, to, None, NoNoise())[0])


@pytest.mark.parametrize("sampler", [Euler(), Heun()], ids=["euler", "heun"])
def test_the_steps_that_are_written_out_are_the_engine_s(sampler):
    """Bit for bit, over a whole grid."""

    class Engine(RungeKutta):
        table = sampler.table

    model = ExactMixture(two_gaussians(), ReferenceVP())
    x = torch.tensor([[0.3, -1.0], [2.0, 0.1]], dtype=torch.float64)
    times = logsnr(model.process, 9)
    assert torch.equal(integrate(sampler, model, x, times), integrate(Engine(), model, x, times))


def test_a_table_of_ones_own_runs():
    """Ralston's third-order method (1962), nodes 0, ½, ¾: its order conditions and its measured order, 3 ± 0.15."""

    class Ralston3(RungeKutta):
        table = Table([[], ["1/2"], [0, "3/4"]], ["2/9", "1/3", "4/9"], 3)

    assert attained(Ralston3.table, Ralston3.table.b) == 3
    process = ReferenceVP()
    model = ExactMixture(two_gaussians(), process)
    x = process.prior((16, 2), mean=model.mean, var=model.var, generator=0, dtype=torch.float64)
    truth, counts = probability_flow_endpoint(model, x, rtol=1e-11), (160, 320, 640)
    errors = [
        (integrate(Ralston3(), model, x, logsnr(process, n)) - truth).square().mean().sqrt().item()
        for n in counts
    ]
    assert observed_order(counts, errors) == pytest.approx(3, abs=0.15), errors


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([[], [1, 2]], [1, 1], "a table of 2 stages has rows of 0, 1, ..., 1 entries"),
        ([[], [0]], [1, 1], "each stage builds on the one before"),
        ([[], [1]], [1, 0], "each stage builds on the one before"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(a, b, message):
    with pytest.raises(ValueError, match=message):
        Table(a, b, 1)
