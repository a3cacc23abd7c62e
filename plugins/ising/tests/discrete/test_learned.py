"""Losses and networks: minima at the exact distributions, symmetries, and a small lattice that is learned."""

import pytest
import torch

from difrun.errors import DifrunError
from difrun.grid import linear
from difrun.randomness import Generator
from difrun_ising.data.lattices import ising
from difrun_ising.data.strings import markov
from difrun_ising.discrete.bound import log_likelihood_bound
from difrun_ising.discrete.categorical import Categorical
from difrun_ising.discrete.losses import CrossEntropy, Elbo, ReverseKernel
from difrun_ising.discrete.networks import ReverseMLP, SpinMLP
from difrun_ising.discrete.symmetry import augmented
from difrun_ising.lattice.cnn import SpinCNN
from difrun_ising.lattice.exact.model import ExactSpins
from difrun_ising.lattice.exact.sampling import exact_samples
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.process import Ising

from ..support import distribution, fitted


class Disturbed(ExactSpins):
    """The exact model with its logits moved by δ h, h a fixed pattern."""

    delta = 0.0

    def x0_distribution(self, x, at):
        p0 = super().x0_distribution(x, at)
        push = self.delta * torch.linspace(-1, 1, p0[0, ..., 0].numel(), dtype=torch.float64).reshape(
            self.shape
        )
        return torch.softmax(p0.clamp_min(1e-300).log() + torch.stack((-push, push), -1), -1)


@pytest.mark.parametrize(
    "loss", [ReverseKernel(), ReverseKernel(rao_blackwell=True), Elbo()], ids=["kernel", "rb", "elbo"]
)
@pytest.mark.parametrize("mixing", ["uniform", "absorbing"])
def test_losses_on_the_kernel_are_least_for_the_exact_model(loss, mixing):
    """2x2 lattice, 4000 examples: L(±δ) averaged exceeds L(0) by 5 standard errors, and no slope beyond 5 of them."""
    lattice = Lattice(2, 2, 0.6, field=0.2, periodic=False)
    model = Disturbed(lattice, Ising(mixing=mixing))
    s, _, p, _ = distribution(lattice)
    x0 = s[torch.multinomial(p, 4000, True, generator=torch.Generator().manual_seed(1))]
    values = []
    for delta in (0.0, 0.3, -0.3):
        model.delta = delta
        values.append(loss(model, x0, Generator(2)))
        assert (values[-1] >= 0).all()
    excess = 0.5 * (values[1] + values[2]) - values[0]
    slope = 0.5 * (values[1] - values[2])
    assert excess.mean() > 5 * excess.std() / 4000**0.5
    assert slope.mean().abs() < 5 * slope.std() / 4000**0.5


@pytest.mark.parametrize(
    "options",
    [{}, {"mixing": "absorbing", "schedule": "linear", "order": "checkerboard", "rounds": 1, "share": 0.1}],
    ids=["flips", "masked, even then odd"],
)
def test_the_elbo_is_the_bound_of_paths(options):
    """3x3 torus: the mean of the loss `elbo` over 20 000 draws is −log p bound per site, without the prior's term, also
    where the steps are not drawn alike."""
    lattice, process = Lattice(3, 3, 0.4), Ising(**options)
    model = Disturbed(lattice, process)
    s, _, p, _ = distribution(lattice)
    x0 = s[torch.multinomial(p, 20000, True, generator=torch.Generator().manual_seed(1))]
    each = Elbo(steps=10)(model, x0, Generator(2))
    paths = -log_likelihood_bound(model, x0, linear(process, 10), 3) / 9
    error = (each.var() / 20000 + paths.var() / 20000).sqrt().item()
    # At T nothing is left, and the term of the prior is 0.
    assert each.mean().item() == pytest.approx(paths.mean().item(), abs=5 * error)


class Alike(Elbo):
    """The bound by steps that are all drawn alike."""

    def _step(self, process, x0, generator):
        t, s, _ = super(Elbo, self)._step(process, x0, generator)
        return t, s, {"inverse_probability": torch.full_like(t, self.steps)}


def test_steps_of_masked_data_are_drawn_so_that_the_bound_spreads_less():
    """4x4 torus, masked even then odd in 32 steps: one mean, to 5 standard errors, and less than half the variance."""
    lattice = Lattice(4, 4, 0.4)
    model = ExactSpins(
        lattice, Ising(mixing="absorbing", schedule="linear", order="checkerboard", share=1 / 32)
    )
    x0 = exact_samples(lattice, 4000, torch.Generator().manual_seed(1))
    chosen, alike = (loss(model, x0, Generator(2)).double() for loss in (Elbo(steps=32), Alike(steps=32)))
    error = ((chosen.var() + alike.var()) / 4000) ** 0.5
    assert (chosen.mean() - alike.mean()).abs() < 5 * error
    assert chosen.var() < 0.5 * alike.var()


