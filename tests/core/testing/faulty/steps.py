"""Samplers whose faults single steps, uneven grids or the end of time show, for the tests of the kit."""

import math

import torch

from difrun.sampler import Ancestral, Euler, Sampler


class Fine(Sampler):
    """DPM-Solver++(2M): x̂_0 is extrapolated in λ through the last two evaluations."""

    order = 2

    def slope(self, x0, h, state):
        if state is None:
            return x0
        last_x0, last_h = state
        return x0 + h / (2 * last_h) * (x0 - last_x0)

    def step(self, model, x, at, to, state, generator):
        x0 = model.predict(x, at, "x0")
        h = to.lam - at.lam
        x = to.sigma / at.sigma * x - to.alpha * math.expm1(-h) * self.slope(x0, h, state)
        return x, (x0, h)


class Equal(Fine):
    """Takes the last two steps for equal."""

    def slope(self, x0, h, state):
        return x0 if state is None or math.isinf(state[1]) else 1.5 * x0 - 0.5 * state[0]


class Appending(Fine):
    """Keeps its history in a list that it appends to."""

    def prepare(self, model, instants):
        return []

    def step(self, model, x, at, to, state, generator):
        x, last = super().step(model, x, at, to, state[-1] if state else None, generator)
        state.append(last)
        return x, state


class Overwriting(Fine):
    """Overwrites its state."""

    def prepare(self, model, instants):
        return {}

    def step(self, model, x, at, to, state, generator):
        x, state["last"] = super().step(model, x, at, to, state.get("last"), generator)
        return x, state


class Remembering(Fine):
    """Keeps its history in itself, and empties it where a run begins."""

    def prepare(self, model, instants):
        self.last = None

    def step(self, model, x, at, to, state, generator):
        x, self.last = super().step(model, x, at, to, self.last, generator)
        return x, None


class Uniform(Ancestral):
    """Draws uniform noise of the right variance."""

    def noise(self, x, generator):
        return 3**0.5 * (2 * generator.uniform(x) - 1)

    def step(self, model, x, at, to, state, generator):
        bridge = model.process.bridge(x, model.predict(x, at, "x0"), at, to)
        return bridge.mean + bridge.std * self.noise(x, generator), None


class TwoValued(Uniform):
    """Draws ±1."""

    def noise(self, x, generator):
        return generator.normal(x).sign()


class Laplace(Uniform):
    """Draws from Laplace's distribution."""

    def noise(self, x, generator):
        u = generator.uniform(x) - 0.5
        return -u.sign() * (1 - 2 * u.abs()).clamp_min(1e-12).log() / 2**0.5


class Divides(Euler):
    """Divides by α where it starts."""

    def step(self, model, x, at, to, state, generator):
        return super().step(model, x * (at.alpha / at.alpha), at, to, state, generator)


class Zeroed(Euler):
    """Starts from 0 where nothing of the data is left."""

    def step(self, model, x, at, to, state, generator):
        return super().step(model, x if at.alpha > 0 else 0 * x, at, to, state, generator)


class OftenRight(Euler):
    """Right at its default scale alone."""

    def __init__(self, *, scale=1.0):
        self.scale = scale

    def step(self, model, x, at, to, state, generator):
        end, state = super().step(model, x, at, to, state, generator)
        return end + (self.scale - 1) * (end - x), state


class Idle(Euler):
    """Ignores its scale."""

    def __init__(self, *, scale=1.0):
        pass


class Broken(Euler):
    """Fails in every step."""

    def step(self, model, x, at, to, state, generator):
        return x + at.no_such_field, None


def no_sampler():
    """Makes something else."""
    return torch.zeros(1)
