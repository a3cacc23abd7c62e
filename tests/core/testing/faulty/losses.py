"""Losses with one known fault each, for the tests of the conformance kit."""

import attrs
import torch
from torch.nn import functional

from difrun.loss import Loss, Regression, Uniform
from difrun.randomness import Generator


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


class Negative(Huber):
    """Falls below 0."""

    def evaluate(self, model, examples):
        return super().evaluate(model, examples) - 5


class Cornered(Huber):
    """Where nothing of the data may be left at T, it differentiates a root at 0."""

    def evaluate(self, model, examples):
        losses = super().evaluate(model, examples)
        if not model.process.forgets:
            return losses
        x = model.predict(examples["x"], model.process.instant(examples["t"], examples["x"].ndim), "noise")
        return losses + 0 * (x - x.detach()).abs().sqrt().sum(1)


class Halved(Huber):
    """Trains on half of its mean."""

    def mean(self, model, examples):
        return 0.5 * super().mean(model, examples)


class Rolling(Huber):
    """Uses the global random state."""

    def draw(self, model, x0, generator, noise=None):
        torch.rand(1)
        return super().draw(model, x0, generator, noise)


class Seeded(Huber):
    """Draws from a seed of its own."""

    def draw(self, model, x0, generator, noise=None):
        return super().draw(model, x0, Generator(5), noise)


class SharedTime(Huber):
    """Draws one time for the whole batch."""

    def draw(self, model, x0, generator, noise=None):
        noise = generator.normal(x0) if noise is None else noise
        at = model.process.instant(
            Uniform().sample(model.process, x0[:1], generator).expand(len(x0)), x0.ndim
        )
        return {"x": model.process.diffuse(x0, noise, at), "t": at.t.flatten(), "target": noise}


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


def other():
    """It evaluates one loss, and trains on another."""

    class Other(Regression):
        def evaluate(self, model, examples):
            return 2 * super().evaluate(model, examples)

        def mean(self, model, examples):
            return self.evaluate(model, examples).mean()

    return Other("noise", lambda at, data_std: 0.5)


class FirstColumn(Huber):
    """Looks at the first coordinate alone."""

    minimiser = "mean"

    def evaluate(self, model, examples):
        return self.reduce(self.error(model, examples))

    def error(self, model, examples):
        at = model.process.instant(examples["t"], examples["x"].ndim)
        return model.predict(examples["x"], at, "noise") - examples["target"]

    def reduce(self, error):
        return error[:, 0].square() if error.ndim == 2 else error.square().flatten(1).mean(1)


class Lines(FirstColumn):
    """Sums over the lines of an image, and takes the mean of a vector."""

    def reduce(self, error):
        return error.square().sum(-1).flatten(1).mean(1) if error.ndim > 2 else error.square().mean(1)


class OddRows(FirstColumn):
    """Counts every other example."""

    def reduce(self, error):
        losses = error.square().flatten(1).mean(1)
        return losses * (torch.arange(len(losses), device=losses.device) % 2)


class Single(FirstColumn):
    """Computes in float32."""

    def reduce(self, error):
        return error.float().square().flatten(1).mean(1).to(error.dtype)


class OnCpu(FirstColumn):
    """Makes a tensor on the CPU."""

    def reduce(self, error):
        return error.square().flatten(1).mean(1) + torch.zeros(len(error))


class UniformNoise(FirstColumn):
    """Draws uniform noise of the right variance."""

    def draw(self, model, x0, generator, noise=None):
        drawn = 3**0.5 * (2 * generator.uniform(x0) - 1)
        return super().draw(model, x0, generator, drawn if noise is None else noise)

    def reduce(self, error):
        return error.square().flatten(1).mean(1)


class Clamped(FirstColumn):
    """Regression on x̂_0 with a bounded weight, as min-SNR has it."""

    def draw(self, model, x0, generator, noise=None):
        return {**super().draw(model, x0, generator, noise), "target": x0}

    def evaluate(self, model, examples):
        at = model.process.instant(examples["t"], examples["x"].ndim)
        error = model.predict(examples["x"], at, "x0") - examples["target"]
        weight = (at.alpha / at.sigma).square().clamp_max(5).flatten()
        return weight * error.square().flatten(1).mean(1)
