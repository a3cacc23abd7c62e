"""Parts of the convolutional networks: the embedding of noise level and class, residual blocks, and attention."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from difrun.model import ConditionEmbedding, LevelEmbedding

CONVOLUTIONS: dict[int, type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]] = {
    1: nn.Conv1d,
    2: nn.Conv2d,
    3: nn.Conv3d,
}
"""Number of axes -> the convolution over them."""


class Condition(nn.Module):
    """The noise level, and the class where there are classes, as one vector of shape (n, size).

    The level goes through sinusoids and two layers. The class, a row of a table of classes + 1, is added between them.
    Label −1 is no class, as in the label dropout of classifier-free guidance (Ho and Salimans, 2022, arXiv 2207.12598).
    No label at all means the same. A condition of numbers is embedded in its place, where the data have one.

    Args:
        size: The length of the vector.
        classes: The number of classes; 0 for a network without labels.
        features: The number of sinusoids.
        condition_shape: The shape of a condition; None for a network without one.
    """

    def __init__(
        self,
        size: int,
        classes: int,
        features: int = 32,
        condition_shape: tuple[int, ...] | None = None,
    ):
        super().__init__()
        self.embed = LevelEmbedding(features)
        self.first, self.second = nn.Linear(features, size), nn.Linear(size, size)
        self.classes = nn.Embedding(classes + 1, size) if classes else None
        self.given = None
        if condition_shape is not None:
            self.given = ConditionEmbedding(condition_shape, size, size)

    @override
    def forward(self, x: Tensor, level: Tensor, label: Tensor | None) -> Tensor:
        h = self.first(self.embed(level))
        if self.classes is not None:
            row = torch.zeros(len(x), dtype=torch.int64, device=x.device) if label is None else label + 1
            h = h + self.classes(row)
        if self.given is not None and label is not None:
            h = h + self.given(label)
        return functional.silu(self.second(functional.silu(h))).expand(len(x), -1)


class Block(nn.Module):
    """A residual block whose scale and shift depend on the condition.

    With s and b linear in the condition, it is

        h + conv(silu((1 + s) norm(conv(silu(norm(h)))) + b)).

    The last convolution starts at zero, so that a block starts as its shortcut.

    Args:
        inputs: The channels of the input.
        outputs: The channels of the output.
        condition: The length of the condition.
        dropout: The share of activations that are dropped.
        axes: The number of axes that are convolved: 1 for series, 2 for images, 3 for volumes.

    References:
        Wu and He (2018), arXiv 1803.08494 (group norm).
        Dhariwal and Nichol (2021), arXiv 2105.05233, sec. 3 (scale and shift).
    """

    def __init__(self, inputs: int, outputs: int, condition: int, dropout: float = 0.0, axes: int = 2):
        super().__init__()
        conv = CONVOLUTIONS[axes]
        self.norm = normalisation(inputs)
        self.first = conv(inputs, outputs, 3, padding=1)
        self.modulate = nn.Linear(condition, 2 * outputs)
        self.second_norm = normalisation(outputs)
        self.dropout = dropout
        self.second = conv(outputs, outputs, 3, padding=1)
        self.shortcut = conv(inputs, outputs, 1) if inputs != outputs else None
        for tensor in (self.second.weight, self.second.bias):
            assert tensor is not None
            nn.init.zeros_(tensor)

    @override
    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.first(functional.silu(self.norm(x)))
        scale, shift = (
            self.modulate(condition).reshape(len(condition), -1, *(1,) * (x.ndim - 2)).chunk(2, dim=1)
        )
        h = functional.silu(torch.addcmul(shift, self.second_norm(h), 1 + scale))
        if self.dropout:
            h = functional.dropout(h, self.dropout, self.training)
        return (x if self.shortcut is None else self.shortcut(x)) + self.second(h)


class Attention(nn.Module):
    """Self-attention over all places, added to its input (Vaswani et al., 2017, arXiv 1706.03762). Starts at zero."""

    def __init__(self, channels: int, head: int = 32, axes: int = 2):
        super().__init__()
        conv = CONVOLUTIONS[axes]
        self.heads = max(1, channels // head)
        while channels % self.heads:
            self.heads -= 1
        self.norm = normalisation(channels)
        # A bias of the keys would do nothing: it shifts all scores of a query alike.
        self.parts = conv(channels, 3 * channels, 1, bias=False)
        self.out = conv(channels, channels, 1)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @override
    def forward(self, x: Tensor) -> Tensor:
        places = math.prod(x.shape[2:])
        q, k, v = (
            self.parts(self.norm(x)).reshape(len(x), 3, self.heads, -1, places).transpose(3, 4).unbind(1)
        )
        # A single place attends to itself alone; the kernel that torch takes for it has no second derivative.
        mixed = v if places == 1 else functional.scaled_dot_product_attention(q, k, v)
        return x + self.out(mixed.transpose(2, 3).reshape(x.shape))


def normalisation(channels: int) -> nn.GroupNorm:
    """Group norm with at most 16 groups of at least 4 channels, as far as they divide the channels."""
    groups = max(1, min(16, channels // 4))
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)
