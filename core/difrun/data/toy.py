r"""Synthetic data in one and two dimensions, most of it with an exact distribution.

A curve with noise, x = c(v) + s ε with v of density ρ on [0, 1], is not a Gaussian mixture, but a rule of quadrature
makes it one: weights w_j ρ(v_j) and means c(v_j) at nodes v_j. With Gauss and Legendre's rule on short pieces of the
curve, and nodes half a noise width apart, the log-density of that mixture, `distribution`, is right to 10⁻⁷ nats on
average. Draws (`train`, `fresh`) come from the distribution itself.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun.data.dataset import Dataset
from difrun.data.mixture import GaussianMixture, choose
from difrun.randomness.generator import torch_generator

Draw = Callable[[int, torch.Generator, bool], tuple[Tensor, Tensor]]
"""(n, generator, stratified) -> n draws of a distribution and the part of it that each is of; stratified: each part
in exact proportion."""

LARGEST_HELD_OUT = 10000

_NODES = 8
"""Nodes of the quadrature rule on each piece of a curve."""


def rings(*, seed: int, n: int = 10000, noise: float = 0.02) -> Dataset:
    r"""Two half-circles with noise s: x = c + r (cos φ, ± sin φ) + s ε, half of the points on each.

    The upper has r = 1.4, c = (0.6, 0.2) and φ uniform in [0, π]; the lower r = 0.5, c = (−0.5, −1), mirrored
    down.
    """
    upper = arc(1.4, (0.6, 0.2), upwards=True)
    lower = arc(0.5, (-0.5, -1.0), upwards=False)
    return _of_curves("rings", (upper, lower), seed, n, noise, ("upper", "lower"))


def moons(*, seed: int, n: int = 10000, noise: float = 0.05) -> Dataset:
    r"""Two interleaved half-circles of radius 1 with noise s, half of the points on each.

    The upper is centred on (0, 0), the lower, open upwards, on (1, ½).
    """
    upper = arc(1.0, (0.0, 0.0), upwards=True)
    lower = arc(1.0, (1.0, 0.5), upwards=False)
    return _of_curves("moons", (upper, lower), seed, n, noise, ("upper", "lower"))


def spiral(*, seed: int, n: int = 10000, turns: float = 2.0, noise: float = 0.05) -> Dataset:
    r"""One spiral arm with noise s: x = 2v (cos φ, sin φ) + s ε, φ = 2π · turns · v, v = √u, u ~ U[0, 1]."""
    return _of_curves("spiral", (spiral_arm(turns),), seed, n, noise)


def blobs(*, seed: int, n: int = 10000, distance: float = 2.0, variance: float = 0.1) -> Dataset:
    """Two isotropic Gaussians of equal weight at (a, a) and (−a, −a), a = `distance`; each is a class."""
    means = [[distance, distance], [-distance, -distance]]
    distribution = GaussianMixture([0.5, 0.5], means, [variance, variance])
    return _of_mixture("blobs", distribution, seed, n, ("upper", "lower"))


def gmm(*, seed: int, n: int = 10000, modes: int = 8, radius: float = 2.0, std: float = 0.2) -> Dataset:
    """Isotropic Gaussians of equal weight, evenly spaced on a circle, the first at angle 0; class k is the k-th."""
    angles = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    means = radius * torch.stack([angles.cos(), angles.sin()], dim=1)
    weights = torch.full((modes,), 1 / modes, dtype=torch.float64)
    distribution = GaussianMixture(weights, means, torch.full_like(weights, std**2))
    return _of_mixture("gmm", distribution, seed, n, tuple(map(str, range(modes))))


def bimodal_1d(
    *, seed: int, n: int = 10000, distance: float = 1.0, std: float = 0.25, weight: float = 0.5
) -> Dataset:
    """Two Gaussians on the line: at −a with probability `weight`, and at a; a = `distance`. Shape (1,).

    Classes: left and right.
    """
    distribution = GaussianMixture([weight, 1 - weight], [[-distance], [distance]], [std**2, std**2])
    return _of_mixture("bimodal-1d", distribution, seed, n, ("left", "right"))


def checkerboard(*, seed: int, n: int = 10000, squares: int = 4) -> Dataset:
    """Uniform on every second square of a board over [−2, 2]², `squares` a side, the lower left one taken."""
    taken = torch.tensor([(i, j) for i in range(squares) for j in range(squares) if (i + j) % 2 == 0])
    shares = torch.full((len(taken),), 1 / len(taken), dtype=torch.float64)

    def draw(n: int, generator: torch.Generator, stratified: bool) -> tuple[Tensor, Tensor]:
        which = choose(n, shares, generator, stratified=stratified)
        within = torch.rand((n, 2), generator=generator, dtype=torch.float64)
        return -2 + 4 / squares * (taken[which] + within), which

    area = 16 / squares**2 * len(taken)
    middles = -2 + 4 / squares * (taken + 0.5)

    def log_density(x: Tensor) -> Tensor:
        # A point at the edge of a square may have been rounded out of it.
        inside = (x[:, None] - middles.to(x)).abs().amax(2).amin(1) <= 2 / squares + 1e-6
        return torch.where(inside, x.new_tensor(-math.log(area)), -math.inf)

    data = _of_draws("checkerboard", draw, seed, n)
    return attrs.evolve(data, log_density=log_density, entropy=math.log(area))


@attrs.frozen(eq=False)
class Curve:
    """A curve in the plane and how points are spread on it.

    at: v (n,) in [0, 1] -> points (n, 2). speed: the largest |c'(v)|.
    quantile: u uniform in [0, 1] -> v; density: the density ρ of that v.
    """

    at: Callable[[Tensor], Tensor]
    speed: float
    quantile: Callable[[Tensor], Tensor] = lambda u: u
    density: Callable[[Tensor], Tensor] = torch.ones_like


def arc(radius: float, centre: tuple[float, float], *, upwards: bool) -> Curve:
    """A half-circle, uniform in angle."""
    sign = 1 if upwards else -1

    def at(v: Tensor) -> Tensor:
        angle = math.pi * v
        around = radius * torch.stack([angle.cos(), sign * angle.sin()], dim=1)
        return torch.tensor(centre, dtype=v.dtype) + around

    return Curve(at, speed=math.pi * radius)


def spiral_arm(turns: float) -> Curve:
    """c(v) = 2v (cos φ, sin φ), φ = 2π · turns · v, from the origin to radius 2; v² is uniform."""
    sweep = 2 * math.pi * turns

    def at(v: Tensor) -> Tensor:
        return 2 * v[:, None] * torch.stack([(sweep * v).cos(), (sweep * v).sin()], dim=1)

    # |c'(v)| = 2 √(1 + (2π · turns · v)²) is largest at v = 1.
    return Curve(at, speed=2 * math.sqrt(1 + sweep**2), quantile=torch.sqrt, density=lambda v: 2 * v)


def curve_mixture(curves: Sequence[Curve], noise: float, spacing: float = 0.5) -> GaussianMixture:
    """The mixture for curves of equal weight with noise: means on average at most `spacing` noise widths apart."""
    nodes, shares = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(_NODES))
    means, weights = [], []
    for curve in curves:
        pieces = max(4, math.ceil(curve.speed / (spacing * noise * _NODES)))
        v = ((torch.arange(pieces, dtype=torch.float64)[:, None] + 0.5 * (1 + nodes)) / pieces).flatten()
        weight = shares.repeat(pieces) * curve.density(v)
        means.append(curve.at(v))
        weights.append(weight / weight.sum() / len(curves))
    every = torch.cat(weights)
    return GaussianMixture(every, torch.cat(means), torch.full_like(every, noise**2))


def _of_curves(
    name: str, curves: Sequence[Curve], seed: int, n: int, noise: float, classes: tuple[str, ...] = ()
) -> Dataset:
    """Curve k is class k, where they have names."""
    shares = torch.full((len(curves),), 1 / len(curves), dtype=torch.float64)

    def draw(n: int, generator: torch.Generator, stratified: bool) -> tuple[Tensor, Tensor]:
        which = choose(n, shares, generator, stratified=stratified)
        u = torch.rand(n, generator=generator, dtype=torch.float64)
        points = noise * torch.randn((n, 2), generator=generator, dtype=torch.float64)
        for number, curve in enumerate(curves):
            here = which == number
            points[here] += curve.at(curve.quantile(u[here]))
        return points, which

    distribution = curve_mixture(curves, noise)
    # The mixture's means come curve by curve, as many of each as its quadrature takes.
    lengths = [len(curve_mixture((curve,), noise).means) for curve in curves]
    owner = torch.arange(len(curves)).repeat_interleave(torch.tensor(lengths))
    return _of_draws(name, draw, seed, n, distribution, classes, owner)


def _of_mixture(
    name: str, distribution: GaussianMixture, seed: int, n: int, classes: tuple[str, ...]
) -> Dataset:
    """Component k is class k."""

    def draw(n: int, generator: torch.Generator, stratified: bool) -> tuple[Tensor, Tensor]:
        return distribution.sample_with_components(n, generator, stratified=stratified)

    return _of_draws(name, draw, seed, n, distribution, classes, torch.arange(len(classes)))


def _of_draws(
    name: str,
    draw: Draw,
    seed: int,
    n: int,
    distribution: GaussianMixture | None = None,
    classes: tuple[str, ...] = (),
    owner: Tensor | None = None,
) -> Dataset:
    """Training examples with every part in exact proportion; held-out and fresh ones drawn independently.

    classes: names of the parts that `draw` tells apart; empty where they are no classes. A part without an example, as
    among very few, leaves the data without labels. owner: the part of each component of the distribution.
    """
    columns = ("x", "y") if distribution is None or distribution.dim == 2 else ("x",)
    train, labels = draw(n, torch_generator(seed, "dataset", name, "train"), True)
    rest = torch_generator(seed, "dataset", name, "held out")
    held_out, held_out_labels = draw(min(n, LARGEST_HELD_OUT), rest, False)

    def fresh_labelled(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, which = draw(n, generator, False)
        return x.float(), which

    known: dict[str, Any] = {}
    if classes and len(labels.unique()) == len(classes):
        known = {
            "labels": labels,
            "held_out_labels": held_out_labels,
            "classes": classes,
            "fresh_labelled": fresh_labelled,
            "component_labels": owner,
        }
    return Dataset(
        name=name,
        train=train,
        held_out=held_out,
        fresh=lambda n, generator: fresh_labelled(n, generator)[0],
        distribution=distribution,
        columns=columns,
        **known,
    )
