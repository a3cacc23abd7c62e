"""Networks and exact models with one known fault each, for the tests of the conformance kit."""

import numpy
import torch
from torch import nn

from difrun.model import MLP, ExactMixture


class Fine(MLP):
    """A small network."""

    def __init__(self, shape):
        super().__init__(shape, width=8, depth=1, features=4)


class Plain(nn.Module):
    """Two layers and the noise level, without a reverse pass of its own."""

    def __init__(self, shape):
        super().__init__()
        size = torch.Size(shape).numel()
        self.first, self.last = nn.Linear(size + 1, 8), nn.Linear(8, size)

    def hidden(self, x, level):
        level = level.reshape(-1, 1).expand(len(x), 1)
        return torch.tanh(self.first(torch.cat((x.flatten(1), level), 1)))

    def forward(self, x, level):
        return self.last(self.hidden(x, level)).reshape(x.shape)


class Frozen(Plain):
    """Its first layer is frozen on purpose."""

    def __init__(self, shape):
        super().__init__(shape)
        self.first.requires_grad_(False)


class Stray(Plain):
    """Holds a tensor that is neither parameter nor buffer."""

    def __init__(self, shape):
        super().__init__(shape)
        self.offset = torch.linspace(0, 1, 8)

    def hidden(self, x, level):
        return super().hidden(x, level) + self.offset.to(x.dtype)


class MadeOnCpu(Plain):
    """Makes a tensor on the CPU in its forward pass."""

    def hidden(self, x, level):
        return super().hidden(x, level) * torch.full((1, 8), 2.0, dtype=x.dtype)


class Normalised(Plain):
    """Has batch statistics."""

    def __init__(self, shape):
        super().__init__(shape)
        self.norm = nn.BatchNorm1d(8)

    def hidden(self, x, level):
        return self.norm(super().hidden(x, level))


class Centred(Plain):
    """Subtracts the mean of the batch while it is trained."""

    def hidden(self, x, level):
        hidden = super().hidden(x, level)
        return hidden - hidden.mean(0) if self.training else hidden


class CastLevel(Plain):
    """Computes its features of the noise level in float32."""

    def hidden(self, x, level):
        return super().hidden(x, level.float().to(x.dtype))


class CastHidden(Plain):
    """Casts to float32 on the way."""

    def hidden(self, x, level):
        return super().hidden(x, level).float().to(x.dtype)


class Idle(Plain):
    """Ignores its scale."""

    def __init__(self, shape, *, scale=1.0):
        super().__init__(shape)


class Wide(Plain):
    """Uses its scale."""

    def __init__(self, shape, *, scale=1.0):
        super().__init__(shape)
        self.scale = scale

    def forward(self, x, level):
        return self.scale * super().forward(x, level)


class Overflowing(Plain):
    """Overflows at high noise levels."""

    def hidden(self, x, level):
        return super().hidden(x, level) + 0 * torch.exp(level.reshape(-1, 1) ** 4)


class Levelless(Plain):
    """Ignores its noise level."""

    def hidden(self, x, level):
        return super().hidden(x, 0 * level)


class Pooling(Plain):
    """Subtracts a part of the mean of the batch when it is evaluated."""

    def hidden(self, x, level):
        hidden = super().hidden(x, level)
        return hidden if self.training else hidden - 1e-3 * hidden.mean(0)


class Spare(Plain):
    """Has a parameter that it does not use."""

    def __init__(self, shape):
        super().__init__(shape)
        self.spare = nn.Parameter(torch.ones(3))


class Unsaved(Plain):
    """Its random features are not saved."""

    def __init__(self, shape):
        super().__init__(shape)
        self.register_buffer("features", torch.randn(8), persistent=False)

    def hidden(self, x, level):
        return super().hidden(x, level) * self.features


class Rolling(Plain):
    """Uses the global random state."""

    def hidden(self, x, level):
        torch.rand(1)
        return super().hidden(x, level)


class Heedless(Plain):
    """Ignores its condition."""

    def __init__(self, shape, condition_shape):
        super().__init__(shape)

    def forward(self, x, level, condition=None):
        return super().forward(x, level)


class Labelless(Plain):
    """Ignores its classes."""

    def __init__(self, shape, classes):
        super().__init__(shape)

    def forward(self, x, level, labels=None):
        return super().forward(x, level)


class Unclassed(Labelless):
    """Asks for classes, and does not say so."""


class Rounding(Plain):
    """Takes the noise level for a whole number."""

    def hidden(self, x, level):
        return super().hidden(x, level.round())


class FirstLevel(Plain):
    """Takes the first noise level for all."""

    def hidden(self, x, level):
        return super().hidden(x, level[:1])


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


def fine_exact(*, process, dataset):
    """The exact model."""
    return ExactMixture(dataset.distribution, process)


class _Mixing(ExactMixture):
    def predict(self, x, at, kind):
        x0 = super().predict(x, at, "x0")
        return self.process.convert(x0 + 1e-7 * (x0.mean(0) - x0), x, at, "x0", kind)


def mixing(*, process, dataset):
    """Mixes the rows of a batch."""
    return _Mixing(dataset.distribution, process)


class _OnCpu(ExactMixture):
    def predict(self, x, at, kind):
        return super().predict(x, at, kind) + torch.zeros(2, dtype=x.dtype)


def on_cpu(*, process, dataset):
    """Adds a tensor on the CPU."""
    return _OnCpu(dataset.distribution, process)


class _TwoFaced(ExactMixture):
    def predict(self, x, at, kind):
        return super().predict(x, at, kind) * (1.01 if kind == "velocity" else 1.0)


def two_faced(*, process, dataset):
    """Its velocity is not that of its other predictions."""
    return _TwoFaced(dataset.distribution, process)


class _Coarse(ExactMixture):
    def predict(self, x, at, kind):
        return super().predict(x, at, kind) * (1.01 if x.dtype == torch.float32 else 1.0)


def coarse(*, process, dataset):
    """Is less exact in float32."""
    return _Coarse(dataset.distribution, process)


class Permuted(Plain):
    """Takes the order of numbers in memory for granted."""

    def hidden(self, x, level):
        return super().hidden(x.view(len(x), -1), level)


class Unseeded(Plain):
    """Its features are drawn by NumPy."""

    def __init__(self, shape):
        super().__init__(shape)
        self.register_buffer("features", torch.from_numpy(numpy.random.randn(8)).float())  # noqa: NPY002 (the fault)

    def hidden(self, x, level):
        return super().hidden(x, level) * self.features


def shifted_exact(*, process, dataset):
    """Its x̂_0 is off by a twentieth."""
    return _Shifted(dataset.distribution, process)


class _Shifted(ExactMixture):
    def predict(self, x, at, kind):
        return self.process.convert(super().predict(x, at, "x0") + 0.05, x, at, "x0", kind)


def wide_prior(*, process, dataset):
    """The variance to which its prior is matched is too large."""
    model = ExactMixture(dataset.distribution, process)
    model.var = 1.5 * model.var
    return model
