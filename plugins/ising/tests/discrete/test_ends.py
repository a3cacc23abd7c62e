"""Every sampler ends in states of the data: no site is left undecided, whatever schedule, grid and number of steps."""

import math

import attrs
import pytest
import torch
from scipy import stats

from difrun.errors import DifrunError
from difrun.grid import linear, quadratic
from difrun.model import Counted
from difrun.sampler import Ancestral, Sampler, generate
from difrun_ising.discrete.categorical import Categorical
from difrun_ising.discrete.heat_bath import HeatBath
from difrun_ising.discrete.jump_samplers import FlowEuler, TauLeap
from difrun_ising.discrete.reverse_kernel import ReverseKernel
from difrun_ising.lattice.exact.model import ExactSpins
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.process import Ising

from ..support import Kernels, distribution
from .enumerated import Enumerated

SAMPLERS = {
    "ancestral": Ancestral(),
    "reverse-kernel": ReverseKernel(),
    "tau-leap": TauLeap(),
    "flow-euler": FlowEuler(),
    "heat-bath of leaps": HeatBath(predictor="tau-leap"),
    "heat-bath to the data": HeatBath(predictor="tau-leap", to_data=True),
}
SCHEDULES = ("cosine", "linear", "rate")
LATTICE = Lattice(2, 2, 0.5, field=0.2, periodic=False)


def spins_model(process):
    s, _, p, _ = distribution(LATTICE)
    return ExactSpins(LATTICE, process, mean=(p[:, None, None] * s).sum(0))


def numbers(x):
    """The number of each configuration of four spins, as in `distribution`."""
    power = 2.0 ** torch.arange(3, -1, -1, dtype=torch.float64)
    return (((x.double().flatten(1) + 1) / 2) @ power).long()


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", [*SCHEDULES, "flips"])
def test_no_site_is_left_undecided(name, schedule):
    """Masked 2x2 lattices, together and in turns, 1, 2, 5 and 50 steps, two grids: every spin is ±1."""
    for order in ("together", "checkerboard", (0, 1, 2, 3)):
        process = Ising(mixing="absorbing", schedule=schedule, order=order, steps=50)
        for steps in (1, 2, 5, 50):
            for grid in (linear, quadratic) if steps in (2, 5) else (linear,):
                x = generate(SAMPLERS[name], spins_model(process), 60, grid(process, steps), seed=steps)
                assert set(x.unique().tolist()) == {-1.0, 1.0}, (order, steps, grid.__name__)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", [*SCHEDULES, "flips"])
def test_no_letter_is_left_undecided(name, schedule):
    process = Categorical(mixing="absorbing", schedule=schedule, steps=50)
    x0, _ = process.enumeration()
    p = torch.arange(1, len(x0) + 1, dtype=torch.float64)
    model = Enumerated(process, x0, p)
    model.mean = (p[:, None, None, None] * x0).sum(0) / p.sum()
    model.cavity = lambda x, at, hidden: model.x0_distribution(torch.where(hidden[..., None], 0.0, x), at)
    for steps in (1, 2, 5):
        x = generate(SAMPLERS[name], model, 100, linear(process, steps), seed=1)
        assert set(x.unique().tolist()) == {0.0, 1.0}
        assert torch.equal(x.sum(-1), torch.ones(100, 1, 3)), steps


@pytest.mark.parametrize("name", ["tau-leap", "flow-euler", "ancestral", "reverse-kernel"])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_one_step_draws_every_site_from_its_marginal(name, schedule):
    """From masks alone, in one step: 40 000 samples have the product of the marginals; χ², p > 1e-6."""
    s, _, p, _ = distribution(LATTICE)
    process = Ising(mixing="absorbing", schedule=schedule)
    x = generate(SAMPLERS[name], spins_model(process), 40000, linear(process, 1), seed=2)
    up = (p[:, None, None] * (s > 0)).sum(0)
    product = torch.where(s > 0, up, 1 - up).flatten(1).prod(1)
    seen = torch.bincount(numbers(x), minlength=16).double()
    assert stats.chisquare(seen, 40000 * product).pvalue > 1e-6


