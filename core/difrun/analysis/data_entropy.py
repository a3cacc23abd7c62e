r"""The entropy of a known distribution: the least −log p that any model can reach on average."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from difrun.data.mixture import GaussianMixture
from difrun.randomness.generator import torch_generator

_REACH = 8.0
"""Standard deviations by which the grid extends beyond the means; the probability beyond is 1e-14."""

_MESH = 0.6
"""Grid spacing over the smallest standard deviation; the trapezoidal rule has an error of e^(−2π²/_MESH²) then."""

_LARGEST = 2e9
"""Most distances between grid points and components that are computed before draws are taken instead."""

_DRAWS = 200_000


class Estimate(NamedTuple):
    """A number and its standard error, which is 0 where the number is exact to the digits that matter."""

    value: float
    error: float


def entropy(distribution: GaussianMixture) -> Estimate:
    r"""Return the differential entropy −∫ p log p of a Gaussian mixture, in nats.

    A single Gaussian has a closed form. In one and two dimensions the trapezoidal rule is used, on a grid that follows
    the components; its error is below 1e-6. In more dimensions, or if that grid is too large, the entropy is the mean
    of −log p over 200 000 stratified draws, with its standard error.

    Raises:
        DifrunError: If a component has no variance, so that there is no density.
    """
    if len(distribution.weights) == 1 and bool((distribution.eigenvalues > 0).all()):
        log_det = float(distribution.eigenvalues[0].log().sum())
        return Estimate(0.5 * (distribution.dim * math.log(2 * math.pi * math.e) + log_det), 0.0)
    distribution.log_prob(distribution.means[:1])  # raises DifrunError if there is no density
    grid = _grid(distribution) if distribution.dim <= 2 else None
    if grid is not None:
        points, cell = grid
        log_p = distribution.log_prob(points)
        return Estimate(-cell * float((log_p.exp() * log_p).sum()), 0.0)
    draws = distribution.sample(_DRAWS, torch_generator(0, "entropy"), stratified=True)
    surprise = -distribution.log_prob(draws)
    return Estimate(float(surprise.mean()), float(surprise.std()) / _DRAWS**0.5)


def _grid(distribution: GaussianMixture) -> tuple[Tensor, float] | None:
    """The points (m, d) of a square grid near any component, and the volume of its cell; None if there are too many."""
    stds = distribution.eigenvalues.sqrt()
    mesh = _MESH * float(stds.min())
    reach = math.ceil(_REACH * float(stds.max()) / mesh)
    side = 2 * reach + 1
    if len(distribution.weights) * side**distribution.dim > _LARGEST / 50:
        return None
    nearest = (distribution.means / mesh).round().long()
    axis = torch.arange(-reach, reach + 1)
    around = torch.cartesian_prod(*[axis] * distribution.dim).reshape(-1, distribution.dim)
    near: Tensor | None = None
    for part in nearest.unique(dim=0).split(max(1, 10_000_000 // len(around))):
        points = (part[:, None] + around).reshape(-1, distribution.dim).unique(dim=0)
        near = points if near is None else torch.cat([near, points]).unique(dim=0)
        if len(near) * len(distribution.weights) > _LARGEST:
            return None
    assert near is not None  # a mixture has at least one component
    return mesh * near.double(), mesh**distribution.dim
