"""What the convolutional network reads of the noise, and the conditionals that it learns for the heat bath at t = 0."""

import pytest
import torch

from difrun.grid import linear
from difrun.randomness import Generator
from difrun_ising.data.lattices import ising
from difrun_ising.discrete.bound import log_likelihood_bound
from difrun_ising.discrete.colouring import checkerboard
from difrun_ising.discrete.heat_bath import HeatBath
from difrun_ising.discrete.losses import CrossEntropy
from difrun_ising.discrete.reverse_kernel import ReverseKernel
from difrun_ising.lattice.cnn import SpinCNN
from difrun_ising.lattice.exact.model import ExactSpins
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.process import Ising

from ..support import distribution, energy_error, fitted, run


def denoiser(network, process, dataset):
    return process.denoiser(network, shape=dataset.shape, mean=dataset.mean, var=dataset.var)


def seeded_network(make, *shape, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make(*shape, **options)
        torch.nn.init.normal_(network.last.weight)
    return network


def spins(*shape, seed=1):
    return torch.where(torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.5, -1.0, 1.0)


def test_a_masked_lattice_is_read_the_same_at_every_time():
    """p(x_0 | x_t) of masked data depends on which sites are seen, not on t; of flips it depends on t."""
    network, x = seeded_network(SpinCNN, (4, 4)), spins(3, 4, 4)
    x[:, 1] = 0
    dataset = ising(seed=0, size=(4,), n=30, held_out=20)
    early, late = (0.2, 0.9)
    masked, flips = (denoiser(network, process, dataset) for process in (Ising(mixing="absorbing"), Ising()))
    first, second = (masked.x0_distribution(x, masked.process.at(t)) for t in (early, late))
    torch.testing.assert_close(
        first, second, rtol=0, atol=1e-6
    )  # the likelihood of a mask is added, and cancels
    x = spins(3, 4, 4)
    first, second = (flips.x0_distribution(x, flips.process.at(t)) for t in (early, late))
    assert not torch.allclose(first, second, atol=1e-3)


@pytest.mark.parametrize("mixing", ["uniform", "absorbing"])
def test_the_cavity_at_the_data_does_not_know_the_spins_it_asks_for(mixing):
    """At t = 0, turning every spin of a sublattice over leaves its cavity distribution alone, to the bit; at t > 0
    of masked data, too, whose visible sites a network learns nothing of, but not of flips."""
    network, x = seeded_network(SpinCNN, (4, 6)), spins(3, 4, 6)
    dataset = ising(seed=0, size=(4, 6), n=30, held_out=20)
    model = denoiser(network, Ising(mixing=mixing), dataset)
    mine = checkerboard((4, 6)) == 0
    turned = torch.where(mine, -x, x)
    for t, same in ((0.0, True), (0.3, mixing == "absorbing")):
        distributions = [model.cavity(y, model.process.at(t), mine)[:, mine] for y in (x, turned)]
        assert torch.equal(*distributions) == same


@pytest.fixture(scope="module")
def learned():
    """A 4x4 torus at β = 0.35, learned in 400 steps: (dataset, model)."""
    dataset = ising(seed=1, size=(4,), n=3000, held_out=1500)
    return dataset, fitted(
        lambda: SpinCNN(dataset.shape, width=16, depth=2), CrossEntropy(hidden=0.3), dataset, Ising(), 400
    )


def test_the_conditionals_of_a_sublattice_are_learned(learned):
    """log-odds of a spin given its neighbours are 2β Σ s_j, to 0.1 in the mean over the lattices of every sum: the
    steps between the sums are 1.4, and 3000 lattices tell β to about 0.006, the log-odds of the largest sum to 0.05."""
    dataset, model = learned
    s = dataset.held_out
    total = sum(s.roll(shift, axis) for shift in (1, -1) for axis in (1, 2))
    for mine in (checkerboard((4, 4)) == 0, checkerboard((4, 4)) == 1):
        found = torch.logit(model.cavity(s, model.process.at(0.0), mine)[..., 1])
        for value in (-4.0, -2.0, 0.0, 2.0, 4.0):
            here = (total == value) & mine
            assert found[here].mean().item() == pytest.approx(0.7 * value, abs=0.1), value


def test_sweeps_at_the_data_mend_what_coarse_steps_break(learned):
    """After 6 steps the energy is off by more than 8 standard errors. Ten learned sweeps at t = 0 bring it to 5 of them
    and the 0.03 that an error of 0.006 in β makes."""
    dataset, model = learned
    off, error = energy_error(run(ReverseKernel(), model, dataset, 6), dataset)
    assert off > 8 * error
    mended, error = energy_error(run(HeatBath(last=1, sweeps=10, to_data=True), model, dataset, 6), dataset)
    assert abs(mended) < 5 * error + 0.03


class Counting(ExactSpins):
    """The exact model, which counts the lattices it is asked about."""

    asked = 0

    def x0_distribution(self, x, at):
        self.asked += len(x)
        return super().x0_distribution(x, at)


def test_many_short_steps_of_masked_data_cost_what_there_is_to_see():
    """2x2 lattice, 2000 samples in 300 steps: the distribution within 5 standard errors of the exact one, which 3
    steps miss by far, for at most 4 evaluations per sample; and the bound of 300 steps is that of the plain formula,
    to 1e-9."""
    lattice = Lattice(2, 2, 0.6, field=0.2, periodic=False)
    process = Ising(mixing="absorbing", schedule="linear")
    model = Counting(lattice, process)
    states, _, exact, _ = distribution(lattice)
    n = 2000

    def distance(steps):
        x = run(ReverseKernel(), model, ising(seed=0, size=(2,), n=20, held_out=20), steps, n)
        share = (x[:, None] == states.to(x)).all((2, 3)).double().mean(0)
        return ((share - exact) / (exact * (1 - exact) / n).sqrt()).abs().max()

    assert distance(300) < 5
    assert model.asked <= 4 * n
    assert distance(3) > 10
    x0, times = states.repeat(20, 1, 1), linear(process, 300)
    model.asked = 0
    found = log_likelihood_bound(model, x0, times, 3)
    assert model.asked <= 4 * len(x0)
    random, total, x, last = Generator(3), 0.0, x0, process.at(0.0)
    for at in process.instants(reversed(times))[1:]:
        kernel = process.transition(x, last, at)
        later = kernel.sample(random)
        total = total + model.reverse(later, at, last).log_prob(x) - kernel.log_prob(later)
        x, last = later, at
    torch.testing.assert_close(found, total, rtol=0, atol=1e-9)


def test_a_masked_step_in_two_parts_is_the_ancestral_one():
    """2x2 lattice with one spin seen, t = 0.7 to 0.2: the shares of all x_s in 40 000 draws lie within 5 standard
    errors of the product of the ancestral kernel, and the spin that was seen stays."""
    process = Ising(mixing="absorbing", schedule="linear")
    model = ExactSpins(Lattice(2, 2, 0.6, field=0.2, periodic=False), process)
    at, to, n = process.at(0.7), process.at(0.2), 40000
    x = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    drawn, _ = ReverseKernel().step(model, x.expand(n, 2, 2), at, to, None, Generator(3))
    states = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * 4).reshape(-1, 2, 2)
    kernel = model.reverse(x.expand(len(states), 2, 2), at, to).log_prob(states).exp()
    share = (drawn[:, None] == states).all((2, 3)).double().mean(0)
    assert kernel.sum().item() == pytest.approx(1, abs=1e-9)
    assert ((share - kernel).abs() <= 5 * (kernel * (1 - kernel) / n).sqrt() + 1e-12).all()
