"""Samplers, grids and a loss with one known fault each, for the tests of the conformance kit."""

import torch

from difrun.grid import linear
from difrun.loss import Regression
from difrun.model import MLP
from difrun.sampler import Ancestral, Euler


class Fine(Euler):
    """Euler's method."""


class OverDeclared(Euler):
    """Euler's method, said to be of order 2."""

    order = 2


class Hasty(Ancestral):
    """Ancestral sampling, of weak order 1, said to be of order 2."""

    order = 2


class Rough(Euler):
    """Deterministic, said to have no order."""

    order = None


class Secretive(Euler):
    """One evaluation per step, which it could have declared; far from the end of the flow on one step."""

    order = evaluations = None


class Greedy(Euler):
    """One evaluation more than declared."""

    def step(self, model, x, at, to, state, generator):
        model.predict(x, at, "x0")
        return super().step(model, x, at, to, state, generator)


class SecretlyRandom(Ancestral):
    """Stochastic, said to be deterministic."""

    stochastic = False


class Silent(Euler):
    """Deterministic, said to be stochastic."""

    stochastic = True


class Global(Ancestral):
    """Draws from the global random state."""

    def step(self, model, x, at, to, state, generator):
        x, state = super().step(model, x, at, to, state, generator)
        return x + 1e-9 * torch.randn(x.shape).to(x), state


class Remembering(Euler):
    """Keeps the last slope in itself."""

    last = 0.0

    def step(self, model, x, at, to, state, generator):
        x, _ = super().step(model, x + 1e-3 * self.last, at, to, state, generator)
        self.last = x.mean()
        return x, None


class InPlace(Euler):
    """Overwrites its start."""

    def step(self, model, x, at, to, state, generator):
        y, state = super().step(model, x, at, to, state, generator)
        return x.copy_(y), state


class Quiet(Ancestral):
    """Half of the noise that it needs."""

    def step(self, model, x, at, to, state, generator):
        distribution = model.process.bridge(x, model.predict(x, at, "x0"), at, to)
        return distribution.mean + 0.5 * (distribution.sample(generator) - distribution.mean), None


class OnCpu(Euler):
    """Makes a tensor on the CPU."""

    def step(self, model, x, at, to, state, generator):
        x, state = super().step(model, x, at, to, state, generator)
        return x + torch.zeros(1), state


class OneFormat(Euler):
    """Works in float32 only."""

    def step(self, model, x, at, to, state, generator):
        x, state = super().step(model, x, at, to, state, generator)
        return x.float(), state


class OtherDefault(Euler):
    """Another default than its option's."""

    def __init__(self, scale=2.0):
        pass


class CatchAll(Euler):
    """Takes anything."""

    def __init__(self, **options):
        pass


class Unexplained(Euler):
    def __init__(self, *, scale=1.0):
        pass


def upward(process, steps):
    """From t_min to T."""
    return linear(process, steps)[::-1]


def short(process, steps):
    """One time too few."""
    return linear(process, steps)[:-1]


def shrunk():
    """Regression on 0.9 times the noise."""

    class Shrunk(Regression):
        def draw(self, model, x0, generator, noise=None):
            examples = super().draw(model, x0, generator, noise)
            examples["target"] = 0.9 * examples["target"]
            return examples

    return Shrunk("noise")


def heavy():
    """Its weight, which is 1, counts double."""

    class Heavy(Regression):
        def draw(self, model, x0, generator, noise=None):
            examples = super().draw(model, x0, generator, noise)
            examples["root"] = torch.full_like(examples["target"], 2**0.5)
            return examples

    return Heavy("noise")


def deaf():
    """It evaluates one loss, and trains on another."""

    class Deaf(Regression):
        def evaluate(self, model, examples):
            return 2 * super().evaluate(model, examples)

        def mean(self, model, examples):
            return self.evaluate(model, examples).mean()

    return Deaf("noise", lambda at, data_std: 0.5)


class BadReverse(MLP):
    """The gradient of its last layer comes out doubled."""

    def pullback(self, x, level):
        output, pull = super().pullback(x, level)

        def twice(gradient):
            pull(gradient)
            self.last.weight.grad += self.last.weight.grad - 1

        return output, twice


def bad_reverse(*, shape):
    """A network with a wrong reverse pass."""
    return BadReverse(shape, width=8, depth=1, features=4)
