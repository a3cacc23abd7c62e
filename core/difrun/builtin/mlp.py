"""The time-embedded multilayer perceptron, for data that are vectors."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class LevelEmbedding(nn.Module):
    r"""Sinusoidal features of the noise level c: [cos(ω_j c), sin(ω_j c)], ω_j geometric from ½ to 32.

    (n,) -> (n, features); as in Vaswani et al. (2017, arXiv 1706.03762, sec. 3.5), with frequencies for |c| ≲ 2.
    """

    frequencies: Tensor

    def __init__(self, features: int):
        super().__init__()
        ladder = torch.logspace(math.log10(0.5), math.log10(32), features // 2)
        self.register_buffer("frequencies", ladder, persistent=False)

    def forward(self, level: Tensor) -> Tensor:
        angles = level[:, None] * self.frequencies
        return torch.cat((angles.cos(), angles.sin()), dim=1)


class MLP(nn.Module):
    """F(x, c) of residual blocks, h ← h + W' silu(W h + E c), the noise level entering every block.

    shape: of one example; it is flattened. width: of the hidden layers. depth: number of residual blocks.
    features: sinusoidal features of the noise level. The last layer starts at zero, so that F = 0 before training.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 128, depth: int = 3, features: int = 32):
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

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        shifts = self.levels(self.embed(level)).chunk(len(self.inner) + 1, dim=1)
        h = functional.silu(self.first(x.flatten(1)) + shifts[0])
        for inner, outer, shift in zip(self.inner, self.outer, shifts[1:], strict=True):
            h = h + outer(functional.silu(inner(h) + shift))
        return self.last(h).reshape(x.shape)
