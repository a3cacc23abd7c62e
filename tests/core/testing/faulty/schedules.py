"""Gaussian processes that each break one rule alone, for the tests of the conformance kit."""

import torch

from difrun.process import GaussianProcess, numpy_too
from difrun.testing import ReferenceVP


def place(process, at):
    """Where an instant is in the range of λ, from 0 (T) to 1 (t_min)."""
    low, high = process.lam_range
    return (at.lam - low) / (high - low)


class AtZero(ReferenceVP):
    """Moves the data at t = 0."""

    @numpy_too
    def sample(self, x0, t, generator=None):
        x = super().sample(x0, t, generator)
        return x + 1e-9 if isinstance(t, float) and t == 0 else x


class Steep(ReferenceVP):
    """Derivatives that are a little too large."""

    def derivatives(self, t):
        d_alpha, d_var = super().derivatives(t)
        return (1 + 2e-5) * d_alpha, (1 + 2e-5) * d_var


class SingleLevel(ReferenceVP):
    """Has λ in float32 in a batch of times."""

    def instant(self, t, ndim=None):
        at = super().instant(t, ndim)
        at.__dict__["lam"] = at.lam.float().to(at.lam.dtype)
        return at


class Blip(ReferenceVP):
    """Its noise recedes for a while, earlier than sampling ends."""

    def variance(self, t):
        u = (t.clamp_min(1e-300) / 4e-7).log() / 0.7
        return super().variance(t) * (1 + 3 * (1 - u**2).clamp_min(0) ** 2)


class Tardier(ReferenceVP):
    """Finds times that are too late by a ten-millionth."""

    def _time_at(self, target):
        return (1 + 1e-7) * super()._time_at(target)


class Halfway(ReferenceVP):
    """A bridge that is too wide from the middle of the range of λ."""

    def bridge(self, x_t, x0, at, to):
        distribution = super().bridge(x_t, x0, at, to)
        middle = isinstance(at.lam, float) and abs(place(self, at) - 0.5) < 0.01
        return type(distribution)(distribution.mean, (1.001 if middle else 1.0) * distribution.std)


class Slow(ReferenceVP):
    """Simulates to nine tenths of every time."""

    @numpy_too
    def euler_maruyama(self, x0, times, generator=None, substeps=1):
        early = [t if t > self.horizon else 0.9 * t for t in times]
        return super().euler_maruyama(x0, early, generator, substeps)


class Bent(ReferenceVP):
    """A slope of the flow that is too large for a while."""

    def convert(self, prediction, x, at, source, target):
        converted = super().convert(prediction, x, at, source, target)
        if target != "straight" or not isinstance(at.lam, float):
            return converted
        return (1 + 0.1 * max(0.0, 1 - ((place(self, at) - 0.625) / 0.08) ** 2) ** 2) * converted


class Apart(ReferenceVP):
    """Noises with half as much noise again as it says, but draws as it says."""

    def diffuse(self, x0, noise, at):
        return super().diffuse(x0, 1.5 * noise, at)

    @numpy_too
    def sample(self, x0, t, generator=None):
        return ReferenceVP().sample(x0, t, generator)


class LoudForAWhile(ReferenceVP):
    """Draws with a fifth more noise at some times."""

    @numpy_too
    def sample(self, x0, t, generator=None):
        x = super().sample(x0, t, generator)
        if not isinstance(t, float) or t == 0:
            return x
        at = self.at(t)
        return x + 0.2 * (x - at.alpha * x0) if 0.25 < place(self, at) < 0.45 else x


class LoudPrior(ReferenceVP):
    """A prior at T that is too wide."""

    def prior(self, shape, *, t=None, **more):
        return (1.0 if t is not None else 1.2) * super().prior(shape, t=t, **more)


class DataLess(ReferenceVP):
    """A start below T without the variance of the data."""

    def prior(self, shape, *, var=0.0, t=None, **more):
        return super().prior(shape, var=var if t in (None, self.horizon) else 0.0, t=t, **more)


class Detour(ReferenceVP):
    """Converts by way of x̂_0, which loses digits."""

    def convert(self, prediction, x, at, source, target):
        if source == target or "x0" in (source, target):
            return super().convert(prediction, x, at, source, target)
        return super().convert(super().convert(prediction, x, at, source, "x0"), x, at, "x0", target)


