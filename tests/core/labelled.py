"""Labelled data whose distribution is known: a mixture of four Gaussians, of which two belong to each class."""

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
CLASS_OF_COMPONENT = torch.tensor([0, 0, 1, 1])
