"""Three data distributions whose score is known, and where the probability flow carries noise to, to eight digits.

Everything is in the coordinates z = x/α against the noise level σ = σ_t/α_t, in which the flow is

    dz/dσ = (z − E[x_0 | z, σ])/σ,

from z = 80 ε at σ = 80 to σ = 0. All in float64.
"""

import math
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from difrun.data import GaussianMixture
from difrun.model import ExactMixture
from difrun_edm.process import EDM

SIGMA_MAX = 80.0
END = 1e-5
"""Noise level at which difrun's runs end here: nothing of these data is as narrow as that."""

KNEE = 0.02
"""κ of the clock asinh(σ/κ) of the reference: logarithmic above it, linear below."""


def ring(count: int, radius: float) -> Tensor:
    """Points (count, 2), evenly spaced on a circle."""
    angles = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    return radius * torch.stack((angles.cos(), angles.sin()), dim=1)


def even(means: Tensor, std: float) -> GaussianMixture:
    """Equally many samples around each mean, all with one standard deviation."""
    count = len(means)
    return GaussianMixture([1 / count] * count, means, [std**2] * count)


def gmm8() -> GaussianMixture:
    """Eight Gaussians of standard deviation 0.08 on a circle of radius 1.4."""
    return even(ring(8, 1.4), 0.08)


def rings64() -> GaussianMixture:
    """64 Gaussians of standard deviation 0.05: 44 on a circle of radius 1.4 and 20 on one of radius 0.5."""
    return even(torch.cat((ring(44, 1.4), ring(20, 0.5))), 0.05)


def gmm64d() -> GaussianMixture:
    """Ten Gaussians in 64 dimensions at distance 4 from 0, rotated at random, with standard deviations of 0.05 to 0.5.

    These are log-uniform, and the weights uniform in 0.3 to 1.3 before they are normalised.
    """
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random, dtype=torch.float64)

    means = normal(10, 64)
    means = 4 * means / means.norm(dim=1, keepdim=True)
    axes = torch.linalg.qr(normal(10, 64, 64))[0]
    deviations = 0.05 * 10 ** uniform(10, 64)
    weights = 0.3 + uniform(10)
    covs = (axes * deviations[:, None] ** 2) @ axes.mT
    return GaussianMixture(weights / weights.sum(), means, 0.5 * (covs + covs.mT))


TARGETS: dict[str, Callable[[], GaussianMixture]] = {"gmm8": gmm8, "rings64": rings64, "gmm64d": gmm64d}


@attrs.define
class Denoiser:
    """E[x_0 | z, σ] of a mixture, as every library is given it; it counts its calls."""

    distribution: GaussianMixture
    calls: int = 0
    model: ExactMixture = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.model = ExactMixture(self.distribution, EDM(sigma_max=SIGMA_MAX, noise_floor=END))

    def __call__(self, z: Tensor, sigma: float) -> Tensor:
        self.calls += 1
        # Tables of noise levels in float32 may begin a rounding error above the largest.
        return self.model.predict(z, self.model.process.at(min(float(sigma), SIGMA_MAX)), "x0")


def radius(distribution: GaussianMixture) -> float:
    """The root mean square distance of the data from 0."""
    return math.sqrt(float(distribution.var.sum() + distribution.mean.square().sum()))


def start(distribution: GaussianMixture, n: int, seed: int) -> Tensor:
    """z = 80 ε (n, d)."""
    random = torch.Generator().manual_seed(seed)
    return SIGMA_MAX * torch.randn(n, distribution.dim, generator=random, dtype=torch.float64)


def endpoints(distribution: GaussianMixture, z: Tensor, rtol: float = 1e-9) -> Tensor:
    """Where the probability flow carries z (n, d) from σ = 80 to 0: DOP853 with the relative tolerance rtol.

    With c the mean variance of the data, y = z/√(c + σ²), which is of the size of one throughout, is integrated against
    v = asinh(σ/κ). As σ → 0 the slope (z − E[x_0])/σ vanishes; the last stretch, from END, is a step of Euler's method.
    """
    model = Denoiser(distribution)
    c = float(distribution.var.mean())

    def slope(v: float, flat: np.ndarray) -> np.ndarray:
        sigma = KNEE * math.sinh(v)
        total = math.sqrt(c + sigma**2)
        y = torch.from_numpy(flat).view(z.shape)
        moved = (total * y - model(total * y, sigma)) / sigma
        rate = (moved / total - sigma * y / total**2) * (KNEE * math.cosh(v))
        return rate.flatten().numpy()

    span = [math.asinh(sigma / KNEE) for sigma in (SIGMA_MAX, END)]
    begin = (z / math.sqrt(c + SIGMA_MAX**2)).flatten().numpy()
    solved = solve_ivp(slope, span, begin, method="DOP853", rtol=rtol, atol=rtol, t_eval=span[1:])
    if not solved.success:
        raise RuntimeError(f"the reference could not be computed: {solved.message}")
    end = math.sqrt(c + END**2) * torch.from_numpy(solved.y[:, -1]).view(z.shape)
    return model(end, END)


def reference(name: str, n: int, seed: int, folder: Path) -> tuple[Tensor, Tensor]:
    """Noise z and its endpoints (n, d), computed once and kept in the folder."""
    distribution = TARGETS[name]()
    z = start(distribution, n, seed)
    file = folder / f"{name}-{n}-{seed}.npy"
    if not file.exists():
        np.save(file, endpoints(distribution, z).numpy())
    return z, torch.from_numpy(np.load(file))


def component(distribution: GaussianMixture, x: Tensor) -> Tensor:
    """The component of the mixture that each x (n, d) most likely comes from; shape (n,)."""
    gap = x[:, None] - distribution.means
    if distribution.eigenvectors is not None:
        gap = torch.einsum("nki,kij->nkj", gap, distribution.eigenvectors)
    energy = (gap.square() / distribution.eigenvalues + distribution.eigenvalues.log()).sum(2)
    return (distribution.weights.log() - 0.5 * energy).argmax(1)


@attrs.frozen
class Error:
    """Distances to the exact endpoints over the data's root mean square radius: median over the sets of noise.

    rms, median: of the distances of one set. strayed: share of samples in another component than their endpoint.
    """

    rms: float
    median: float
    strayed: float


def error(distribution: GaussianMixture, x: Tensor, exact: Tensor, sets: int) -> Error:
    """Of x (sets · n, d), which lie set after set."""
    distances = ((x - exact).norm(dim=1) / radius(distribution)).view(sets, -1)
    strayed = (component(distribution, x) != component(distribution, exact)).double().view(sets, -1).mean(1)
    parts = distances.square().mean(1).sqrt(), distances.median(dim=1).values, strayed
    return Error(*(float(part.quantile(0.5)) for part in parts))
