"""Networks and exact models with one known fault each, for the tests of the conformance kit."""

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


def fine_exact(*, process, dataset):
    """The exact model."""
    return ExactMixture(dataset.distribution, process)


class _Mixing(ExactMixture):
    def predict(self, x, at, kind):
        x0 = super().predict(x, at, "x0")
        return self.process.convert(x0 + 0.01 * (x0.mean(0) - x0), x, at, "x0", kind)


def mixing(*, process, dataset):
    """Mixes the rows of a batch."""
    return _Mixing(dataset.distribution, process)


class _OnCpu(ExactMixture):
    def predict(self, x, at, kind):
        return super().predict(x, at, kind) + torch.zeros(2, dtype=x.dtype)


def on_cpu(*, process, dataset):
    """Adds a tensor on the CPU."""
    return _OnCpu(dataset.distribution, process)
