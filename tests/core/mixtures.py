"""Mixtures of Gaussians in the plane."""

import math

import torch

from difrun.data import GaussianMixture

MIXTURE = GaussianMixture(
    [0.3, 0.2, 0.3, 0.2],
    [[-1.0, 0.0], [-2.5, 2.0], [0.6, 0.4], [2.2, -1.8]],
    [
        [[0.4, 0.1], [0.1, 0.3]],
        [[0.2, 0.0], [0.0, 0.2]],
        [[0.4, -0.15], [-0.15, 0.3]],
        [[0.25, 0.0], [0.0, 0.25]],
    ],
)
"""Four broad components: the distribution of data with two classes."""

CLASS_OF_COMPONENT = torch.tensor([0, 0, 1, 1])
"""The class to which each component of `MIXTURE` belongs."""


def ring() -> GaussianMixture:
    """Eight modes on a circle."""
    angles = torch.arange(8) * math.pi / 4
    means = 1.4 * torch.stack([angles.cos(), angles.sin()], 1)
    return GaussianMixture(torch.full((8,), 1 / 8), means, torch.full((8,), 0.08**2))
