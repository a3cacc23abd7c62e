"""The process: spins that flip."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import attrs
import torch
from difrun.errors import DifrunError
from difrun.process import ForwardProcess, Randomness, numpy_too
from difrun.randomness import Generator
from torch import Tensor

from difrun_old_discrete_process.options import OldDiscreteProcessOptions


@attrs.frozen
class Instant:
    """A time, and the correlation ρ = E[x_t x_0] that is left: numbers, or tensors that broadcast against x."""

    t: Any
    rho: Any


@attrs.frozen(eq=False)
class Spins:
    """Independent spins ±1 with given means.

    Attributes:
        mean: Their means, (n, ...), float64.
        dtype: The dtype of the spins.
    """

    mean: Tensor
    dtype: torch.dtype

    def sample(self, generator: Generator) -> Tensor:
        """Draw each spin: +1 with probability (1 + mean)/2."""
        up = generator.uniform(self.mean) < (1 + self.mean) / 2
        return torch.where(up, 1.0, -1.0).to(self.dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log Π_i (1 + x_i mean_i)/2, (n,)."""
        return ((1 + x.double() * self.mean) / 2).log().flatten(1).sum(1)


class OldDiscreteProcess(ForwardProcess, OldDiscreteProcessOptions):
    r"""Spins ±1 that flip independently at the rate r, for t in [0, 1].

        q(x_t | x_s) = Π_i (1 + ρ x_t,i x_s,i)/2,    ρ = e^{−2r(t−s)}.

    References:
        Campbell et al. (2022), arXiv 2205.14987, sec. 3 and 4.2.
    """

    horizon = 1.0
    t_min = 0.0

    def at(self, t: Any, ndim: int | None = None) -> Instant:
        """Return the instant at a number, or at a tensor (n,) of times that broadcasts against x of `ndim` axes."""
        if not isinstance(t, Tensor):
            t = torch.tensor(float(t), dtype=torch.float64)
            return Instant(float(t), float(torch.exp(-2 * self.rate * t)))
        t = t.double() if ndim is None else t.double().reshape(-1, *[1] * (ndim - 1))
        return Instant(t, torch.exp(-2 * self.rate * t))

    def transition(self, x_s: Tensor, to: Instant, at: Instant) -> Spins:
        """Return q(x_t | x_s) for t = `at` > s = `to`."""
        return Spins(at.rho / to.rho * x_s.double(), x_s.dtype)

    def bridge(self, x_t: Tensor, x0: Tensor, at: Instant, to: Instant) -> Spins:
        r"""Return q(x_s | x_t, x_0); with E[x_0 | x_t] in place of x_0, the mixture over x_0, site by site.

        For x_0 = k the mean is (ρ_s k + ρ' x_t)/(1 + ρ_t k x_t), with ρ' = ρ_t/ρ_s (Bayes' rule). The mixture takes it
        with weight (1 + k x̂_0)/2. To put x̂_0 into the formula in the place of k would be wrong.
        """
        state, x0 = x_t.double(), x0.double()
        mean = torch.zeros_like(state)
        for k in (-1.0, 1.0):
            evidence = (1 + at.rho * k * state).clamp_min(1e-300)  # 0 only for t = 0, where x_0 is x_t
            mean = mean + (1 + k * x0) / 2 * (to.rho * k + at.rho / to.rho * state) / evidence
        return Spins(mean, x_t.dtype)

    def jump_rate(self, x: Tensor, y: Tensor, at: Instant) -> Tensor:
        """Return r where y is x with one spin flipped, else 0, (n,)."""
        return torch.where((x != y).flatten(1).sum(1) == 1, self.rate, 0.0).double()

    def enumeration(self) -> tuple[Tensor, Tensor]:
        """Return all states of three spins, twice: as data, and as what they can be noised to."""
        states = torch.tensor(list(product((-1.0, 1.0), repeat=3)), dtype=torch.float64)
        return states, states

    def prior(
        self,
        shape: tuple[int, ...],
        *,
        mean: Any = 0.0,
        var: Any = 0.0,
        t: float | None = None,
        generator: Randomness = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Draw x_T, or x_t: independent spins with the means that are left of the data's."""
        means = torch.as_tensor(mean, dtype=torch.float64, device=device).expand(shape)
        at = self.at(self.horizon if t is None else t)
        return Spins(at.rho * means, dtype).sample(Generator.of(generator, device))

    @numpy_too
    def sample(self, x0: Any, t: Any, generator: Randomness = None) -> Any:
        """Draw x_t given x_0."""
        at = self.at(t, x0.ndim)
        return self.transition(x0, self.at(0.0), at).sample(Generator.of(generator, x0.device))

    @numpy_too
    def path(self, x0: Any, times: Sequence[float], generator: Randomness = None) -> Any:
        """Draw an exact joint path: each state given the one before it."""
        random, x, before, states = Generator.of(generator, x0.device), x0, self.at(0.0), []
        for at in map(self.at, times):
            x, before = self.transition(x, before, at).sample(random), at
            states.append(x)
        return torch.stack(states)

    def convert(self, prediction: Tensor, x: Tensor, at: Instant, source: str, target: str) -> Tensor:
        """Return the prediction: of spins, only x̂_0 = E[x_0 | x_t] is predicted."""
        if (source, target) != ("x0", "x0"):
            raise DifrunError(f"models of spins predict x0, not {target}")
        return prediction
