r"""Processes made from two functions of time, α(t) and σ(t), as papers write them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.process.gaussian import GaussianProcess
from difrun.text import in_one_line

_STEP = 1e-30
"""Step of the complex derivative, which does not cancel however small the step is."""

_TESTED = 33
"""Times at which the functions are tested."""


class FunctionProcess(GaussianProcess):
    r"""The process x_t = α(t) x_0 + σ(t) ε of two functions, for t in [0, T].

    Functions of torch are differentiated by autograd. Functions of NumPy are differentiated by a complex step,

        dα/dt = Im α(t + ih)/h,    h = 10⁻³⁰,

    which is exact to rounding for a function made of analytic ones (arithmetic, powers, exp, log, sin, ...).

    Args:
        alpha: α(t), called with a tensor or an array of times; or a constant.
        sigma: σ(t), likewise.
        horizon: T, the time at which sampling starts.
        noise_floor: The ratio σ/α at which training and sampling end.

    Raises:
        DifrunError: If a function fails, returns another shape or numbers that are not finite, or cannot be
            differentiated; if α(0) is not 1 or σ(0) not 0; or if σ/α does not increase.

    References:
        Squire and Trapp (1998), SIAM Rev. 40, 110: the complex step.
    """

    def __init__(
        self,
        alpha: Callable[[Any], Any] | float,
        sigma: Callable[[Any], Any],
        horizon: float,
        *,
        noise_floor: float = GaussianProcess.noise_floor,
    ):
        if not horizon > 0 or not np.isfinite(horizon):
            raise DifrunError(f"the horizon T is a time above 0; got {horizon}.")
        self.horizon = float(horizon)
        self.noise_floor = float(noise_floor)
        self._alpha = _differentiable(alpha, "alpha", self.horizon)
        self._sigma = _differentiable(sigma, "sigma", self.horizon)
        self._refuse_bad_ends()

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        return self.alpha(t).log()

    @override
    def alpha(self, t: Tensor) -> Tensor:
        # T itself, rounded to float32, may be above T, where the functions need not be defined.
        return self._alpha(t.clamp_max(self.horizon))

    @override
    def variance(self, t: Tensor) -> Tensor:
        return self._sigma(t.clamp_max(self.horizon)) ** 2

    def _refuse_bad_ends(self) -> None:
        t = torch.linspace(0, self.horizon, _TESTED, dtype=torch.float64)
        alpha, sigma = self._alpha(t), self._sigma(t)
        if abs(float(alpha[0]) - 1) > 1e-6 or abs(float(sigma[0])) > 1e-6:
            raise DifrunError(
                f"at t = 0 x must be the data, alpha(0) = 1 and sigma(0) = 0; they are {float(alpha[0]):g} and "
                f"{float(sigma[0]):g}. Subtract the first noise (σ² − σ(0)²), or make a table of the values "
                "(TabulatedProcess), before whose first entry the data are put."
            )
        if bool((alpha < 0).any()) or bool((sigma < 0).any()):
            raise DifrunError("alpha(t) and sigma(t) must not be negative.")
        ratio = sigma / alpha
        if not bool((ratio.diff() > 0).all()):
            k = int((~(ratio.diff() > 0)).nonzero()[0])
            raise DifrunError(
                f"sigma/alpha must increase with t; it does not from t = {float(t[k]):g} to {float(t[k + 1]):g}. "
                f"(Time runs from 0, the data, to the horizon, noise.)"
            )


def _differentiable(function: Any, name: str, horizon: float) -> Callable[[Tensor], Tensor]:
    """The function as one of tensors that autograd differentiates, tested."""
    if not callable(function):
        if not isinstance(function, int | float):
            raise DifrunError(f"{name} is a function of t, or a number; got {function!r:.60}.")
        return lambda t: torch.full_like(t, function)
    t = torch.linspace(0, horizon, _TESTED, dtype=torch.float64)
    try:
        made = _of_torch(function, t)
    except Exception:
        made = None
    if made is None:
        made = _of_numpy(function, name, t)
    values = made(t)
    if values.shape != t.shape or not bool(values.isfinite().all()):
        raise DifrunError(f"{name}(t) must be a finite number for every t from 0 to T = {horizon:g}.")
    _refuse_wrong_slope(made, name, horizon)
    return made


def _of_torch(function: Callable[[Any], Any], t: Tensor) -> Callable[[Tensor], Tensor] | None:
    """The function itself, if it takes tensors and returns tensors or numbers; else None."""
    result = function(t.clone().requires_grad_())
    if isinstance(result, Tensor):
        return lambda t: function(t).expand_as(t)
    if isinstance(result, int | float):
        return lambda t: torch.full_like(t, function(t))
    return None


def _of_numpy(function: Callable[[Any], Any], name: str, t: Tensor) -> Callable[[Tensor], Tensor]:
    """The function as an operation of autograd whose derivative is a complex step."""
    try:
        with np.errstate(all="ignore"):
            values = np.broadcast_to(np.asarray(function(t.numpy()), dtype=np.float64), t.shape)
            np.asarray(function(t.numpy() + 1j * _STEP), dtype=np.complex128)
    except Exception as error:
        raise DifrunError(
            f"{name}(t) failed for a tensor of times and for an array, real or complex ({in_one_line(error)}). Write "
            "it with torch or NumPy (np.exp, not math.exp), without abs, max or comparisons of t."
        ) from error
    del values
    return lambda t: _ComplexStep.apply(t, function)


class _ComplexStep(torch.autograd.Function):
    """f(t) for a function of NumPy, in float64, with the derivative Im f(t + ih)/h."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, function: Callable[[Any], Any]) -> Tensor:
        """Return f(t) in the dtype and on the device of t."""
        ctx.save_for_backward(t)
        ctx.function = function
        return _evaluated(function, t.detach().cpu().double().numpy(), t)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        """Return ∂L/∂t."""
        (t,) = ctx.saved_tensors
        slope = _evaluated(ctx.function, t.detach().cpu().double().numpy() + 1j * _STEP, t)
        return gradients[0] * slope, None


def _evaluated(function: Callable[[Any], Any], t: np.ndarray, like: Tensor) -> Tensor:
    """f(t) or, for complex t, its derivative."""
    with np.errstate(all="ignore"):
        values = np.broadcast_to(np.asarray(function(t)), t.shape)
    if np.iscomplexobj(t):
        values = np.imag(values) / _STEP
    return torch.from_numpy(np.array(values, dtype=np.float64)).to(like.dtype).to(like.device)


def _refuse_wrong_slope(function: Callable[[Tensor], Tensor], name: str, horizon: float) -> None:
    """Raise DifrunError if the derivative is not that of central differences, as for a function that drops it."""
    t = horizon * torch.tensor([0.137, 0.31, 0.52, 0.689, 0.83], dtype=torch.float64)
    h = 1e-4 * horizon
    differences = (function(t + h) - function(t - h)) / (2 * h)
    t.requires_grad_()
    value = function(t)
    slope = torch.zeros_like(t)
    if value.requires_grad:
        (slope,) = torch.autograd.grad(value.sum(), t)
    size = float(differences.abs().max()) + 1e-9
    if not bool(((slope - differences).abs() <= 1e-3 * size).all()):
        raise DifrunError(
            f"{name}(t) cannot be differentiated: its derivative is {slope.tolist()[0]:g} where its values rise by "
            f"{differences.tolist()[0]:g} per unit of t. Write it with functions of torch or NumPy alone, without "
            "detach, item, abs, real or rounding."
        )
