r"""A synthetic dataset with a condition, whose distribution is exact: a Gaussian mixture of (x, c)."""

import math

import torch

from difrun.data.condition import Condition
from difrun.data.conditional_mixture import ConditionalMixture
from difrun.data.dataset import Dataset
from difrun.data.mixture import GaussianMixture
from difrun.data.toy import LARGEST_HELD_OUT
from difrun.randomness.generator import torch_generator

RADIUS, STD = 2.0, 0.3
"""The radius of the circle of means, and the standard deviation of x in each component."""

SPREAD, STD_OF_C, COVARIANCE = 0.8, 0.6, 0.15
"""Half the range of the means of c, its standard deviation in each component, and its covariance with x."""


def gmm_given(*, seed: int, n: int = 10000, modes: int = 4) -> Dataset:
    r"""Gaussians of (x, c): two coordinates x and a condition c of one number.

    Component k of K has weight 1/K, and with u_k = (cos φ_k, sin φ_k), φ_k = 2πk/K,

        E[x] = 2 u_k,  E[c] = 0.8 cos φ_k,  V[x] = 0.09,  V[c] = 0.36,  Cov[x, c] = 0.15 u_k.

    Given c, x is a mixture whose weights, means and shapes change with c (`Dataset.conditional`).
    """
    angles = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    away = torch.stack([angles.cos(), angles.sin()], dim=1)
    means = torch.cat((RADIUS * away, SPREAD * angles.cos()[:, None]), dim=1)
    covs = torch.diag(torch.tensor([STD**2, STD**2, STD_OF_C**2], dtype=torch.float64)).repeat(modes, 1, 1)
    covs[:, :2, 2] = covs[:, 2, :2] = COVARIANCE * away
    joint = GaussianMixture(torch.full((modes,), 1 / modes, dtype=torch.float64), means, covs)
    conditional = ConditionalMixture(joint, 2)
    marginal = conditional.marginal()
    train = joint.sample(n, torch_generator(seed, "dataset", "gmm-given", "train"), stratified=True)
    generator = torch_generator(seed, "dataset", "gmm-given", "held out")
    held_out = joint.sample(min(n, LARGEST_HELD_OUT), generator)
    return Dataset(
        name="gmm-given",
        train=train[:, :2],
        held_out=held_out[:, :2],
        fresh=lambda n, generator: marginal.sample(n, generator).float(),
        distribution=marginal,
        condition=Condition(train[:, 2:], held_out[:, 2:], ("c",)),
        conditional=conditional,
        columns=("x", "y"),
    )
