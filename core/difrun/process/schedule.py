r"""Schedules: α(t), σ(t) and everything that follows from them.

A schedule is two functions, log α(t) and σ²(t), with α(0) = 1 and σ(0) = 0. The rest follows:

    λ = log(α/σ)                     half log signal-to-noise ratio, strictly decreasing
    f = α̇/α                          linear drift of the SDE dx = f x dt + g dw
    g² = d(σ²)/dt − 2 f σ²           its squared diffusion
    σ̇ = (dσ²/dt) / (2σ)

f and g² are those of the SDE with these marginals (Kingma et al., 2021, arXiv 2107.00630; Lu et al., 2022,
arXiv 2206.00927, sec. 2.1).

Derivatives are taken by automatic differentiation, so a plugin writes none.
"""

import math
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.process.times import as_time

Time = float | Tensor

FORGOTTEN = -10.0
"""λ below which nothing of the data is left: α/σ = e^−10."""

LAM_FORGOTTEN = -5.0
"""The λ at which a process that forgets its data counts as ended: σ/α = 148.

From there to λ(T) = −∞ x̂_0 hardly moves, and one step covers the whole range. A grid that went on to λ = −10 would
spend 17 of 30 steps (`rho`) or 10 (`logsnr`) there.
"""


class Instant:
    """A time and the coefficients of a Gaussian process there; fields are computed when first read.

    All fields are Python numbers in sampling and tensors (B, 1, ..., 1), ready to broadcast, in training.

    Attributes:
        schedule: The process.
        t: The time.
    """

    def __init__(self, schedule: "Schedule", t: Any, **fields: Any):
        self.schedule = schedule
        self.t = t
        self.__dict__.update(fields)

    @cached_property
    def log_alpha(self) -> Any:
        """Logarithm of α, finite also where α is too small for its format."""
        return self.schedule.log_alpha(self.t)

    @cached_property
    def var(self) -> Any:
        """Variance σ² of the noise in x_t."""
        return self.schedule.variance(self.t)

    @cached_property
    def alpha(self) -> Any:
        """Factor α of the data in x_t."""
        return self.schedule.alpha(self.t)

    @cached_property
    def sigma(self) -> Any:
        """Standard deviation σ of the noise in x_t."""
        return self.var.sqrt()

    @cached_property
    def lam(self) -> Any:
        """Half the log signal-to-noise ratio, λ = log(α/σ)."""
        return self.log_alpha - 0.5 * self.var.log()

    @cached_property
    def d_alpha(self) -> Any:
        """Derivative dα/dt."""
        return self._derivatives[0]

    @cached_property
    def d_var(self) -> Any:
        """Derivative dσ²/dt."""
        return self._derivatives[1]

    @cached_property
    def f(self) -> Any:
        """Linear drift coefficient α̇/α = d log α/dt, finite also where α is too small for its format."""
        return self.schedule.log_slope(self.t)

    @cached_property
    def d_sigma(self) -> Any:
        """Derivative dσ/dt."""
        return self.d_var / (2 * self.sigma)

    @cached_property
    def g2(self) -> Any:
        """Squared diffusion coefficient g²."""
        return self.d_var - 2 * self.f * self.var

    @cached_property
    def _derivatives(self) -> tuple[Tensor, Tensor]:
        return self.schedule.derivatives(self.t)

    def __repr__(self) -> str:
        return f"Instant(t={self.t}, alpha={self.alpha}, sigma={self.sigma})"


def _column(name: str) -> Any:
    return cached_property(lambda at: at.read(name))


