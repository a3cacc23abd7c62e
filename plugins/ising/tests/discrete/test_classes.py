"""Classes of spins: guidance without a classifier against enumeration, and a network that learns them."""

import numpy as np
import pytest
import torch

from difrun.config import TrainOptions
from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.model import ConditionalModel, proportional_labels
from difrun.sampler import Ancestral, generate
from difrun.training import Trainer
from difrun_ising.data.spin_file import spin_file
from difrun_ising.discrete.categorical import Categorical
from difrun_ising.discrete.losses import CrossEntropy
from difrun_ising.discrete.model import DiscreteModel
from difrun_ising.discrete.networks import SpinMLP
from difrun_ising.discrete.process import DiscreteProcess
from difrun_ising.lattice.cnn import SpinCNN
from difrun_ising.lattice.process import Ising

from .enumerated import SPINS, Enumerated


class OfClasses(DiscreteModel, ConditionalModel):
    """The exact model of a distribution on all x_0 of three sites, with two classes, p(class | x_0) random."""

    def __init__(self, process):
        x0, self.x = process.enumeration()
        random = torch.Generator().manual_seed(1)
        p = torch.rand(len(x0), dtype=torch.float64, generator=random) ** 3
        given = torch.rand(len(x0), dtype=torch.float64, generator=random)
        self.models = {
            label: Enumerated(process, x0, p, weight)
            for label, weight in ((0, given), (1, 1 - given), (-1, torch.ones_like(given)))
        }
        self.process, self.shape, self.mean, self.var = process, x0.shape[1:], 0.0, 1.0
        self.shares = (0.5, 0.5)

    def _each(self, name, x, at):
        labels = torch.full((len(x),), -1) if self.labels is None else self.labels
        assert len(labels) == len(x)
        every = {label: getattr(model, name)(x, at) for label, model in self.models.items()}
        return torch.stack([every[int(label)][i] for i, label in enumerate(labels)])

    def x0_distribution(self, x, at):
        return self._each("x0_distribution", x, at)


PROCESSES = [*SPINS, Categorical(), Categorical(mixing="absorbing")]


@pytest.mark.parametrize(
    "process", PROCESSES, ids=lambda p: f"{type(p).__name__}-{p.mixing}-{getattr(p, 'order', '')}"
)
def test_log_ratios_combine_with_1_minus_s_and_s(process):
    """At s = 0.4, of every x_t of three sites and a class each: (1 − s)·(any class) + s·(its own), to 1e-8; s = 1 is
    the model of the class and s = 0 that of any, bit for bit. Rows keep their class."""
    model = OfClasses(process)
    x = model.x
    labels = torch.arange(len(x)) % 2
    own, free = model.condition_on(labels), model.condition_on(torch.full_like(labels, -1))
    for t in (0.45, 0.8):
        at = process.at(t)
        guided = process.extrapolate(model, labels, lambda at: 0.4)
        ratios = [
            DiscreteProcess.log_ratios(process, x, m.x0_distribution(x, at), at) for m in (own, free, guided)
        ]
        determined = ratios[0].isfinite() & ratios[1].isfinite()
        assert determined.any()
        want = 0.4 * ratios[0] + 0.6 * ratios[1]
        # Of a masked site the ratio to the mask is not determined, but its ratios among each other are.
        got, want = (torch.where(determined, r, 0.0) for r in (ratios[2], want))
        if process.masks(2 if isinstance(process, Ising) else x.shape[-1]):
            got, want = (r - torch.where(determined, r, 0.0).mean(-1, keepdim=True) for r in (got, want))
        torch.testing.assert_close(got, want, rtol=0, atol=1e-8)
        assert torch.equal(
            process.extrapolate(model, labels, lambda at: 1).x0_distribution(x, at),
            own.x0_distribution(x, at),
        )
        none = process.extrapolate(model, labels, lambda at: 0.0).x0_distribution(x, at)
        assert torch.equal(none, free.x0_distribution(x, at))
        part = guided.rows(slice(1, 4))
        torch.testing.assert_close(
            part.x0_distribution(x[1:4], at), guided.x0_distribution(x, at)[1:4], rtol=0, atol=1e-12
        )


def test_a_network_learns_the_sign_of_its_class():
    """Lattices of which a site is up with probability 0.9 in class "up", 0.1 in "down": after a short training the mean
    of 200 samples of a class is ±0.8 within 0.12; guidance of strength 2 moves both further out."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(600) % 2
    up = torch.rand((600, 4, 4), generator=random) < torch.where(labels == 0, 0.9, 0.1)[:, None, None]
    spins = 2.0 * up - 1
    data = Dataset(
        name="signs",
        train=spins,
        held_out=spins[:50],
        labels=labels,
        held_out_labels=labels[:50],
        classes=("up", "down"),
    )
    process = Ising()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SpinCNN((4, 4), width=8, depth=2, classes=2)
    model = process.denoiser(network, shape=(4, 4), mean=data.mean, var=data.var)
    model.set_classes(data.shares, data.class_moments)
    options = TrainOptions(steps=250, batch=64, lr=1e-2, ema=0.95, warmup=10, label_dropout=0.2)
    trainer = Trainer(model, CrossEntropy(), data.train, options, seed=0, labels=data.labels)
    trainer.run()
    trainer.finish()
    times = [1 - k / 16 for k in range(17)]
    classes = proportional_labels(data.shares, 400)

    def means(model):
        drawn = generate(Ancestral(), model, 400, times, labels=classes)
        return [float(drawn[classes == label].mean()) for label in (0, 1)]

    plain = means(model)
    assert plain == pytest.approx([0.8, -0.8], abs=0.12)

    class Guided(type(model)):
        def condition_on(self, labels):
            return process.extrapolate(model, labels, lambda at: 2.0)

    guided = object.__new__(Guided)
    guided.__dict__.update(model.__dict__)
    up, down = means(guided)
    assert up > plain[0]
    assert down < plain[1]


@pytest.mark.parametrize("network", [SpinCNN, SpinMLP])
def test_networks_without_classes_are_what_they_were(network):
    made = []
    for classes in (0, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made.append(network((4, 4), width=8, depth=1, classes=classes))
    plain, of_classes = (m.state_dict() for m in made)
    assert set(of_classes) - set(plain) == {"labels.weight"}
    assert all(torch.equal(of_classes[name], value) for name, value in plain.items())


def test_files_of_spins_bring_their_labels(tmp_path):
    spins = np.where(np.random.default_rng(0).random((60, 3, 3)) < 0.5, -1.0, 1.0)
    names = np.array(["cold", "hot"])[(spins.sum((1, 2)) > 0).astype(int)]
    np.savez(tmp_path / "s.npz", x=spins, phase=names)
    data = spin_file(seed=1, path=tmp_path / "s.npz", label="phase")
    assert data.classes == ("cold", "hot")
    assert torch.equal(data.labels == 1, data.train.sum((1, 2)) > 0)
    assert torch.equal(data.held_out_labels == 1, data.held_out.sum((1, 2)) > 0)
    assert spin_file(seed=1, path=tmp_path / "s.npz").labels is None
    with pytest.raises(DifrunError, match="no other array 'temperature'"):
        spin_file(seed=1, path=tmp_path / "s.npz", label="temperature")
