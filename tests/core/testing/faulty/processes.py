"""Gaussian processes with one known fault each, for the tests of the conformance kit."""

import torch

from difrun.process import numpy_too
from difrun.randomness import Generator
from difrun.testing import ReferenceVP


class Fine(ReferenceVP):
    """α = e^−t."""


class NoGradient(ReferenceVP):
    """Its variance leaves the graph."""

    def variance(self, t):
        return super().variance(t.detach())


class WrongBridge(ReferenceVP):
    """A bridge of twice the variance."""

    def bridge(self, x_t, x0, at, to):
        distribution = super().bridge(x_t, x0, at, to)
        return type(distribution)(distribution.mean, 2**0.5 * distribution.std)


class Growing(ReferenceVP):
    """Its signal comes back after t = 2."""

    def log_alpha(self, t):
        return -t * (4 - t) / 2


class SharedNoise(ReferenceVP):
    """Marginals are right, but one ε serves the whole path."""

    @numpy_too
    def path(self, x0, times, generator=None):
        seed = Generator.of(generator).seed
        super().path(x0, times, generator)
        return torch.stack([self.sample(x0, float(t), seed) for t in times])


class Late(ReferenceVP):
    """At t = 0 there is noise already."""

    def variance(self, t):
        return super().variance(t + 0.001)


class WideDensity(ReferenceVP):
    """A density that integrates to less than 1."""

    @numpy_too
    def density(self, points, data, t):
        return 0.99 * super().density(points, data, t)


class LoudDiffuse(ReferenceVP):
    """Draws x_t with half as much noise again as it says."""

    def diffuse(self, x0, noise, at):
        return super().diffuse(x0, 1.5 * noise, at)


class Tardy(ReferenceVP):
    """Finds times too late by a twentieth, but for the ends."""

    def time_at(self, lam):
        return 1.05 * super().time_at(lam)


class Doubled(ReferenceVP):
    """Finds times in float64, whatever it is asked in."""

    def time_at(self, lam):
        found = super().time_at(torch.as_tensor(lam, dtype=torch.float64))
        return found if isinstance(lam, torch.Tensor) else found.item()


class Misread(ReferenceVP):
    """Reads a network that predicts v as one that predicts the velocity."""

    def denoiser(self, network, *, predicts="edm", **more):
        return super().denoiser(network, predicts="velocity" if predicts == "v" else predicts, **more)
