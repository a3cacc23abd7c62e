r"""The process: data x, a velocity v beside each coordinate, and friction that is just enough.

    dx = β v/M dt,    dv = −β x dt − βΓ v/M dt + √(2Γβ) dw,    Γ² = 4M,

with v_0 ~ N(0, γM). A state u = (x, v) has the coordinates of x first and those of v after them, along the first axis
of an example. Every coordinate of x has its own v and meets no other, so all coefficients are those of one pair.

References:
    Dockhorn, Vahdat and Kreis (2022), arXiv 2112.07068, sec. 3.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import attrs
import torch
from difrun.errors import DifrunError
from difrun.process import ForwardProcess, numpy_too
from difrun.randomness import Generator
from torch import Tensor, nn
from typing_extensions import override

from difrun_cld.options import CldOptions

Pair = tuple[Any, Any]
"""Two numbers, of x and v, or tensors that broadcast against x."""

Cov = tuple[Any, Any, Any]
"""(Var x, Cov(x, v), Var v) of a pair."""


@attrs.frozen
class Instant:
    """A time, and the distribution of (x_t, v_t) given x_0.

    Attributes:
        t: The time; a number, or a tensor that broadcasts against x.
        first: Φ_xx and Φ_vx: the mean of (x_t, v_t) is these times x_0.
        cov: The covariance of (x_t, v_t) given x_0, over all v_0.
    """

    t: Any
    first: Pair
    cov: Cov


def propagator(amount: Any, friction: float, sign: float = 1.0) -> tuple[Any, Any, Any, Any]:
    r"""Return Φ = exp(B F) as (Φ_xx, Φ_xv, Φ_vx, Φ_vv) for B = ∫β dt, with F = [[0, 1/M], [−1, −Γ/M]].

    F has the double eigenvalue −2/Γ, so that Φ = e^{−2B/Γ} (I + B (F + 2/Γ)). With `sign` −1 the rotation between x and
    v is that of reverse time, and the friction is not.
    """
    turn = 2 * amount / friction
    damping = torch.exp(-turn) if isinstance(turn, Tensor) else math.exp(-turn)
    mixing = sign * damping * amount
    return damping * (1 + turn), mixing * 4 / friction**2, -mixing, damping * (1 - turn)


def propagated(phi: tuple[Any, Any, Any, Any], cov: Cov) -> Cov:
    """Return Φ C Φᵀ."""
    (a, b, c, d), (xx, xv, vv) = phi, cov
    return (
        a * a * xx + 2 * a * b * xv + b * b * vv,
        a * c * xx + (a * d + b * c) * xv + b * d * vv,
        c * c * xx + 2 * c * d * xv + d * d * vv,
    )


def root(cov: Cov) -> Cov:
    """Return the lower triangle (L_xx, L_vx, L_vv) with L Lᵀ = C."""
    xx = torch.as_tensor(cov[0]).clamp_min(0).sqrt()
    vx = torch.where(xx > 0, cov[1] / xx.clamp_min(1e-300), torch.zeros_like(xx))
    return xx, vx, (torch.as_tensor(cov[2]) - vx**2).clamp_min(0).sqrt()


class CriticallyDampedLangevin(ForwardProcess, CldOptions):
    """Critically damped Langevin diffusion, whose states are data and velocities."""

    horizon = 1.0

    @property
    def mass(self) -> float:
        """M = Γ²/4, which is the stationary variance of a velocity."""
        return self.friction**2 / 4

    @override
    def state_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if not shape:
            raise DifrunError("the process 'cld' needs examples with at least one axis")
        return (2 * shape[0], *shape[1:])

    @override
    def observed(self, x: Tensor) -> Tensor:
        return x.chunk(2, dim=1)[0]

    @override
    def at(self, t: Any, ndim: int | None = None) -> Instant:
        """Return the instant at t, whose coefficients are computed in float64."""
        if isinstance(t, Tensor):
            t = t if ndim is None else t.reshape(t.shape + (1,) * (ndim - t.ndim))
            inside = bool(((t >= 0) & (t <= self.horizon * (1 + 1e-6))).all())
            wide = t.double() if t.device.type != "mps" else t
        else:
            t = wide = float(t)
            inside = 0 <= t <= self.horizon * (1 + 1e-9)
        if not inside:
            raise DifrunError(f"time runs from 0 (data) to T = {self.horizon:g}; got {t}")
        phi = propagator(self.beta * wide, self.friction)
        cov = self.grown(phi, (0.0, 0.0, self.gamma * self.mass))
        if isinstance(t, Tensor):
            return Instant(t, (phi[0].to(t), phi[2].to(t)), tuple(each.to(t) for each in cov))
        return Instant(t, (phi[0], phi[2]), cov)

    def grown(self, phi: tuple[Any, Any, Any, Any], cov: Cov) -> Cov:
        """Return the covariance after motion by Φ: Φ C Φᵀ + S − Φ S Φᵀ, with S = diag(1, M) the stationary one."""
        xx, xv, vv = propagated(phi, (cov[0] - 1.0, cov[1], cov[2] - self.mass))
        return xx + 1.0, xv, vv + self.mass

    def marginal(self, at: Instant, mean: Any, var: Any) -> tuple[Pair, Cov]:
        """Return mean and covariance of (x_t, v_t) for data of this mean and variance per coordinate."""
        (a, c), (xx, xv, vv) = at.first, at.cov
        return (a * mean, c * mean), (xx + a * a * var, xv + a * c * var, vv + c * c * var)

    @override
    def prior(
        self,
        shape: tuple[int, ...],
        *,
        mean: Any = 0.0,
        var: Any = 0.0,
        t: float | None = None,
        generator: Any = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Draw u_T, or u_t, from the Gaussian with the moments of the data, noised: x and v are correlated."""
        at = self.at(self.horizon if t is None else float(t))
        mean, var = (torch.as_tensor(each, dtype=torch.float64).cpu() for each in (mean, var))
        (x, v), cov = self.marginal(at, mean, var)
        triangle = tuple(each.to(dtype).to(device) for each in root(cov))
        centre = torch.zeros((shape[0], shape[1] // 2, *shape[2:]), dtype=dtype, device=device)
        return drawn(
            (x.to(centre) + centre, v.to(centre) + centre), triangle, Generator.of(generator, device)
        )

    @numpy_too
    @override
    def sample(self, x0: Tensor, t: Any, generator: Any = None) -> Tensor:
        """Draw u_t = (x_t, v_t) given x_0, over all initial velocities; (n, 2 · first axis, ...)."""
        at = self.at(t, x0.ndim)
        return drawn(
            (at.first[0] * x0, at.first[1] * x0), root_like(at.cov, x0), Generator.of(generator, x0.device)
        )

    @numpy_too
    @override
    def path(self, x0: Tensor, times: Sequence[float], generator: Any = None) -> Tensor:
        """Draw the exact joint path of (x, v) of every example, (len(times), n, *state_shape)."""
        steps = [0.0, *(float(t) for t in times)]
        if len(steps) < 2 or any(b < a for a, b in pairwise(steps)):
            raise DifrunError("the times of a path must increase from a first time of at least 0")
        random = Generator.of(generator, x0.device)
        x, v = x0, math.sqrt(self.gamma * self.mass) * random.normal(x0)
        states = []
        for start, end in pairwise(steps):
            self.at(end)  # refuses a time beyond T
            if end > start:
                a, b, c, d = phi = propagator(self.beta * (end - start), self.friction)
                cov = self.grown(phi, (0.0, 0.0, 0.0))
                x, v = drawn((a * x + b * v, c * x + d * v), root_like(cov, x0), random).chunk(2, dim=1)
            states.append(torch.cat((x, v), dim=1))
        return torch.stack(states)

    @override
    def denoiser(
        self, network: nn.Module, *, shape: tuple[int, ...], mean: Tensor, var: Tensor, **options: Any
    ) -> Any:
        """Return a `difrun_cld.model.NetworkScore`."""
        from difrun_cld.model import NetworkScore

        return NetworkScore(network, self, shape, mean=mean, var=var)


def root_like(cov: Cov, like: Tensor) -> Cov:
    """Return `root`, computed in float64, with dtype and device of a tensor."""
    xx, xv, vv = (torch.as_tensor(each).double() for each in cov)
    lower = root((xx, xv, vv))
    return lower[0].to(like), lower[1].to(like), lower[2].to(like)


def drawn(mean: Pair, triangle: Cov, random: Generator) -> Tensor:
    """Draw (x, v) of a mean (n, ...) each and a triangle, as one state."""
    first, second = random.normal(mean[0]), random.normal(mean[1])
    xx, vx, vv = triangle
    return torch.cat((mean[0] + xx * first, mean[1] + vx * first + vv * second), dim=1)