@pytest.mark.parametrize("order", ["together", "checkerboard"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_many_leaps_near_the_distribution_of_the_data(schedule, order, monkeypatch):
    """Leaps from masks: no probability is left on masks, and the total variation from the data, computed without
    sampling, halves, to 25 %, from 30 steps to 60, and is below 0.05."""
    process = Ising(mixing="absorbing", schedule=schedule, order=order)
    kernels, (s, _, p, _) = Kernels(monkeypatch, LATTICE, masked=True), distribution(LATTICE)
    truth = torch.zeros(len(kernels.x), dtype=torch.float64)
    truth[[kernels.index[tuple(x.flatten().tolist())] for x in s]] = p
    errors = []
    for steps in (30, 60):
        found = kernels.run(TauLeap(), spins_model(process), linear(process, steps))
        assert found.sum().item() == pytest.approx(1, abs=1e-10)
        assert found[(kernels.x == 0).flatten(1).any(1)].max() < 1e-12
        errors.append(0.5 * (found - truth).abs().sum().item())
    assert errors[1] < min(0.05, 0.625 * errors[0]), errors


class Idle(Sampler):
    """A sampler that reveals nothing."""

    order = None
    stochastic = True

    def step(self, model, x, at, to, state, generator):
        model.x0_distribution(x, at)
        return x, None


@pytest.mark.parametrize("chunk", [4000, 999])
def test_what_any_sampler_leaves_is_drawn_from_the_marginals(chunk):
    """Whoever leaves masks: 4 000 samples have the marginals of the data, to 5 standard errors, in any chunks."""
    s, _, p, _ = distribution(LATTICE)
    process = Ising(mixing="absorbing")
    x = generate(Idle(), spins_model(process), 4000, linear(process, 3), seed=1, chunk=chunk)
    whole = generate(Idle(), spins_model(process), 4000, linear(process, 3), seed=1)
    assert torch.equal(x, whole)
    true = (p[:, None, None] * s).sum(0)
    assert ((x.double().mean(0) - true).abs() < 5 * ((1 - true**2) / 4000).sqrt()).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_grid_that_ends_early_leaves_no_masks(name):
    """From T to 0.4: what is masked at 0.4 is drawn given what is not, so neighbours are correlated as in the data
    to within the error of two steps."""
    process = Ising(mixing="absorbing")
    x = generate(SAMPLERS[name], spins_model(process), 2000, [1.0, 0.7, 0.4], seed=1)
    assert set(x.unique().tolist()) == {-1.0, 1.0}
    assert (x[:, 0, 0] * x[:, 0, 1]).mean() > 0.1


def test_the_end_costs_no_evaluation_of_a_leap():
    process = Ising(mixing="absorbing")
    counted = Counted(spins_model(process))
    generate(TauLeap(), counted, 50, linear(process, 4), seed=1)
    assert counted.evaluations == 4


def test_what_is_decided_stays():
    """`decide` draws masks alone: visible sites keep their values, and without masks the model is not asked."""
    process = Ising(mixing="absorbing")
    model = spins_model(process)
    x = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]).repeat(500, 1, 1)
    decided = process.decide(model, x, [1.0, 0.5, 0.0], 1)
    assert torch.equal(decided[..., 0], x[..., 0])
    assert set(decided[..., 1].unique().tolist()) == {-1.0, 1.0}
    assert process.decide(None, decided, [1.0, 0.0], 1) is decided
    assert attrs.evolve(process, mixing="uniform").decide(None, decided, [1.0, 0.0]) is decided


@pytest.mark.parametrize("mixing", ["uniform", "absorbing", 0.8])
@pytest.mark.parametrize("begin", [0.9, 0.4])
def test_a_start_below_the_horizon_has_the_marginals_of_its_time(mixing, begin):
    """Independent spins with P(+1) = 0.8: from any t, 20 000 samples have the distribution of the data; χ², p > 1e-6.
    The prior of T has half of the spins down."""
    process = Ising(mixing=mixing)
    model = ExactSpins(Lattice(1, 1, 1.0, field=math.log(2)), process, mean=0.6)
    start = model.prior(20000, 5, t=begin)
    alpha, pi = process.at(begin).alphas[0], process.mixing_distribution(2)
    expected = alpha * torch.tensor([0.2, 0.8, 0.0], dtype=torch.float64) + (1 - alpha) * pi
    seen = torch.stack([(start == value).sum() for value in (-1, 1, 0)]).double()
    possible = expected > 0
    assert seen[~possible].sum() == 0
    assert stats.chisquare(seen[possible], 20000 * expected[possible]).pvalue > 1e-6
    x = generate(Ancestral(), model, 20000, [begin, begin / 2, 0.0], seed=2)
    assert abs((x == 1).double().mean().item() - 0.8) < 5 * (0.16 / 20000) ** 0.5


def test_the_bound_starts_where_its_grid_starts():
    """One spin with P(+1) = 0.8 from t = 0.6: the prior there is exact, so the bound is below log p by no more than
    the error of its mean; with the prior of T it would be off by 0.2."""
    process, p = Ising(), torch.tensor([0.2, 0.8], dtype=torch.float64)
    x0 = torch.tensor([-1.0, 1.0], dtype=torch.float64).reshape(2, 1, 1)
    model = Enumerated(process, x0, p)
    model.mean = 0.6
    bound = process.bound(model, x0.repeat(20, 1, 1), [0.6, 0.3, 0.0], 1).reshape(-1, 2)
    torch.testing.assert_close(bound, p.log().expand(20, 2), rtol=0, atol=1e-9)
    for times in ([0.6, 0.3], [0.3, 0.0, 0.6], [0.6, 0.6, 0.0]):
        with pytest.raises(DifrunError, match=r"must end there|strictly decrease"):
            process.bound(model, x0, times, 1)


@pytest.mark.parametrize(
    "t", [[0.2, 0.7], torch.tensor([[0.2], [0.7]]), torch.tensor([0.2, 0.7]).double()], ids=repr
)
def test_times_of_examples_come_in_any_form(t):
    process, x0 = Ising(), torch.ones(2, 50, 50)
    x = process.sample(x0, t, 3)
    assert torch.equal(x, process.sample(x0, torch.tensor([0.2, 0.7]), 3))
    assert x[0].mean().item() == pytest.approx(process.at(0.2).rho, abs=0.1)
    assert process.at(t, 3).rho.shape == (2, 1, 1)
    with pytest.raises(DifrunError, match="2 examples take one time, or 2 times; got 3"):
        process.sample(x0, [0.1, 0.2, 0.3])