class Astray(ReferenceVP):
    """Converts v wrongly at some times."""

    def convert(self, prediction, x, at, source, target):
        converted = super().convert(prediction, x, at, source, target)
        wrong = source == "v" and isinstance(at.lam, float) and 0.7 < place(self, at) < 0.8
        return 1.01 * converted if wrong else converted


class TensorsOnly(ReferenceVP):
    """Gives tensors for arrays."""

    def sample(self, x0, t, generator=None):
        return super().sample(torch.as_tensor(x0), t, generator)


class Flat(ReferenceVP):
    """Gives vectors for images."""

    @numpy_too
    def path(self, x0, times, generator=None):
        return super().path(x0.flatten(1) if x0.ndim == 4 else x0, times, generator)


class Clamping(ReferenceVP):
    """Clamps its input in place."""

    @numpy_too
    def path(self, x0, times, generator=None):
        return super().path(x0.clamp_(-0.9, 1.9) if x0.dtype == torch.float32 else x0, times, generator)


class Rolling(ReferenceVP):
    """Uses the global random state."""

    @numpy_too
    def sample(self, x0, t, generator=None):
        torch.rand(1)
        return super().sample(x0, t, generator)


class OnCpu(ReferenceVP):
    """Makes a tensor on the CPU."""

    @numpy_too
    def sample(self, x0, t, generator=None):
        return super().sample(x0, t, generator) + torch.zeros(1)


class Lenient(ReferenceVP):
    """Takes any number for a time."""

    def _refuse_outside(self, first, last, rounding):
        pass


class Plain(ReferenceVP):
    """Its prior is N(0, 1), whatever the data."""

    def prior(self, shape, *, mean=0.0, var=0.0, **more):
        return super().prior(shape, mean=0.0, var=1.0, **more)


class OneNoise(ReferenceVP):
    """Draws one number for all coordinates of a row."""

    @numpy_too
    def sample(self, x0, t, generator=None):
        draw = super().sample(torch.zeros_like(x0.reshape(len(x0), -1)[:, :1]), t, generator)
        alpha = self.at(t, x0.ndim).alpha
        return (alpha * x0 + draw.reshape(-1, *[1] * (x0.ndim - 1))).to(x0.dtype)


class OnePath(ReferenceVP):
    """Its paths have one noise for all coordinates of a row."""

    @numpy_too
    def path(self, x0, times, generator=None):
        first = super().path(torch.zeros_like(x0.reshape(len(x0), -1)[:, :1]), times, generator)
        signal = [self.at(float(t)).alpha * x0 for t in times]
        return torch.stack(signal) + first.reshape(len(times), -1, *[1] * (x0.ndim - 1))


class Pooled(ReferenceVP):
    """A prior whose rows depend on how many there are."""

    def prior(self, shape, **more):
        return super().prior(shape, **more) * (1.01 if shape[0] == 3 else 1)


class ShortBridge(ReferenceVP):
    """A bridge that does not quite lead to the data."""

    def bridge(self, x_t, x0, at, to):
        reached = super().bridge(x_t, x0, at, to)
        return type(reached)(reached.mean + (1e-6 if to.t == 0 else 0.0), reached.std)


class Fixed(ReferenceVP):
    """Simulates with one seed."""

    @numpy_too
    def euler_maruyama(self, x0, times, generator=None, substeps=1):
        return super().euler_maruyama(x0, times, 1 if isinstance(generator, int) else generator, substeps)


class Tilted(ReferenceVP):
    """A bridge of images that is off."""

    def bridge(self, x_t, x0, at, to):
        reached = super().bridge(x_t, x0, at, to)
        return type(reached)(reached.mean + (0.01 if x_t.ndim == 4 else 0.0), reached.std)


class Slowing(GaussianProcess):
    """α = 1/√(1 + t²) and σ = tα on [0, 30]: variance preserving, of another time."""

    horizon = 30.0

    def log_alpha(self, t):
        return -0.5 * torch.log1p(t**2)

    def variance(self, t):
        return t**2 / (1 + t**2)
