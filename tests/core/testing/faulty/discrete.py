"""Processes of two spins with one known fault each, for the tests of the conformance kit."""

import math

import attrs
import torch

from difrun.process import ForwardProcess, numpy_too
from difrun.randomness import Generator


@attrs.frozen
class At:
    t: object
    rho: object


@attrs.frozen
class Spins:
    """Independent spins of these means; `share` is a fault: probabilities that sum to less than 1."""

    mean: torch.Tensor
    share: float = 1.0

    def sample(self, generator):
        up = 2 * generator.uniform(self.mean) - 1 < self.mean
        return torch.where(up, 1.0, -1.0).to(self.mean)

    def log_prob(self, x):
        return ((1 + x * self.mean) / 2).log().flatten(1).sum(1) + math.log(self.share)


class Fine(ForwardProcess):
    """Every spin flips at rate 1: E[x_t | x_s] = e^{−2(t − s)} x_s."""

    horizon, t_min = 3.0, 1e-3

    def at(self, t, ndim=None):
        if isinstance(t, torch.Tensor):
            t = t.reshape(t.shape + (1,) * (ndim - t.ndim))
            return At(t, torch.exp(-2 * t))
        return At(t, math.exp(-2 * t))

    def expected(self, x, to, at):
        """E[x_t | x_s]."""
        return (at.rho / to.rho * x).to(x.dtype)

    def transition(self, x_s, to, at):
        return Spins(self.expected(x_s, to, at))

    def jump_rate(self, x, y, at):
        return ((x != y).sum(1) == 1).double()

    def enumeration(self):
        both = torch.tensor([-1.0, 1.0], dtype=torch.float64)
        every = torch.cartesian_prod(both, both)
        return every, every

    def prior(self, shape, *, mean, var, generator=None, dtype=torch.float32, device="cpu"):
        start = torch.as_tensor(mean, dtype=dtype).expand(shape)
        return Spins(self.expected(start, self.at(0.0), self.at(self.horizon))).sample(
            Generator.of(generator)
        )

    @numpy_too
    def sample(self, x0, t, generator=None):
        return self.transition(x0, self.at(0.0), self.at(t, x0.ndim)).sample(Generator.of(generator))

    @numpy_too
    def path(self, x0, times, generator=None):
        random, x, last, found = Generator.of(generator), x0, self.at(0.0), []
        for t in times:
            at = self.at(float(t))
            x = self.transition(x, last, at).sample(random)
            found.append(x)
            last = at
        return torch.stack(found)

    def bridge(self, x_t, x0, at, to):
        """Bayes for each value of x_0, weighted by the distribution of x_0 that has this mean."""
        return Spins(
            sum(
                (1 + x0 * v) / 2 * self.condition_on(x_t, torch.full_like(x_t, v), at, to)
                for v in (1.0, -1.0)
            )
        )

    def condition_on(self, x_t, x0, at, to):
        """E[x_s | x_t, x_0]."""
        first = self.expected(x0, self.at(0.0), to)
        up, down = (
            (1 + v * first) * (1 + x_t * self.expected(torch.full_like(x_t, v), to, at)) for v in (1.0, -1.0)
        )
        return (up - down) / (up + down)


class Bare(Fine):
    """It does not say of which states it is."""

    def enumeration(self):
        raise NotImplementedError


class Twice(Fine):
    """It names one state twice."""

    def enumeration(self):
        every, _ = super().enumeration()
        return every, torch.cat((every, every[:1]))


class TwiceData(Fine):
    """It names one example twice."""

    def enumeration(self):
        every, _ = super().enumeration()
        return torch.cat((every, every[:1])), every


class Restless(Fine):
    """It leaves a state in no time."""

    def expected(self, x, to, at):
        same = isinstance(at.t, float) and to.t == at.t > 0
        return (0.9 if same else 1.0) * super().expected(x, to, at)


class Leaping(Fine):
    """Forgets less on the way to T, but from the data."""

    def expected(self, x, to, at):
        late = isinstance(at.t, float) and at.t == self.horizon and 0 < to.t < at.t
        return (1.5 if late else 1.0) * super().expected(x, to, at)


class Torn(Fine):
    """A bridge that is right for averages of data alone."""

    def bridge(self, x_t, x0, at, to):
        sites = super().bridge(x_t, x0, at, to)
        return Spins(torch.where(x0.abs() == 1, 0.99 * sites.mean, sites.mean))


class Leaky(Fine):
    """A hundredth of every kernel is lost."""

    def transition(self, x_s, to, at):
        return Spins(self.expected(x_s, to, at), 0.99)


class Aging(Fine):
    """Its kernels look at t − s, in which the correlation is not exponential: it is not Markov."""

    def expected(self, x, to, at):
        return (1 - (at.t - to.t) / 6) * x


class Blind(Fine):
    """A bridge that looks at x_0 alone."""

    def condition_on(self, x_t, x0, at, to):
        return self.expected(x0, self.at(0.0), to)


class Averaged(Fine):
    """A bridge that averages over x_0 before it divides: right for data, not Bayes for their mean."""

    def bridge(self, x_t, x0, at, to):
        return Spins(self.condition_on(x_t, x0, at, to))


class Loud(Fine):
    """Draws x_t at a later time than it says."""

    @numpy_too
    def sample(self, x0, t, generator=None):
        return super().sample(x0, torch.as_tensor(1.3 * t).clamp_max(self.horizon), generator)


class Scattered(Fine):
    """Marginals are right, but every point of a path starts at the data."""

    @numpy_too
    def path(self, x0, times, generator=None):
        random = Generator.of(generator)
        return torch.stack([self.sample(x0, float(t), random) for t in times])


class Warm(Fine):
    """A prior that leans to one side."""

    def prior(self, shape, *, mean, var, generator=None, **more):
        return super().prior(shape, mean=torch.full(shape, 20.0), var=var, generator=generator, **more)


class Drifting(Fine):
    """It forgets its start for a distribution that moves, of mean M(t) = ½ sin t: Markov, but nothing is stationary."""

    def expected(self, x, to, at):
        kept = at.rho / to.rho
        goal = [torch.sin(torch.as_tensor(i.t, dtype=torch.float64)) / 2 for i in (to, at)]
        return (kept * x + goal[1] - kept * goal[0]).to(x.dtype)

    def jump_rate(self, x, y, at):
        push = (math.cos(at.t) / 2 + math.sin(at.t)) / 2
        return super().jump_rate(x, y, at) * (1 + push * (y - x).sum(1) / 2)


class Hasty(Fine):
    """It says that it jumps twice as often as it does."""

    def jump_rate(self, x, y, at):
        return 2 * super().jump_rate(x, y, at)


class Global(Fine):
    """Uses the global random state."""

    @numpy_too
    def sample(self, x0, t, generator=None):
        torch.rand(1)
        return super().sample(x0, t, generator)


class InPlace(Fine):
    """Writes into the data that it is given."""

    @numpy_too
    def path(self, x0, times, generator=None):
        found = super().path(x0, times, generator)
        x0[:2] = found[-1][:2]
        return found


class TensorsOnly(Fine):
    """Gives tensors for arrays."""

    def sample(self, x0, t, generator=None):
        return super().sample(torch.as_tensor(x0), t, generator)
