"""Losses and grids with one known fault each, for the tests of the conformance kit."""

import itertools

import attrs
import torch
from torch.nn import functional

from difrun.grid import linear
from difrun.loss import Loss, Regression, Uniform


def fine():
    """Regression on the noise."""
    return Regression("noise")


@attrs.frozen
class _Part:
    start: float
    end: float

    def sample(self, process, x0, generator):
        share = self.start + (self.end - self.start) * generator.uniform(x0.new_empty(len(x0)))
        return process.t_min + (process.horizon - process.t_min) * share


def late():
    """Draws no time of the first half."""
    return Regression("noise", times=_Part(0.5, 1.0))


def early():
    """Draws no time of the second half."""
    return Regression("noise", times=_Part(0.0, 0.5))


def one_time():
    """Draws one time alone."""
    return Regression("noise", times=_Part(0.5, 0.5))


class _Deaf(Regression):
    def draw(self, model, x0, generator, noise=None):
        return super().draw(model, x0, generator)


def deaf():
    """Ignores the noise that it is given."""
    return _Deaf("noise")


class _Without(Regression):
    def draw(self, model, x0, generator):
        return super().draw(model, x0, generator)


def without():
    """Takes no noise."""
    return _Without("noise")


class _Doubled(Regression):
    def draw(self, model, x0, generator, noise=None):
        return super().draw(model, x0, generator, None if noise is None else 2 * noise)


def doubled():
    """Doubles the noise that it is given."""
    return _Doubled("noise")


class Huber(Loss):
    """Huber's loss of the noise, which is least for a robust mean."""

    minimiser = "other"

    def draw(self, model, x0, generator, noise=None):
        at = model.process.instant(Uniform().sample(model.process, x0, generator), x0.ndim)
        noise = generator.normal(x0) if noise is None else noise
        return {"x": model.process.diffuse(x0, noise, at), "t": at.t.flatten(), "target": noise}

    def evaluate(self, model, examples):
        at = model.process.instant(examples["t"], examples["x"].ndim)
        prediction = model.predict(examples["x"], at, "noise")
        error = functional.huber_loss(prediction, examples["target"], reduction="none", delta=0.3)
        return error.flatten(1).mean(1)


class Undeclared(Huber):
    """Huber's loss, said to be least for the mean."""

    minimiser = "mean"


def idle(*, scale=1.0):
    """Ignores its scale."""
    return Regression("noise")


def idle_grid(process, steps, *, scale=1.0):
    """Ignores its scale."""
    return linear(process, steps)


def random_grid(process, steps):
    """Draws from the global random state."""
    times = linear(process, steps)
    share = 0.5 * float(torch.rand(1))
    return [times[0], *(b + share * (a - b) for a, b in itertools.pairwise(times[:-1])), times[-1]]


def stuck(process, steps):
    """Divides by what is left of the data at T."""
    return [t + 0.0 / process.at(process.horizon).alpha for t in linear(process, steps)]
