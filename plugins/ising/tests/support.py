"""References of the plugin's tests: the tables of the 8x8 lattice, and enumerations."""

import itertools
import json
from itertools import pairwise
from pathlib import Path

import torch

from difrun.config import TrainOptions
from difrun.grid import linear
from difrun.randomness import Generator
from difrun.sampler import Ancestral
from difrun.training import Trainer
from difrun_ising.discrete.jump_samplers import FlowEuler, TauLeap
from difrun_ising.discrete.reverse_kernel import ReverseKernel
from difrun_ising.discrete.sites import Sites
from difrun_ising.lattice.exact.transfer import transfer_matrix

TABLES = json.loads((Path(__file__).parent / "ising8.json").read_text("utf-8"))
BETAS = ("0.2", "0.35", "0.4406868", "0.6")
BOUNDARIES = ("periodic", "free")


def configurations(shape):
    """All ±1 configurations of a lattice, (2^N, *shape), float64, the last site fastest."""
    count = torch.Size(shape).numel()
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=count)), dtype=torch.float64).reshape(
        -1, *shape
    )


def bonds(rows, columns, periodic):
    """The bonds one by one: pairs of sites ((row, column), (row, column))."""
    found = []
    for i, j in itertools.product(range(rows), range(columns)):
        if columns > 1 and (periodic or j + 1 < columns):
            found.append(((i, j), (i, (j + 1) % columns)))
        if rows > 1 and (periodic or i + 1 < rows):
            found.append(((i, j), ((i + 1) % rows, j)))
    return found


def distribution(lattice):
    """All configurations, their energies by a loop over bonds, and their probabilities."""
    s = configurations(lattice.shape)
    energy = -lattice.field * s.sum((1, 2))
    for (i, j), (k, m) in bonds(*lattice.shape, lattice.periodic):
        energy = energy - lattice.coupling * s[:, i, j] * s[:, k, m]
    log_z = torch.logsumexp(-lattice.beta * energy, 0)
    return s, energy, torch.exp(-lattice.beta * energy - log_z), log_z.item()


# Of masked data `reverse-kernel` draws in two parts, which test_evidence.py compares with the kernel of `ancestral`.
METHODS = [
    *(
        (sampler, mixing)
        for sampler in (Ancestral(), TauLeap(), FlowEuler())
        for mixing in ("uniform", "absorbing")
    ),
    (ReverseKernel(), "uniform"),
]


class Kernels:
    """The distribution of x that a sampler carries along, computed and not sampled: every draw of a step becomes a
    matrix."""

    def __init__(self, monkeypatch, lattice, masked=False):
        values = [-1.0, 1.0] + [0.0] * masked
        axes = [torch.tensor(values, dtype=torch.float64)] * lattice.spins
        self.x = torch.cartesian_prod(*axes).reshape(-1, *lattice.shape)
        self.index = {tuple(x.flatten().tolist()): k for k, x in enumerate(self.x)}
        monkeypatch.setattr(Sites, "sample", lambda sites, generator: self.draw(sites))
        self.distribution = None

    def draw(self, sites):
        """Where a step draws: remember the distribution of the result for every x."""
        index = torch.where(self.x < 0, 0, torch.where(self.x > 0, 1, 2)).flatten(1)
        log = sites.weights.clamp_min(1e-300).log().flatten(1, -2)
        columns = [log[:, site, index[:, site]] for site in range(index.shape[1])]
        self.kernel = sum(columns).exp().nan_to_num(0.0)  # of states that are never reached
        return self.x

    def run(self, sampler, model, times):
        """The distribution of x at the end, (states,)."""
        instants = model.process.instants(times)
        prior = model.process.prior_distribution((1, *self.x.shape[1:]), model.mean, torch.float64)
        distribution = torch.stack([prior.log_prob(x[None])[0] for x in self.x]).exp()
        state = sampler.prepare(model, instants)
        for at, to in itertools.pairwise(instants):
            sampler.step(model, self.x, at, to, state, None)
            distribution = distribution @ self.kernel
        return distribution


def fitted(network, loss, dataset, process, steps, lr=3e-3, batch=256):
    """The model around a network, made by `network()` and trained in so many steps."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = network()
    model = process.denoiser(made, shape=dataset.shape, mean=dataset.mean, var=dataset.var)
    options = TrainOptions(steps=steps, batch=batch, lr=lr, ema=0.99)
    trainer = Trainer(model, loss, dataset.train, options, seed=1)
    trainer.run()
    trainer.finish()
    return model


def run(sampler, model, dataset, steps, n=3000):
    """n samples of a model by a sampler."""
    process, random = model.process, Generator(4)
    instants = process.instants(linear(process, steps))
    x = process.prior((n, *dataset.shape), mean=model.mean, var=model.var, generator=random)
    state = sampler.prepare(model, instants)
    for at, to in pairwise(instants):
        x, state = sampler.step(model, x, at, to, state, random)
    return x


def energy_error(x, dataset):
    """Energy per spin less its exact value, and its standard error."""
    each = dataset.lattice.energy(x) / dataset.lattice.spins
    exact = transfer_matrix(dataset.lattice).energy / dataset.lattice.spins
    return each.mean().item() - exact, each.std().item() / len(x) ** 0.5
