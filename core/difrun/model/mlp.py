"""The time-embedded multilayer perceptron, for data that are vectors."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from difrun.model import backward
from difrun.model.backward import Pull
from difrun.model.condition_embedding import ConditionEmbedding


class LevelEmbedding(nn.Module):
    r"""Sinusoidal features of the noise level c: [cos(ω_j c), sin(ω_j c)], ω_j geometric from ½ to 32.

    The frequencies suit |c| ≲ 2. Levels (n,) become features (n, features).

    References:
        Vaswani et al. (2017), arXiv 1706.03762, sec. 3.5.
    """

    frequencies: Tensor

    def __init__(self, features: int):
        super().__init__()
        ladder = torch.logspace(math.log10(0.5), math.log10(32), features // 2)
        self.register_buffer("frequencies", ladder, persistent=False)

    @override
    def forward(self, level: Tensor) -> Tensor:
        angles = level[:, None] * self.frequencies
        return torch.cat((angles.cos(), angles.sin()), dim=1)


class MLP(nn.Module):
    """A network F(x, c) of residual blocks, h ← h + W' silu(W h + E c), with the noise level c in every block.

    The last layer starts at zero, so that F = 0 before training.

    Args:
        shape: Shape of one example, which is flattened.
        classes: With K > 0 classes the network is F(x, c, y). A vector for each label y = −1 (none), 0, ..., K − 1 is
            added to E c; these vectors start at zero, so that at first the label makes no difference.
        condition_shape: With a condition of this shape the network is F(x, c, y) too, with the condition as y, NaN
            where it is not known. Its embedding (`ConditionEmbedding`) is added to E c.
        width: Width of the hidden layers.
        depth: Number of residual blocks.
        features: Number of sinusoidal features of the noise level.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: int = 0,
        condition_shape: tuple[int, ...] | None = None,
        width: int = 128,
        depth: int = 3,
        features: int = 32,
    ):
        super().__init__()
        size = math.prod(shape)
        self.embed = LevelEmbedding(features)
        self.levels = nn.Linear(features, width * (depth + 1))
        self.first = nn.Linear(size, width, bias=False)
        self.inner = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))
        self.outer = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.last = nn.Linear(width, size)
        for layer in (self.last, *self.outer):
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.last.weight)
        self.labels = nn.Embedding(classes + 1, width * (depth + 1)) if classes else None
        if self.labels is not None:
            nn.init.zeros_(self.labels.weight)
        # Of the data and not an option: without a condition the network is what it was before there were any.
        self.condition = None
        if condition_shape is not None:
            self.condition = ConditionEmbedding(condition_shape, width * (depth + 1), width)

    @override
    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        shifts = self._shifts(self.embed(level), self._embedded(label))
        h = functional.silu(self.first(x.flatten(1)) + shifts[0])
        for inner, outer, shift in zip(self.inner, self.outer, shifts[1:], strict=True):
            h = h + outer(functional.silu(inner(h) + shift))
        return self.last(h).reshape(x.shape)

    def _embedded(self, label: Tensor | None) -> Tensor | None:
        """The vectors of the labels or conditions; None if there are none."""
        if label is None:
            return None
        if self.condition is not None:
            return self.condition(label)
        return None if self.labels is None else self.labels(label + 1)

    def _shifts(self, features: Tensor, embedded: Tensor | None) -> tuple[Tensor, ...]:
        """What the noise level and the label or condition add in every block."""
        shifts = self.levels(features)
        if embedded is not None:
            shifts = shifts + embedded
        return shifts.chunk(len(self.inner) + 1, dim=1)

    @torch.no_grad()
    def pullback(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> tuple[Tensor, Pull]:
        """Return F(x, c) and its reverse pass (`difrun.model.backward`)."""
        rows = x.flatten(1)
        features = self.embed(level)
        pull_condition, embedded = None, None
        if self.condition is not None and label is not None:
            embedded, pull_condition = self.condition.pullback(label)
        else:
            embedded = self._embedded(label)
        shifts = self._shifts(features, embedded)
        start = self.first(rows) + shifts[0]
        h = functional.silu(start)
        blocks = []  # for each block, what the reverse pass needs
        for inner, outer, shift in zip(self.inner, self.outer, shifts[1:], strict=True):
            z = inner(h) + shift
            a = functional.silu(z)
            blocks.append((inner, outer, h, z, a))
            h = h + outer(a)

        @torch.no_grad()
        def pull(gradient: Tensor) -> None:
            g = gradient.flatten(1)
            backward.linear(self.last, h, g)
            g = g @ self.last.weight
            inside = []
            for inner, outer, before, z, a in reversed(blocks):
                backward.linear(outer, a, g)
                at_z = backward.silu(g @ outer.weight, z)
                backward.linear(inner, before, at_z)
                inside.append(at_z)
                g = g + at_z @ inner.weight
            at_start = backward.silu(g, start)
            backward.linear(self.first, rows, at_start)
            at_shifts = torch.cat([at_start, *reversed(inside)], dim=1)
            backward.linear(self.levels, features, at_shifts)
            if pull_condition is not None:
                pull_condition(at_shifts)
            elif self.labels is not None and label is not None:
                backward.embedding(self.labels, label + 1, at_shifts)

        return self.last(h).reshape(x.shape), pull
