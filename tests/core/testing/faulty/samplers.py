"""Samplers with one known fault each, for the tests of the conformance kit."""

import torch

from difrun.sampler import Ancestral, Euler, Heun


class Fine(Euler):
    """Euler's method."""


class OverDeclared(Euler):
    """Euler's method, said to be of order 2."""

    order = 2
    inverts = False


class Hasty(Ancestral):
    """Ancestral sampling, of weak order 1, said to be of order 2."""

    order = 2


class Rough(Euler):
    """Deterministic, said to have no order."""

    order = None
    inverts = False


class Secretive(Euler):
    """One evaluation per step, which it could have declared; far from the end of the flow on one step."""

    order = evaluations = None
    inverts = False


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
    inverts = False


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


class Wide(Ancestral):
    """A quarter too much variance in every step; it declares no order."""

    order = None

    def noise(self, x, generator):
        return generator.normal(x)

    def step(self, model, x, at, to, state, generator):
        bridge = model.process.bridge(x, model.predict(x, at, "x0"), at, to)
        return bridge.mean + 1.114 * bridge.std * self.noise(x, generator), None


class WideOfOrder(Wide):
    """The same, of order 1 it says; its noise comes from uniform numbers."""

    order = 1

    def noise(self, x, generator):
        return torch.special.ndtri(generator.uniform(x).clamp(1e-12, 1 - 1e-12))


class OwnNormal(WideOfOrder):
    """The same of the right variance."""

    order = None

    def step(self, model, x, at, to, state, generator):
        bridge = model.process.bridge(x, model.predict(x, at, "x0"), at, to)
        return bridge.mean + bridge.std * self.noise(x, generator), None


class TwoDraws(Ancestral):
    """Draws twice, with variances that add up."""

    def step(self, model, x, at, to, state, generator):
        bridge = model.process.bridge(x, model.predict(x, at, "x0"), at, to)
        noise = 0.6 * generator.normal(x) + 0.8 * generator.normal(x)
        return bridge.mean + bridge.std * noise, None


class Single(Heun):
    """Takes its steps in float32."""

    def step(self, model, x, at, to, state, generator):
        return super().step(model, x.float().to(x.dtype), at, to, state, generator)


class SingleChange(Euler):
    """Rounds what a step changes to float32."""

    def step(self, model, x, at, to, state, generator):
        end, state = super().step(model, x, at, to, state, generator)
        return x + (end - x).float().to(x.dtype), state


class Spoiling(Euler):
    """Changes the mean of the model."""

    def step(self, model, x, at, to, state, generator):
        model.mean.mul_(1 + 1e-12)
        return super().step(model, x, at, to, state, generator)
