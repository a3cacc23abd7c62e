r"""Processes made from a table: the β, ᾱ or σ of a chain, at t = 1 ... N, made continuous in time.

A Gaussian process is fixed by two functions, its log-SNR λ = log(α/σ) and its scale S² = α² + σ². Between the entries
of a table λ follows a `NoiseCurve`. The scale keeps the law that the table obeys:

    scale         law                  table
    preserving    α² + σ² = 1          β, ᾱ
    exploding     α = 1                σ
    straight      α + σ = 1            σ of a rectified flow
    free          none                 any; log S² follows a cubic spline

At t = 0, before the first entry, x_0 is the data.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, Self, get_args

import torch
from scipy.interpolate import CubicSpline
from torch import Tensor
from typing_extensions import override

from difrun.data.casts import CastCache
from difrun.errors import DifrunError
from difrun.process.clock import Clock
from difrun.process.gaussian import GaussianProcess
from difrun.process.noise_curve import NoiseCurve
from difrun.process.schedule import LAM_FORGOTTEN
from difrun.process.table_checks import as_table, log_snr_form, refuse_bad_scale, variance_steps

Scale = Literal["preserving", "exploding", "straight", "free"]


class TabulatedProcess(GaussianProcess):
    r"""A Gaussian process through a table of (α, σ), exact at t = 1 ... N and smooth in between.

    Time runs from 0 (data) to T = N, or to the last of `times`. The process of a network trained elsewhere is made by
    one of

        TabulatedProcess.from_betas(betas)                    α_n² = ᾱ_n = ∏_{m≤n} (1 − β_m), σ_n² = 1 − ᾱ_n
        TabulatedProcess.from_alphas_cumprod(alphas_cumprod)  ᾱ itself
        TabulatedProcess.from_sigmas(sigmas)                  x_t = x_0 + σε; with scale="straight" (1 − σ)x_0 + σε
        TabulatedProcess.from_functions(alpha, sigma, T)      no table, but the two functions

    Sampling ends at the first entry, t = 1, below which no network was trained, unless `noise_floor` says otherwise.
    The noise σ_1 remains in the samples.

    Args:
        alpha: α_1 ... α_N, from data to noise; the last may be 0.
        sigma: σ_1 ... σ_N. A first entry without noise, α = 1 and σ = 0, is node 0: the other entries then have
            t = 1 ... N − 1.
        scale: The law of α² + σ² between the entries. None takes the first one in the table above that they obey.
        noise_floor: The ratio σ/α at which training and sampling end; None takes that of the first noisy entry.
        times: The time of each entry, increasing from data to noise; None is 1 ... N.

    Attributes:
        alphas: α at the data and the entries, (N + 1,) float64.
        sigmas: σ at the data and the entries, (N + 1,) float64.
        times: Their times, (N + 1,) float64, from 0.
        scale: The law of α² + σ².

    Raises:
        DifrunError: If the table has fewer than two noisy entries, is not finite, does not lose signal at every entry
            (σ/α must increase), or does not obey the scale; or if `times` do not increase from 0.
    """

    _clock: Clock | None = None
    """The place in the table at any time; None where that is the time."""

    def __init__(
        self,
        alpha: Any,
        sigma: Any,
        *,
        scale: Scale | None = None,
        noise_floor: float | None = None,
        times: Any = None,
    ):
        alphas, sigmas = as_table(alpha, "alpha"), as_table(sigma, "sigma")
        if len(alphas) != len(sigmas):
            raise DifrunError(
                f"alpha has {len(alphas)} entries and sigma {len(sigmas)}; both need one per time."
            )
        u = log_snr_form(alphas, sigmas)
        self._start(u, alphas, sigmas, scale, noise_floor)
        if times is not None:
            self._clock = Clock.of_entries(times, len(alphas), begins_with_data=not self.table_start)
            self.times = self._clock.times
            self.horizon = float(self.times[-1])

    def _start(
        self, u: Tensor, alphas: Tensor, sigmas: Tensor, scale: Scale | None, noise_floor: float | None
    ) -> None:
        """Set up from the values at the entries, of which u = log(1 + σ²/α²) is known to be increasing."""
        self.table_start = 0.0 if float(u[0]) == 0 else 1.0
        if self.table_start:
            zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
            u, alphas, sigmas = torch.cat([zero, u]), torch.cat([one, alphas]), torch.cat([zero, sigmas])
        if len(u) < 3:
            raise DifrunError(f"a table needs at least 2 entries with noise; this one has {len(u) - 1}.")
        self.scale = _law(alphas, sigmas) if scale is None else scale
        refuse_bad_scale(self.scale, alphas, sigmas, get_args(Scale))
        self.horizon = float(len(u) - 1)
        self.times = torch.arange(len(u), dtype=torch.float64)
        self.alphas, self.sigmas = alphas, sigmas
        self.curve = NoiseCurve(u, root=self.scale != "preserving")
        self.noise_floor = float((sigmas / alphas)[1]) if noise_floor is None else float(noise_floor)
        self._index_falls = False
        self._casts = CastCache()

    @classmethod
    def from_betas(cls, betas: Any, *, noise_floor: float | None = None) -> Self:
        """Return the process of a chain x_n = √(1 − β_n) x_{n−1} + √β_n ε.

        Args:
            betas: β_1 ... β_N, above 0 and below 1; the last may be 1, which leaves no signal.
            noise_floor: See the class.

        Raises:
            DifrunError: If they are not.

        References:
            Ho et al. (2020), arXiv 2006.11239.
        """
        return cls._preserving(variance_steps(betas).cumsum(0), noise_floor)

    @classmethod
    def from_alphas_cumprod(cls, alphas_cumprod: Any, *, noise_floor: float | None = None) -> Self:
        """Return the process with α² = ᾱ_n and σ² = 1 − ᾱ_n.

        Args:
            alphas_cumprod: ᾱ_1 ... ᾱ_N, strictly decreasing, in (0, 1]; the last may be 0, which leaves no signal.
                A first entry of 1 is the data, t = 0.
            noise_floor: See the class.

        Raises:
            DifrunError: If they are not.
        """
        table = as_table(alphas_cumprod, "alphas_cumprod")
        if not bool(((table >= 0) & (table <= 1)).all()):
            raise DifrunError(
                "alphas_cumprod must lie between 0 and 1: it is the squared factor of the data."
            )
        u = -table.log()
        log_snr_form(table.sqrt(), (-torch.expm1(-u)).sqrt(), "alphas_cumprod must strictly decrease")
        return cls._preserving(u, noise_floor)

    @classmethod
    def _preserving(cls, u: Tensor, noise_floor: float | None) -> Self:
        """The process with u = −log ᾱ at its entries; α and σ follow without a loss of digits."""
        process = cls.__new__(cls)
        process._start(u, (-0.5 * u).exp(), (-torch.expm1(-u)).sqrt(), "preserving", noise_floor)
        return process

    @classmethod
    def from_sigmas(
        cls,
        sigmas: Any,
        *,
        scale: Literal["exploding", "preserving", "straight"] = "exploding",
        noise_floor: float | None = None,
    ) -> Self:
        """Return the process with the noise levels of a table, in either order.

        Args:
            sigmas: σ_1 ... σ_N, strictly increasing or strictly decreasing. An entry of 0 is the data, t = 0. Indices
                of a network count in the order that is given (`table_index`).
            scale: "exploding": x_t = x_0 + σε; "preserving": √(1 − σ²) x_0 + σε; "straight": (1 − σ) x_0 + σε.
            noise_floor: See the class.

        Raises:
            DifrunError: If they are not, or exceed 1 with a scale that forbids it.
        """
        table = as_table(sigmas, "sigmas")
        falling = len(table) > 1 and bool(table[0] > table[-1])
        table = table.flip(0) if falling else table
        if scale != "exploding" and not bool(((table >= 0) & (table <= 1)).all()):
            raise DifrunError(
                f"sigmas must lie between 0 and 1 with scale={scale!r}; those of x_0 + σε have scale='exploding'."
            )
        if scale == "exploding":
            alphas = torch.ones_like(table)
        else:
            alphas = 1 - table if scale == "straight" else (1 - table**2).sqrt()
        process = cls.__new__(cls)
        u = log_snr_form(alphas, table, "sigmas must strictly increase, or strictly decrease")
        process._start(u, alphas, table, scale, noise_floor)
        process._index_falls = falling
        return process

    @staticmethod
    def from_functions(
        alpha: Callable[[Any], Any] | float,
        sigma: Callable[[Any], Any],
        horizon: float,
        *,
        noise_floor: float = GaussianProcess.noise_floor,
    ) -> GaussianProcess:
        """Return the process of two functions of t, without a table: see `difrun.process.functions.FunctionProcess`."""
        from difrun.process.functions import FunctionProcess

        return FunctionProcess(alpha, sigma, horizon, noise_floor=noise_floor)

    @cached_property
    @override
    def forgets(self) -> bool:
        """Whether nothing of the data is left at N, so that grids need not resolve λ down to its end."""
        return self.at(self.horizon).lam < LAM_FORGOTTEN - 1

    @override
    def table_index(self, t: Any) -> Any:
        place = self._place(t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64))
        index = len(self.times) - 1 - place if self._index_falls else place - self.table_start
        return index if isinstance(t, Tensor) else float(index)

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        if self.scale == "exploding":
            return torch.zeros_like(t)
        n = self._place(t)
        if self.scale == "preserving":
            return -0.5 * self.curve(n)
        return (
            self.alpha(t).log() if self.scale == "straight" else 0.5 * (self._log_square(n) - self.curve(n))
        )

    @override
    def alpha(self, t: Tensor) -> Tensor:
        if self.scale == "exploding":
            return torch.ones_like(t)
        n = self._place(t)
        signal = self.curve.signal(n)
        if self.scale == "preserving":
            return signal
        if self.scale == "straight":
            return signal / (signal + self.curve.noise(n))
        return signal * (0.5 * self._log_square(n)).exp()

    @override
    def variance(self, t: Tensor) -> Tensor:
        n = self._place(t)
        if self.scale == "exploding":
            return torch.expm1(self.curve(n))
        if self.scale == "preserving":
            return self.curve.noise_var(n)
        noise = self.curve.noise(n)
        if self.scale == "straight":
            return (noise / (self.curve.signal(n) + noise)) ** 2
        return noise**2 * self._log_square(n).exp()

    @override
    def _time_at(self, target: Tensor) -> Tensor:
        place = self.curve.inverse(torch.logaddexp(torch.zeros_like(target), -2 * target))
        return place if self._clock is None else self._clock.time(place)

    def _place(self, t: Tensor) -> Tensor:
        """The place in the table at time t: 0 for the data, N for the last entry."""
        return t if self._clock is None else self._clock.place(t)

    def _log_square(self, n: Tensor) -> Tensor:
        """Log S² at a place, on the cubic spline through its values at the entries."""
        (pieces,) = self._casts.like(n, lambda: (self._pieces,))
        start = n.detach().floor().clamp(0, len(pieces) - 1)
        c, h = pieces[start.long()], n - start
        return ((c[..., 0] * h + c[..., 1]) * h + c[..., 2]) * h + c[..., 3]

    @cached_property
    def _pieces(self) -> Tensor:
        """Coefficients of the cubic of each interval, highest power first, (N, 4)."""
        values = (self.alphas**2 + self.sigmas**2).log()
        spline = CubicSpline(range(len(values)), values.numpy(), bc_type="natural")
        return torch.from_numpy(spline.c.T.copy())


def _law(alphas: Tensor, sigmas: Tensor) -> Scale:
    """The first law that all entries obey, to rounding in float32."""
    laws: dict[Scale, Tensor] = {
        "preserving": alphas**2 + sigmas**2,
        "exploding": alphas,
        "straight": alphas + sigmas,
    }
    for name, values in laws.items():
        if float((values - 1).abs().max()) < 1e-6:
            return name
    return "free"