def test_rao_blackwellisation_keeps_the_mean_and_lowers_the_variance():
    """At T/2 of one lattice: equal means to 5 standard errors, and a smaller variance."""
    model = Disturbed(Lattice(2, 2, 0.6), Ising(schedule="flips", steps=20))
    x0 = torch.ones(20000, 2, 2, dtype=torch.float64)
    drawn, averaged = (ReverseKernel(rao_blackwell=rb)(model, x0, Generator(4)) for rb in (False, True))
    error = ((drawn.var() + averaged.var()) / 20000) ** 0.5
    assert (drawn.mean() - averaged.mean()).abs() < 5 * error
    assert averaged.var() < 0.7 * drawn.var()


@pytest.mark.parametrize(
    ("make", "loss", "options", "most"),
    [
        (SpinCNN, CrossEntropy(), {}, 0.012),
        (SpinCNN, CrossEntropy(flip=True, translate=True, rotate=True), {"mixing": "absorbing"}, 0.02),
        (SpinMLP, Elbo(), {"schedule": "linear"}, 0.02),
        (SpinMLP, CrossEntropy(), {"order": "checkerboard", "rounds": 5}, 0.02),
        (ReverseMLP, ReverseKernel(), {"schedule": "flips", "steps": 30}, 0.12),
    ],
    ids=["cnn", "cnn masked, symmetries", "mlp elbo", "mlp checkerboard", "reverse mlp"],
)
def test_a_small_lattice_is_learned(make, loss, options, most):
    """4x4 torus at β = 0.35: the gap to the exact entropy, in nats per spin, is at least that of the exact model, less
    5 standard errors, and at most so much more; untrained networks are 0.22 or more off."""
    dataset, process = ising(seed=1, size=(4,), n=3000, held_out=1500), Ising(**options)
    width = 16 if make is SpinCNN else 64
    model = fitted(lambda: make(dataset.shape, width=width, depth=2), loss, dataset, process, 400)
    steps = process.step_count(20)
    x = dataset.held_out

    def gap(model):
        return (dataset.log_density(x) - log_likelihood_bound(model, x, linear(process, steps), 2)) / 16

    found, exact = gap(model), gap(ExactSpins(dataset.lattice, process))
    error = (found.var() / len(x) + exact.var() / len(x)).sqrt().item()
    assert found.mean() > exact.mean() - 5 * error
    assert found.mean() < exact.mean() + most


def test_strings_are_learned_to_their_entropy():
    """Markov strings of 6 of 3 letters, masked: the gap per letter is below 0.03, of an entropy of about 0.9."""
    dataset, process = (
        markov(seed=0, length=6, letters=3, n=3000),
        Categorical(mixing="absorbing", schedule="linear"),
    )
    model = fitted(lambda: SpinMLP(dataset.shape, width=64, depth=2), CrossEntropy(), dataset, process, 500)
    x = dataset.held_out
    gap = (dataset.log_density(x) - log_likelihood_bound(model, x, linear(process, 40), 2)) / 6
    assert -5 * gap.std() / len(x) ** 0.5 < gap.mean() < 0.03


def test_augmentation_draws_symmetries():
    """A lattice and its images have one energy; every image is met; what is no lattice is refused."""
    lattice = Lattice(4, 4, 0.3)
    x = torch.where(torch.arange(16).reshape(1, 4, 4) % 5 == 0, -1.0, 1.0)
    x[0, 0, 1] = -1.0
    many = augmented(x.expand(4000, 4, 4), Generator(1), flip=True, translate=True, rotate=True)
    assert torch.allclose(lattice.energy(many), lattice.energy(x).expand(4000))
    images = {tuple(m.flatten().tolist()) for m in many}
    group = set()
    for sign in (1, -1):
        for i in range(4):
            for j in range(4):
                for turned in (x[0], x[0].T):
                    for flips in ((), (0,), (1,), (0, 1)):
                        image = sign * turned.flip(flips).roll((i, j), (0, 1))
                        group.add(tuple(image.flatten().tolist()))
    assert images == group
    with pytest.raises(DifrunError, match="are for lattices"):
        augmented(torch.ones(3, 8), Generator(1), flip=True, translate=False, rotate=False)


def test_a_network_of_the_kernel_cannot_answer_x0():
    process = Ising(schedule="flips", steps=4)
    model = process.denoiser(ReverseMLP((4,)), shape=(4,), mean=torch.zeros(4), var=torch.ones(4))
    with pytest.raises(DifrunError, match="--sampler reverse-kernel"):
        model.predict(torch.ones(2, 4), process.at(1.0), "x0")
    with pytest.raises(DifrunError, match="--steps 4"):
        model.reverse(torch.ones(2, 4), process.at(2.0), process.at(0.0))
    for asked in (
        lambda: model.cavity(torch.ones(2, 4), process.at(1.0), torch.ones(4, dtype=torch.bool)),
        lambda: CrossEntropy(hidden=0.0)(model, torch.ones(2, 4), Generator(1)),
    ):
        with pytest.raises(DifrunError, match=r"it predicts x_\{t-1\}, not x_0"):
            asked()
    for other in (Ising(), Ising(schedule="flips", mixing="absorbing")):
        with pytest.raises(DifrunError, match=r"needs --process\.schedule flips, without masks"):
            other.denoiser(ReverseMLP((4,)), shape=(4,), mean=torch.zeros(4), var=torch.ones(4))
    with pytest.raises(DifrunError, match=r"for lattices \(rows, columns\)"):
        SpinCNN((5,))
