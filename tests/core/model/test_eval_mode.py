"""Sampling and measuring hold networks in evaluation mode, and leave every mode, statistic and random state alone."""

import functools

import attrs
import pytest
import torch
from torch import nn

from difrun.analysis import elbo, log_likelihood
from difrun.analysis.reference import endpoint
from difrun.model import Counted, ModelWrapper, NetworkModel, networks_of
from difrun.sampler import Adams, Ancestral, Heun, Sampler, generate, integrate
from difrun.sampler.tuning import pilot, tune
from difrun.testing import ReferenceVP

PROCESS = ReferenceVP()
TIMES = [1.0, 0.5, 0.2, 0.05]


class Noisy(nn.Module):
    """Dropout and batch norm; a part is frozen in evaluation mode, as a user may want it."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.SiLU(), nn.Dropout(0.5))
        self.frozen = nn.Sequential(nn.Dropout(0.3), nn.BatchNorm1d(16))
        self.last = nn.Linear(16, 2)
        self.train()
        self.frozen.eval()
        self.frozen[1].train()

    def forward(self, x, level):
        return self.last(self.frozen(self.first(x)))


def model_of():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return NetworkModel(Noisy(), PROCESS, (2,), mean=torch.zeros(2), var=torch.ones(2))


@attrs.frozen
class Slotted:
    part: object


class Guided(ModelWrapper):
    """A guidance that holds networks in a function, a partial function, an attrs class and a list."""

    def __init__(self, inner, hidden):
        super().__init__(inner)
        self.by_function = lambda x: hidden[0](x)
        self.by_partial = functools.partial(_shift, hidden[1])
        self.by_slot = [{"part": Slotted(hidden[2])}]

    def predict(self, x, at, kind):
        for call in (self.by_function, self.by_partial, self.by_slot[0]["part"].part):
            x = call(x)
        return self.inner.predict(x, at, kind)


def _shift(network, x):
    return network(x)


X = torch.randn(16, 2, generator=torch.Generator().manual_seed(2))
CALLS = {
    "generate": lambda model: generate(Ancestral(), model, 16, TIMES),
    "integrate": lambda model: integrate(Heun(), model, X, TIMES),
    "log_likelihood": lambda model: log_likelihood(model, X, steps=3).nats,
    "elbo": lambda model: elbo(model, X, times=2).nats,
    "pilot": lambda model: torch.tensor(pilot(model, 5)),
    "tune": lambda model: torch.tensor(tune(model, 3, iterations=1, trajectories=16).times),
    "endpoint": lambda model: endpoint(model, X, 1.0).x,
}


@pytest.mark.parametrize("wrap", [lambda model: model, Counted], ids=["plain", "wrapped"])
@pytest.mark.parametrize("name", CALLS)
def test_a_network_in_training_mode_is_evaluated_without_noise(name, wrap):
    """Twice the same numbers, those of a network in evaluation mode; torch's random state, the mode of every submodule
    and the running statistics of batch norm stay as they were."""
    model = model_of()
    network = model.network
    modes = {path: module.training for path, module in network.named_modules()}
    statistics = {key: value.clone() for key, value in network.state_dict().items()}
    random = torch.get_rng_state()
    first, second = CALLS[name](wrap(model)), CALLS[name](wrap(model))
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(first, second)
    assert {path: module.training for path, module in network.named_modules()} == modes
    assert sorted(set(modes.values())) == [False, True]
    assert all(torch.equal(value, statistics[key]) for key, value in network.state_dict().items())
    network.eval()
    assert torch.equal(CALLS[name](wrap(model)), first)


def test_networks_in_guidances_are_held_too():
    hidden = [nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)) for _ in range(3)]
    model = Guided(model_of(), hidden)
    assert {id(network) for network in networks_of(model)} == {id(n) for n in (*hidden, model.inner.network)}
    random = torch.get_rng_state()
    first, second = (generate(Adams(), model, 8, TIMES) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(network.training for network in hidden)


class Failing(Sampler):
    order, stochastic = 1, False

    def __init__(self, raised):
        self.raised = raised

    def step(self, model, x, at, to, state, generator):
        assert not model.inner.network.training
        raise self.raised("no step")


@pytest.mark.parametrize("raised", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_modes_are_restored_after_an_error(raised):
    model = model_of()
    modes = [module.training for module in model.network.modules()]
    with pytest.raises(raised, match="no step"):
        generate(Failing(raised), Counted(model), 3, TIMES)
    assert [module.training for module in model.network.modules()] == modes
