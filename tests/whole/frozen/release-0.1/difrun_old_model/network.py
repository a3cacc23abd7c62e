"""The network."""

import math

import torch
from torch import Tensor, nn


class OldModel(nn.Module):
    """Two hidden layers, with the noise level as one more input.

    Scaling, what the output means and its conversion to x̂_0 are done by difrun around the network.

    Args:
        shape: The shape of one example.
        width: The width of the hidden layers.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 64):
        super().__init__()
        size = math.prod(shape)
        self.layers = nn.Sequential(
            nn.Linear(size + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, size)
        )

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Return F(x, c).

        Args:
            x: The noised examples, scaled to variance 1, (n, *shape).
            level: The noise level c = ¼ ln(σ/α), (n,) or (1,).

        Returns:
            A tensor of the shape of `x`.
        """
        level = level.reshape(-1, 1).expand(len(x), 1)
        return self.layers(torch.cat((x.flatten(1), level), dim=1)).reshape(x.shape)
