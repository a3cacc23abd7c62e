"""Samplers with the exact model: nothing is learned, so that what is off is the error of the method."""

import itertools

import pytest
import torch
from scipy import stats

from difrun.grid import linear
from difrun.model import Counted
from difrun.randomness import Generator
from difrun.sampler import Ancestral, generate
from difrun_ising.discrete.colouring import checkerboard, colouring
from difrun_ising.discrete.heat_bath import HeatBath, sweep
from difrun_ising.discrete.jump_samplers import FlowEuler, TauLeap
from difrun_ising.discrete.reverse_kernel import ReverseKernel
from difrun_ising.lattice.exact.model import ExactSpins
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.process import Ising

from ..support import METHODS, Kernels, distribution


@pytest.mark.parametrize(
    ("sampler", "mixing"), METHODS, ids=lambda v: v if isinstance(v, str) else type(v).__name__
)
def test_samplers_near_the_distribution_of_the_data_as_one_over_steps(sampler, mixing, monkeypatch):
    """2x2 lattice with a field: the total variation between the exact distribution and that of the samples, computed
    without sampling, at least halves, to 25 %, when the steps are doubled, and is small: weak order 1."""
    lattice = Lattice(2, 2, 0.5, field=0.2, periodic=False)
    process = Ising(mixing=mixing, schedule="linear")
    s, _, p, _ = distribution(lattice)
    model = ExactSpins(lattice, process, mean=(p[:, None, None] * s).sum(0))
    kernels = Kernels(monkeypatch, lattice, masked=mixing == "absorbing")
    truth = torch.zeros(len(kernels.x), dtype=torch.float64)
    truth[[kernels.index[tuple(x.flatten().tolist())] for x in s]] = p
    errors = []
    for steps in (20, 40, 80):
        distribution_of_samples = kernels.run(sampler, model, linear(process, steps))
        assert distribution_of_samples.sum().item() == pytest.approx(1, abs=1e-10)
        errors.append(0.5 * (distribution_of_samples - truth).abs().sum().item())
    assert errors[0] < 0.15, errors
    assert errors[1] < 0.625 * errors[0], errors
    assert errors[2] < 0.625 * errors[1], errors


def test_a_leap_takes_the_rate_of_the_middle_of_its_step(monkeypatch):
    """Spins without coupling or field (β = 0), linear schedule, 20 steps from t = 0.8 to 0.

    Every ratio of probabilities is 1, so freezing them costs nothing, and a spin jumps at the rate σ(t)/2. The
    probability that it never does is exp(−½∫σ dt) = √(α(0.8)/α(0)). The sampler meets it to 0.2 %, the error of the
    midpoint rule; the rate at the start of every step would be 4 % off.
    """
    lattice, process = Lattice(1, 2, 0.0), Ising(schedule="linear")
    model, kernels = ExactSpins(lattice, process), Kernels(monkeypatch, lattice)
    times = torch.linspace(0.8, 0, 21, dtype=torch.float64).tolist()
    stays = 1.0
    for at, to in itertools.pairwise(process.instants(times)):
        TauLeap().step(model, kernels.x, at, to, None, None)
        stays *= kernels.kernel[0, 0].item() ** 0.5  # of one of the two spins
    assert stays == pytest.approx(0.2**0.5, rel=2e-3)  # α = 1 − t


def test_a_heat_bath_sweep_mends_a_ring(monkeypatch):
    """Ring of 8, βJ = 0.7, r = 0.05, 50 steps: total variation over all 256 configurations 0.073 without, below 0.01
    with one sweep of single sites after every step, 0.0235 with one of the two sublattices; computed, not sampled."""
    ring, process = Lattice(1, 8, 0.7), Ising(schedule="flips", flip=0.05, steps=50)
    model, (s, _, p, _) = ExactSpins(ring, process), distribution(ring)
    kernels = Kernels(monkeypatch, ring)
    plain = kernels.run(Ancestral(), model, linear(process, 50))
    distance = 0.5 * (plain - p).abs().sum().item()
    assert distance == pytest.approx(0.073, abs=0.001)
    # The same with sweeps, of which every part is a kernel that changes the sites of one class.
    up, instants = (s > 0).double(), process.instants(linear(process, 50))
    for classes, known in ((8, 0.0063), (2, 0.0235)):
        found = torch.full((256,), 1 / 256, dtype=torch.float64)
        for at, to in itertools.pairwise(instants):
            model.reverse(s, at, to).sample(None)
            found = found @ kernels.kernel
            q = process.marginal(model.cavity(s, to), to)[..., 1]
            each = up[None] * q[:, None] + (1 - up[None]) * (1 - q[:, None])
            same = (s[:, None] == s[None]).double()
            for turn in range(classes):
                found = found @ torch.where(colouring((1, 8), classes) == turn, each, same).flatten(2).prod(2)
        assert 0.5 * (found - p).abs().sum().item() == pytest.approx(known, abs=2e-4)