class GridInstant(Instant):
    """One instant of a grid, in Python numbers; an unknown field is computed for the whole grid when first read.

    Args:
        grid: The instant whose t is the whole grid.
        k: The place in the grid.
        lists: Fields of the grid that were read already, shared by all its instants.
        t: The time.
        **fields: Fields that need not be computed.
    """

    def __init__(self, grid: Instant, k: int, lists: dict[str, list[float]], t: float, **fields: float):
        super().__init__(grid.schedule, t, **fields)
        self._grid, self._k, self._lists = grid, k, lists

    def read(self, name: str) -> float:
        """Return a field, by name."""
        if name not in self._lists:
            self._lists[name] = getattr(self._grid, name).tolist()
        return self._lists[name][self._k]

    log_alpha, alpha, sigma, var, lam = map(_column, ("log_alpha", "alpha", "sigma", "var", "lam"))
    f, g2, d_alpha, d_sigma, d_var = map(_column, ("f", "g2", "d_alpha", "d_sigma", "d_var"))


class Schedule:
    """α(t) and σ(t) of a Gaussian process. A subclass writes `log_alpha` and `variance` and sets `horizon`."""

    horizon: float
    """T, the time at which sampling starts."""

    noise_floor: float = 0.002
    """Noise-to-signal ratio σ/α at which training and sampling end."""

    def log_alpha(self, t: Tensor) -> Tensor:
        """Return log α(t), by torch operations that can be differentiated."""
        raise NotImplementedError(f"{type(self).__name__} must define log_alpha(t)")

    def alpha(self, t: Tensor) -> Tensor:
        """Return α(t) = exp(log α(t)); a process whose α vanishes at T overrides it."""
        return self.log_alpha(t).exp()

    def variance(self, t: Tensor) -> Tensor:
        """Return σ²(t), by torch operations that can be differentiated and are accurate near t = 0."""
        raise NotImplementedError(f"{type(self).__name__} must define variance(t)")

    def derivatives(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return (dα/dt, dσ²/dt), by automatic differentiation."""
        # Under inference mode nothing would be recorded, and every derivative would be 0.
        with torch.inference_mode(False), torch.enable_grad():
            t = torch.as_tensor(as_time(t)).clone().detach().requires_grad_()
            return self._slope(self.alpha, t), self._slope(self.variance, t)

    def log_slope(self, t: Tensor) -> Tensor:
        """Return d log α/dt, by automatic differentiation."""
        with torch.inference_mode(False), torch.enable_grad():
            t = torch.as_tensor(as_time(t)).clone().detach().requires_grad_()
            return self._slope(self.log_alpha, t)

    @staticmethod
    def _slope(function: Any, t: Tensor) -> Tensor:
        value = function(t)
        if not value.requires_grad:  # a constant, as α = 1 of the variance-exploding family
            return torch.zeros_like(t)
        (slope,) = torch.autograd.grad(value.sum(), t)
        return slope

    def at(self, t: Time, ndim: int | None = None) -> Instant:
        """Return the instant at time t: numbers for a number, tensors of `ndim` axes (B, 1, ..., 1) for a tensor (B,).

        Raises:
            DifrunError: If t is no time, or is outside [0, T]. On a GPU this test of a tensor waits for the device.
        """
        t = as_time(t, ndim)
        if not isinstance(t, Tensor):
            return self.instants([t])[0]
        if t.numel() and not t.is_meta:
            # T itself, rounded to float32, may be above T.
            self._refuse_outside(t.min().item(), t.max().item(), 1e-6)
        return self.instant(t, ndim)

    def instant(self, t: Tensor, ndim: int | None = None) -> Instant:
        """Return `at` for a tensor of times that are known to lie in [0, T], without the test: for training."""
        if ndim is not None:
            t = t.reshape(t.shape + (1,) * (ndim - t.ndim))
        return Instant(self, t)

    def instants(self, times: Iterable[float]) -> list[Instant]:
        """Return the instants of a whole grid, as Python numbers, from float64 arithmetic.

        Raises:
            DifrunError: If a time is outside [0, T].
        """
        ts = [float(t) for t in times]
        for t in ts:
            self._refuse_outside(t, t, 1e-9)
        grid = Instant(self, torch.tensor(ts, dtype=torch.float64))
        rows = zip(
            ts, *(getattr(grid, name).tolist() for name in ("alpha", "sigma", "var", "lam")), strict=True
        )
        lists: dict[str, list[float]] = {}
        return [
            GridInstant(grid, k, lists, t, alpha=alpha, sigma=sigma, var=var, lam=lam)
            for k, (t, alpha, sigma, var, lam) in enumerate(rows)
        ]

    def _refuse_outside(self, first: float, last: float, rounding: float) -> None:
        """Raise DifrunError unless 0 ≤ first ≤ last ≤ T; `rounding` is the relative excess over T that is allowed."""
        if not (first >= 0 and last <= self.horizon * (1 + rounding)):
            raise DifrunError(
                f"time runs from 0 (data) to T = {self.horizon:g}; got {last if first >= 0 else first:g}"
            )

    def log_snr(self, t: Tensor) -> Tensor:
        """Return λ(t) = log(α/σ), half the log signal-to-noise ratio."""
        t = torch.as_tensor(as_time(t))
        return self.log_alpha(t) - 0.5 * self.variance(t).log()

    def time_at(self, lam: Time) -> Any:
        """Return the time at which λ(t) = lam, clipped to [0, T]: a number for a number, a tensor for a tensor.

        A tensor keeps its dtype and device. In between, it is in float64 on the CPU, as some devices have no float64.
        A process with a closed form overrides `_time_at`.
        """
        lam = as_time(lam)
        if isinstance(lam, Tensor):
            return self._time_at(lam.cpu().double()).to(lam.dtype).to(lam.device)
        return self._time_at(torch.tensor(lam, dtype=torch.float64)).item()

    def _time_at(self, target: Tensor) -> Tensor:
        """`time_at` for a float64 tensor of any shape on the CPU; by bisection unless overridden."""
        low = torch.zeros_like(target)
        high = torch.full_like(target, self.horizon)
        for _ in range(200):
            middle = 0.5 * (low + high)
            early = self.log_snr(middle.clamp_min(1e-300)) > target
            low, high = torch.where(early, middle, low), torch.where(early, high, middle)
            if torch.equal(low, high) or bool(((high - low) <= 1e-15 * high).all()):
                break
        return high

    @cached_property
    def t_min(self) -> float:
        """The time at which σ/α = `noise_floor`: where training and sampling end.

        Raises:
            DifrunError: If σ/α stays below it up to the horizon.
        """
        last = self.at(self.horizon).lam
        if last >= -math.log(self.noise_floor):
            raise DifrunError(
                f"noise_floor = {self.noise_floor:g} is never reached: at the horizon T = {self.horizon:g} the ratio "
                f"σ/α is {math.exp(-last):g}. Choose a smaller noise_floor, or more noise."
            )
        return float(self.time_at(-math.log(self.noise_floor)))

    @cached_property
    def forgets(self) -> bool:
        """Whether nothing of the data is left at T: λ(T) < `FORGOTTEN`, or even α(T) = 0."""
        return self.at(self.horizon).lam < FORGOTTEN

    @cached_property
    def lam_range(self) -> tuple[float, float]:
        """λ at T and at t_min, over which grids, training times and noise levels are spread.

        For a process that forgets its data λ(T) may be −∞: `LAM_FORGOTTEN` takes its place.
        """
        return LAM_FORGOTTEN if self.forgets else self.at(self.horizon).lam, self.at(self.t_min).lam

    def time_near(self, lam: Tensor) -> Tensor:
        """Return `time_at` from a table, for many λ within `lam_range`; the relative error of t is below 1e-5."""
        low, high = self.lam_range
        table = self._log_times
        place = ((lam.cpu().double() - low) / (high - low)).clamp(0, 1) * (len(table) - 1)
        left = place.floor().clamp_max(len(table) - 2)
        times = torch.lerp(table[left.long()], table[left.long() + 1], place - left).exp()
        return times.to(lam.dtype).to(lam.device)

    @cached_property
    def _log_times(self) -> Tensor:
        """The logarithm of t at equally spaced λ; it is nearly linear in λ wherever t is small."""
        return self.time_at(torch.linspace(*self.lam_range, 8193, dtype=torch.float64)).log()
