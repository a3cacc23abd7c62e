r"""Synthetic data in one and two dimensions, most of it with an exact distribution.

A noisy curve, x = c(v) + s ε with v of density ρ on [0, 1], is not a Gaussian mixture, but a quadrature rule
approximates it by one, with weights w_j ρ(v_j) and means c(v_j) at the nodes v_j. With the Gauss–Legendre rule on short
pieces of the curve, and nodes half a noise width apart, the log-density of this mixture (`Dataset.distribution`) is
right to 10⁻⁷ nats on average. Examples (`train`, `held_out`, `fresh`) are drawn from the noisy curve itself.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun.data.dataset import Dataset
from difrun.data.mixture import GaussianMixture, choose_components
from difrun.randomness.generator import torch_generator

Draw = Callable[[int, torch.Generator, bool], tuple[Tensor, Tensor]]
"""(n, generator, stratified) -> n draws, and the part of the distribution that each comes from. With `stratified` the
parts occur in exact proportion."""

LARGEST_HELD_OUT = 10000

_NODES = 8
"""Nodes of the quadrature rule on each piece of a curve."""


def rings(*, seed: int, n: int = 10000, noise: float = 0.02) -> Dataset:
    r"""Two half-circles of different radius with noise s, half of the points on each.

        x = c + r (cos φ, ± sin φ) + s ε,    φ uniform in [0, π]

    The upper one (+) has r = 1.4 and c = (0.6, 0.2), the lower one (−) r = 0.5 and c = (−0.5, −1). Each is a class.
    """
    upper = arc(1.4, (0.6, 0.2), upwards=True)
    lower = arc(0.5, (-0.5, -1.0), upwards=False)
    return _of_curves("rings", (upper, lower), seed, n, noise, ("upper", "lower"))


def moons(*, seed: int, n: int = 10000, noise: float = 0.05) -> Dataset:
    r"""Two interleaved half-circles of radius 1 with noise s, half of the points on each.

    The upper one is centred on (0, 0), the lower one, which opens upwards, on (1, ½). Each is a class.
    """
    upper = arc(1.0, (0.0, 0.0), upwards=True)
    lower = arc(1.0, (1.0, 0.5), upwards=False)
    return _of_curves("moons", (upper, lower), seed, n, noise, ("upper", "lower"))


def spiral(*, seed: int, n: int = 10000, turns: float = 2.0, noise: float = 0.05) -> Dataset:
    r"""One spiral arm with noise s.

    x = 2v (cos φ, sin φ) + s ε,    φ = 2π · turns · v,    v = √u,    u ~ U[0, 1]
    """
    return _of_curves("spiral", (spiral_arm(turns),), seed, n, noise)


def blobs(*, seed: int, n: int = 10000, distance: float = 2.0, variance: float = 0.1) -> Dataset:
    """Two isotropic Gaussians of equal weight at (a, a) and (−a, −a) with a = `distance`; each is a class."""
    means = [[distance, distance], [-distance, -distance]]
    mixture = GaussianMixture([0.5, 0.5], means, [variance, variance])
    return _of_mixture("blobs", mixture, seed, n, ("upper", "lower"))


def gmm(*, seed: int, n: int = 10000, modes: int = 8, radius: float = 2.0, std: float = 0.2) -> Dataset:
    """Isotropic Gaussians of equal weight, evenly spaced on a circle from angle 0; each is a class."""
    angles = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    means = radius * torch.stack([angles.cos(), angles.sin()], dim=1)
    weights = torch.full((modes,), 1 / modes, dtype=torch.float64)
    mixture = GaussianMixture(weights, means, torch.full_like(weights, std**2))
    return _of_mixture("gmm", mixture, seed, n, tuple(map(str, range(modes))))


def bimodal_1d(
    *, seed: int, n: int = 10000, distance: float = 1.0, std: float = 0.25, weight: float = 0.5
) -> Dataset:
    """Two Gaussians on the line, at −a with probability `weight` and at a, with a = `distance`.

    Examples have shape (1,). The classes are left and right.
    """
    mixture = GaussianMixture([weight, 1 - weight], [[-distance], [distance]], [std**2, std**2])
    return _of_mixture("bimodal-1d", mixture, seed, n, ("left", "right"))


def checkerboard(*, seed: int, n: int = 10000, squares: int = 4) -> Dataset:
    """Uniform on every second square of a board of `squares` × `squares` over [−2, 2]², from the lower left one on."""
    cells = torch.cartesian_prod(torch.arange(squares), torch.arange(squares))
    filled = cells[cells.sum(1) % 2 == 0]
    shares = torch.full((len(filled),), 1 / len(filled), dtype=torch.float64)

    def draw(n: int, generator: torch.Generator, stratified: bool) -> tuple[Tensor, Tensor]:
        which = choose_components(n, shares, generator, stratified=stratified)
        within = torch.rand((n, 2), generator=generator, dtype=torch.float64)
        return -2 + 4 / squares * (filled[which] + within), which

    area = 16 / squares**2 * len(filled)
    centres = -2 + 4 / squares * (filled + 0.5)

    def log_density(x: Tensor) -> Tensor:
        # Rounding may put a point at the edge of a square outside it.
        inside = (x[:, None] - centres.to(x)).abs().amax(2).amin(1) <= 2 / squares + 1e-6
        return torch.where(inside, x.new_tensor(-math.log(area)), -math.inf)

    data = _of_draws("checkerboard", draw, seed, n)
    return attrs.evolve(data, log_density=log_density, entropy=math.log(area))


@attrs.frozen(eq=False)
class Curve:
    """A curve c(v) in the plane, and the distribution of its parameter v.

    Attributes:
        at: c: v (n,) in [0, 1] -> points (n, 2).
        speed: The largest |c'(v)|.
        quantile: The quantile function of v: u uniform in [0, 1] -> v.
        density: The density ρ of v.
    """

    at: Callable[[Tensor], Tensor]
    speed: float
    quantile: Callable[[Tensor], Tensor] = lambda u: u
    density: Callable[[Tensor], Tensor] = torch.ones_like


def arc(radius: float, centre: tuple[float, float], *, upwards: bool) -> Curve:
    """Return a half-circle, uniform in angle."""
    sign = 1 if upwards else -1

    def at(v: Tensor) -> Tensor:
        angle = math.pi * v
        offset = radius * torch.stack([angle.cos(), sign * angle.sin()], dim=1)
        return torch.tensor(centre, dtype=v.dtype) + offset

    return Curve(at, speed=math.pi * radius)


def spiral_arm(turns: float) -> Curve:
    """Return c(v) = 2v (cos φ, sin φ), φ = 2π · turns · v, from the origin to radius 2; v² is uniform."""
    sweep = 2 * math.pi * turns

    def at(v: Tensor) -> Tensor:
        return 2 * v[:, None] * torch.stack([(sweep * v).cos(), (sweep * v).sin()], dim=1)

    # |c'(v)| = 2 √(1 + (2π · turns · v)²) is largest at v = 1.
    return Curve(at, speed=2 * math.sqrt(1 + sweep**2), quantile=torch.sqrt, density=lambda v: 2 * v)


def curve_mixture(curves: Sequence[Curve], noise: float, spacing: float = 0.5) -> GaussianMixture:
    """Approximate noisy curves of equal weight by a Gaussian mixture.

    Args:
        curves: The curves.
        noise: The standard deviation s of the noise.
        spacing: The largest average distance between neighbouring means, over s.
    """
    nodes, node_weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(_NODES))
    means, weights = [], []
    for curve in curves:
        pieces = max(4, math.ceil(curve.speed / (spacing * noise * _NODES)))
        v = ((torch.arange(pieces, dtype=torch.float64)[:, None] + 0.5 * (1 + nodes)) / pieces).flatten()
        weight = node_weights.repeat(pieces) * curve.density(v)
        means.append(curve.at(v))
        weights.append(weight / weight.sum() / len(curves))
    all_weights = torch.cat(weights)
    return GaussianMixture(all_weights, torch.cat(means), torch.full_like(all_weights, noise**2))


def _of_curves(
    name: str, curves: Sequence[Curve], seed: int, n: int, noise: float, classes: tuple[str, ...] = ()
) -> Dataset:
    """Noisy curves of equal weight; curve k is class k if `classes` names them."""
    shares = torch.full((len(curves),), 1 / len(curves), dtype=torch.float64)

    def draw(n: int, generator: torch.Generator, stratified: bool) -> tuple[Tensor, Tensor]:
        which = choose_components(n, shares, generator, stratified=stratified)
        u = torch.rand(n, generator=generator, dtype=torch.float64)
        points = noise * torch.randn((n, 2), generator=generator, dtype=torch.float64)
        for number, curve in enumerate(curves):
            on_curve = which == number
            points[on_curve] += curve.at(curve.quantile(u[on_curve]))
        return points, which

    # The components of the mixture come curve by curve, as many for each as its quadrature has nodes.
    counts = [len(curve_mixture((curve,), noise).means) for curve in curves]
    component_labels = torch.arange(len(curves)).repeat_interleave(torch.tensor(counts))
    return _of_draws(name, draw, seed, n, curve_mixture(curves, noise), classes, component_labels)


def _of_mixture(name: str, mixture: GaussianMixture, seed: int, n: int, classes: tuple[str, ...]) -> Dataset:
    """Draws of a mixture; component k is class k."""

    def draw(n: int, generator: torch.Generator, stratified: bool) -> tuple[Tensor, Tensor]:
        return mixture.sample_with_components(n, generator, stratified=stratified)

    return _of_draws(name, draw, seed, n, mixture, classes, torch.arange(len(classes)))


def dataset_of_mixture(mixture: GaussianMixture, seed: int, n: int = 10000) -> Dataset:
    """Return a dataset of draws of a Gaussian mixture, with its exact distribution and without classes."""
    return _of_mixture("mixture", mixture, seed, n, ())


def _of_draws(
    name: str,
    draw: Draw,
    seed: int,
    n: int,
    distribution: GaussianMixture | None = None,
    classes: tuple[str, ...] = (),
    component_labels: Tensor | None = None,
) -> Dataset:
    """A dataset of draws: its training examples are stratified, the others are drawn independently.

    The parts that `draw` returns are classes if `classes` names them and each has a training example.
    """
    columns = ("x", "y") if distribution is None or distribution.dim == 2 else ("x",)
    train, labels = draw(n, torch_generator(seed, "dataset", name, "train"), True)
    generator = torch_generator(seed, "dataset", name, "held out")
    held_out, held_out_labels = draw(min(n, LARGEST_HELD_OUT), generator, False)

    def fresh_labelled(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, y = draw(n, generator, False)
        return x.float(), y

    class_fields: dict[str, Any] = {}
    if classes and len(labels.unique()) == len(classes):
        class_fields = {
            "labels": labels,
            "held_out_labels": held_out_labels,
            "classes": classes,
            "fresh_labelled": fresh_labelled,
            "component_labels": component_labels,
        }
    return Dataset(
        name=name,
        train=train,
        held_out=held_out,
        fresh=lambda n, generator: fresh_labelled(n, generator)[0],
        distribution=distribution,
        columns=columns,
        **class_fields,
    )
