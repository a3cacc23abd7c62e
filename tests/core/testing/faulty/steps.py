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


class BothWays(Fine):
    """The same, and in increasing time."""

    inverts = True


class Lopsided(BothWays):
    """Falls to order 1 in increasing time."""

    def slope(self, x0, h, state):
        return x0 if h < 0 else super().slope(x0, h, state)


class Stuck(Euler):
    """Stays where it is in increasing time."""

    def step(self, model, x, at, to, state, generator):
        end, state = super().step(model, x, at, to, state, generator)
        return (x if to.t > at.t else end), state


class Downward(BothWays):
    """Takes the root of the length of its step."""

    def slope(self, x0, h, state):
        return super().slope(x0, math.sqrt(h) ** 2, state)


class NoisyInverse(Ancestral):
    """Draws noise, and says that it inverts the flow."""

    inverts = True


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


class Student(Uniform):
    """Draws from Student's distribution of 8 degrees of freedom, at variance 1."""

    def noise(self, x, generator):
        squares = sum(generator.normal(x).square() for _ in range(8)) / 8
        return (6 / 8) ** 0.5 * generator.normal(x) / squares.sqrt()


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


class Mirrored(Ancestral):
    """Mirrors one of two coordinates about its mean in the end, which the covariance alone shows."""

    order = None

    def step(self, model, x, at, to, state, generator):
        x, state = super().step(model, x, at, to, state, generator)
        last = to.t < 1.001 * model.process.t_min and x.shape[1:] == (2,)
        if last:
            x = torch.stack((x[:, 0], 2 * model.mean.to(x)[1] - x[:, 1]), 1)
        return x, state


class Tired(Euler):
    """Counts its runs."""

    runs = 0

    def prepare(self, model, instants):
        self.runs += 1
        return super().prepare(model, instants), self.runs

    def step(self, model, x, at, to, state, generator):
        inner, runs = state
        x, inner = super().step(model, x, at, to, inner, generator)
        return x * (1 + 1e-14 * runs), (inner, runs)


class Mixing(Euler):
    """Moves samples towards their mean."""

    def step(self, model, x, at, to, state, generator):
        x, state = super().step(model, x, at, to, state, generator)
        return x + 1e-7 * (x.mean(0) - x), state


class Underflow(Euler):
    """Divides by a number that float32 does not have."""

    def step(self, model, x, at, to, state, generator):
        x, state = super().step(model, x, at, to, state, generator)
        return x + 0 * x / x.new_tensor(1e-50), state


class Graphic(Euler):
    """Records a graph."""

    def step(self, model, x, at, to, state, generator):
        with torch.enable_grad():
            return super().step(model, x, at, to, state, generator)


class Channels(Euler):
    """Takes the first axis for that of the coordinates."""

    def step(self, model, x, at, to, state, generator):
        x, state = super().step(model, x, at, to, state, generator)
        return x + 1e-7 * x.mean(1, keepdim=True), state


class OneNoise(Ancestral):
    """Draws one noise for all rows."""

    def step(self, model, x, at, to, state, generator):
        bridge = model.process.bridge(x, model.predict(x, at, "x0"), at, to)
        return bridge.mean + bridge.std * generator.normal(x)[:1], None
