"""Mixtures of Gaussians in the plane."""

import math

import torch

from difrun.data import GaussianMixture
from difrun.testing import two_classes

MIXTURE, CLASS_OF_COMPONENT = two_classes()
"""Four broad components, the distribution of data with two classes; and the class to which each belongs."""


def ring() -> GaussianMixture:
    """Eight modes on a circle."""
    angles = torch.arange(8) * math.pi / 4
    means = 1.4 * torch.stack([angles.cos(), angles.sin()], 1)
    return GaussianMixture(torch.full((8,), 1 / 8), means, torch.full((8,), 0.08**2))
