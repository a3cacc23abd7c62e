"""The embedding of a condition c, numbers of which some may be unknown, for networks that take one."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from difrun.model import backward
from difrun.model.backward import Pull


class ConditionEmbedding(nn.Module):
    """The vector V silu(U [c, known] + b) of a condition, with which entries are known beside their values.

    An unknown entry, NaN, counts as 0, so that a row of NaN alone gives one vector, that of no condition, as the label
    −1 does for classes. V starts at zero: at first the condition makes no difference.

    Args:
        shape: The shape of one condition, which is flattened.
        size: The length of the vector.
        width: The width of the hidden layer.
    """

    def __init__(self, shape: tuple[int, ...], size: int, width: int):
        super().__init__()
        self.first = nn.Linear(2 * math.prod(shape), width)
        self.last = nn.Linear(width, size, bias=False)
        nn.init.zeros_(self.last.weight)

    @override
    def forward(self, condition: Tensor) -> Tensor:
        return self.last(functional.silu(self.first(self._features(condition))))

    @torch.no_grad()
    def pullback(self, condition: Tensor) -> tuple[Tensor, Pull]:
        """Return the vectors and their reverse pass (`difrun.model.backward`)."""
        features = self._features(condition)
        start = self.first(features)
        hidden = functional.silu(start)

        @torch.no_grad()
        def pull(gradient: Tensor) -> None:
            backward.linear(self.last, hidden, gradient)
            backward.linear(self.first, features, backward.silu(gradient @ self.last.weight, start))

        return self.last(hidden), pull

    @staticmethod
    def _features(condition: Tensor) -> Tensor:
        flat = condition.flatten(1)
        known = ~flat.isnan()
        return torch.cat((torch.where(known, flat, 0.0), known.to(flat)), dim=1)
