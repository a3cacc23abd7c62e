r"""The entropy of a known distribution: the least −log p that any model can reach on average."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from difrun.data.mixture import GaussianMixture
from difrun.randomness.generator import torch_generator

_REACH = 8.0
"""Standard deviations that the grid extends beyond the means: the rest has a probability of 1e-14."""

_MESH = 0.6
"""Grid spacing in smallest standard deviations: the trapezoidal rule is right to e^(−2π²/_MESH²) for a Gaussian."""

_LARGEST = 2e9
"""Most distances between grid points and components that are computed."""

_DRAWS = 200_000


class Estimate(NamedTuple):
    """A number and its standard error, 0 where it is exact to the digits that anybody reads."""

    value: float
    error: float


def entropy(distribution: GaussianMixture) -> Estimate:
    r"""Differential entropy −∫ p log p of a Gaussian mixture, in nats.

    A single Gaussian in closed form; in one and two dimensions the trapezoidal rule on a grid that follows the
    components, right to 1e-6; else, or where that grid would be too large, the mean of −log p over 200 000 stratified
    draws, with its standard error. Raises DifrunError where a component has no variance: there is no density.
    """
    if len(distribution.weights) == 1 and bool((distribution.eigenvalues > 0).all()):
        log_det = float(distribution.eigenvalues[0].log().sum())
        return Estimate(0.5 * (distribution.dim * math.log(2 * math.pi * math.e) + log_det), 0.0)
    distribution.log_prob(distribution.means[:1])  # refuses a distribution without a density, in words
    grid = _grid(distribution) if distribution.dim <= 2 else None
    if grid is not None:
        points, cell = grid
        log_p = distribution.log_prob(points)
        return Estimate(-cell * float((log_p.exp() * log_p).sum()), 0.0)
    draws = distribution.sample(_DRAWS, torch_generator(0, "entropy"), stratified=True)
    surprise = -distribution.log_prob(draws)
    return Estimate(float(surprise.mean()), float(surprise.std()) / _DRAWS**0.5)


def _grid(distribution: GaussianMixture) -> tuple[Tensor, float] | None:
    """The points (m, d) of a square grid that lie near some component, and its cell; None where they are too many."""
    stds = distribution.eigenvalues.sqrt()
    mesh = _MESH * float(stds.min())
    reach = math.ceil(_REACH * float(stds.max()) / mesh)
    side = 2 * reach + 1
    if len(distribution.weights) * side**distribution.dim > _LARGEST / 50:
        return None
    place = (distribution.means / mesh).round().long()
    axis = torch.arange(-reach, reach + 1)
    around = torch.cartesian_prod(*[axis] * distribution.dim).reshape(-1, distribution.dim)
    near: Tensor | None = None
    for part in place.unique(dim=0).split(max(1, 10_000_000 // len(around))):
        points = (part[:, None] + around).reshape(-1, distribution.dim).unique(dim=0)
        near = points if near is None else torch.cat([near, points]).unique(dim=0)
        if len(near) * len(distribution.weights) > _LARGEST:
            return None
    assert near is not None  # a mixture has at least one component
    return mesh * near.double(), mesh**distribution.dim