def test_the_sampler_with_sweeps_is_that_chain():
    """Ring of 6, 10 steps: 40 000 samples of `heat-bath` against the distribution that its kernels give; χ², p >
    1e-6."""
    ring, process = Lattice(1, 6, 0.7), Ising(schedule="flips", flip=0.15, steps=10)
    model, (s, _, _, _) = ExactSpins(ring, process), distribution(ring)
    up, even, found = (
        (s > 0).double(),
        checkerboard((1, 6)) == 0,
        torch.full((64,), 1 / 64, dtype=torch.float64),
    )

    def onto(q, turn):
        each = up[None] * q[:, None] + (1 - up[None]) * (1 - q[:, None])
        return torch.where(turn, each, (s[:, None] == s[None]).double()).flatten(2).prod(2)

    instants = process.instants(linear(process, 10))
    for at, to in itertools.pairwise(instants):
        found = found @ onto(model.reverse(s, at, to).weights[..., 1], torch.ones(1, 6, dtype=torch.bool))
        if to.t < 3:  # after the last three steps
            for turn in (even, ~even):
                found = found @ onto(process.marginal(model.cavity(s, to), to)[..., 1], turn)
    x = generate(HeatBath(last=3, to_data=True), model, 40000, linear(process, 10), seed=4)
    power = 2.0 ** torch.arange(5, -1, -1, dtype=torch.float64)
    seen = torch.bincount((((x.double().flatten(1) + 1) / 2) @ power).long(), minlength=64).double()
    assert stats.chisquare(seen, 40000 * found / found.sum()).pvalue > 1e-6


@pytest.mark.parametrize(
    ("name", "predictor"),
    [("reverse-kernel", ReverseKernel()), ("tau-leap", TauLeap()), ("flow-euler", FlowEuler())],
)
def test_sweeps_mend_the_steps_of_any_predictor(name, predictor):
    """2x2, 4 steps: uncorrected steps are those of the predictor, bit for bit; ten sweeps at the data bring the energy
    of 20 000 samples from more than 8 standard errors off to within 5."""
    lattice = Lattice(2, 2, 0.5, periodic=False)
    model = ExactSpins(lattice, Ising(schedule="linear"))
    times = linear(model.process, 4)
    _, energy, p, _ = distribution(lattice)
    truth = (p @ energy).item()
    error = ((p @ energy**2).item() - truth**2) ** 0.5 / 20000**0.5
    plain, none, mended = (
        generate(sampler, model, 20000, times, seed=2)
        for sampler in (
            predictor,
            HeatBath(predictor=name, last=0),
            HeatBath(predictor=name, last=1, sweeps=10, to_data=True),
        )
    )
    assert torch.equal(plain, none)
    assert abs(lattice.energy(plain).mean().item() - truth) > 8 * error
    assert lattice.energy(mended).mean().item() == pytest.approx(truth, abs=5 * error)


@pytest.mark.parametrize("mixing", ["uniform", "absorbing", 0.8])
def test_a_sweep_leaves_the_distribution_of_the_data_alone(mixing):
    """2x2 at t = 0: χ² of 40 000 x_0 after a sweep against their distribution; p > 1e-6."""
    lattice, process = Lattice(2, 2, 0.6, periodic=False), Ising(mixing=mixing)
    s, _, p, _ = distribution(lattice)
    at = process.at(0.0)
    x0 = s[torch.multinomial(p, 40000, True, generator=torch.Generator().manual_seed(1))]
    x = sweep(ExactSpins(lattice, process), x0, at, Generator(3))
    seen = torch.bincount(
        (((x.flatten(1) + 1) / 2) @ torch.tensor([8.0, 4.0, 2.0, 1.0]).double()).long(), minlength=16
    )
    assert stats.chisquare(seen.double(), 40000 * p).pvalue > 1e-6
    assert (x != x0).double().mean() > 0.1


class Counting(ExactSpins):
    evaluations = 0

    def _marginals(self, likelihood):
        self.evaluations += 1
        return super()._marginals(likelihood)


def test_a_corrector_costs_what_it_says():
    for sampler, expected in (
        (HeatBath(to_data=True), 15),
        (HeatBath(), 13),
        (HeatBath(last=2, sweeps=2), 9),
        (HeatBath(last=0), 5),
        (HeatBath(classes=4), 21),
    ):
        process = Ising()
        model = Counting(Lattice(2, 2, 0.3), process)
        two = (
            sampler.classes == 2 and sampler.last != 0
        )  # three with an odd side, so that only the run can tell
        assert sampler.evaluations_in(5) == (None if two else expected)
        generate(sampler, model, 3, linear(process, 5))
        assert model.evaluations == expected


@pytest.mark.parametrize(
    "sampler",
    [Ancestral(), ReverseKernel(), TauLeap(), FlowEuler(), HeatBath(classes=3)],
    ids=lambda made: type(made).__name__,
)
def test_what_is_counted_is_what_is_declared(sampler):
    """`difrun compare` counts by `Counted`: the same samples, as many evaluations of a batch as the sampler says."""
    process = Ising()
    model = ExactSpins(Lattice(2, 2, 0.3), process)
    counted = Counted(model)
    samples = [generate(sampler, m, 7, linear(process, 5), seed=1) for m in (model, counted)]
    assert torch.equal(*samples)
    assert counted.evaluations == sampler.evaluations_in(5)
    assert counted.examples == 7 * counted.evaluations


@pytest.mark.parametrize(
    "sampler",
    [Ancestral(), ReverseKernel(), TauLeap(), FlowEuler(), HeatBath()],
    ids=lambda made: type(made).__name__,
)
@pytest.mark.parametrize("mixing", ["uniform", "absorbing"])
def test_samples_do_not_depend_on_their_chunk_and_are_spins(sampler, mixing):
    process = Ising(mixing=mixing)
    model = ExactSpins(Lattice(2, 3, 0.5), process)
    whole, parts = (
        generate(sampler, model, 30, linear(process, 6), seed=5, chunk=chunk) for chunk in (30, 7)
    )
    assert torch.equal(whole, parts)
    assert whole.dtype == torch.float32
    assert set(whole.unique().tolist()) == {-1.0, 1.0}
