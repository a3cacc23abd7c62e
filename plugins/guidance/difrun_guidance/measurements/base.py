r"""Samples of x_0 given a measurement y = A(x_0) + σ_y n, by a score that is added to that of a model.

At x_t = α x_0 + σ ε (counted from the centre of the process) every method adds to the score

    s_y = Jᵀ Hᵀ u ≈ ∇ log p(y | x_t),    J = ∂x̂_0/∂x_t,    H = ∂A/∂x_0 at x̂_0,

with its own u, an estimate of Cov[y | x_t]⁻¹ (y − A(x̂_0)). By Tweedie's formula the posterior mean then moves by

    Δ = E[x_0 | x_t, y] − E[x_0 | x_t] = (σ²/α) s_y = V Hᵀ u,    V = V[x_0 | x_t] = (σ²/α) J,

and every other kind of prediction with it: a x̂_0 + b ε̂ becomes that plus (a − b α/σ) Δ.
"""

from typing import Any

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.data import cast_like
from difrun.errors import DifrunError
from difrun.guidance import Context
from difrun.model import ModelWrapper, ScoreModel, coefficients
from difrun.randomness import torch_generator
from difrun_guidance.measurements.operators import array, linear
from difrun_guidance.measurements.options import MeasurementOptions, OperatorOptions

BLOCK = 2**16
"""Numbers of x in one pass, which keeps all that the network computes until the reverse passes are done."""

method = attrs.define(eq=False, slots=False, repr=False)
"""Decorator of a method's class that brings options of its own: they become arguments of its constructor."""


@method
class Measurement(ModelWrapper, MeasurementOptions):
    """A model of p(x_0 | y). A method writes `shift`; another operator than the linear ones, `measure`.

    model: of p(x_0); its examples, and x here, are in the model's units. context: the run that the model is used in
    (dataset, seed, note); without one the units of the data are the model's, and y must be given. y: the file of the
    measurement, or the array itself.

    Raises DifrunError where y does not fit what `measure` gives, is not finite, or there is neither y nor a dataset
    with such an example.
    """

    inner: Any = attrs.field(alias="model")
    context: Context | None = attrs.field(default=None, kw_only=True)

    # Options are frozen values; a model is itself alone, and is copied and given another `inner`.
    __setattr__, __eq__, __hash__ = object.__setattr__, object.__eq__, object.__hash__

    def __attrs_post_init__(self) -> None:
        MeasurementOptions.__attrs_post_init__(self)
        ModelWrapper.__init__(self, self.inner)
        scaling = None if self.context is None else self.context.dataset.scaling
        self._units = None if scaling is None else (scaling.shift, scaling.scale)
        self._values = self._observed()

    @property
    @override
    def shares(self) -> tuple[float, ...]:
        """Empty where the model can do without: y says of which classes x_0 may be. `condition_on` still asks for
        one."""
        return () if self.knows_any else self.inner.shares

    def measure(self, x: Tensor) -> Tensor:
        """A(x) of x (n, *shape) in the units of the data, by operations that autograd follows: (n, ...)."""
        raise NotImplementedError(f"{type(self).__name__} must define measure(x), the operator A")

    def along(self, x0: Tensor, v: Tensor) -> Tensor:
        """H v (n, m), the derivative of A at x̂_0 along v, both in the model's units; by two reverse passes."""
        x0 = x0.detach().requires_grad_()
        y = self.observe(x0)
        zero = torch.zeros_like(y).requires_grad_()
        (back,) = torch.autograd.grad(y, x0, zero, create_graph=True)
        (forth,) = torch.autograd.grad(back, zero, v)
        return forth

    def shift(self, x: Tensor, x0: Tensor, at: Any) -> Tensor:
        """Δ, what y adds to x̂_0 (n, *shape), for x̂_0 = `x0` that was computed from x with its graph."""
        raise NotImplementedError(f"{type(self).__name__} must define shift(x, x0, at)")

    def observe(self, x: Tensor) -> Tensor:
        """A of x in the model's units, as rows: (n, m)."""
        if self._units is not None:
            shift, scale = (cast_like(unit, x) for unit in self._units)
            x = shift + scale * x
        return self.measure(x).flatten(1)

    def residual_of(self, x0: Tensor) -> Tensor:
        """y − A(x_0), (n, m)."""
        return cast_like(self._values, x0) - self.observe(x0)

    def misfit(self, x0: Tensor) -> Tensor:
        """mean((y − A(x_0))²)/σ_y², (n,): about 1 for samples that fit y as well as its noise allows."""
        return self.residual_of(x0).square().mean(1) / self.sigma_y**2

    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        rows = max(1, BLOCK // x[:1].numel())
        if len(x) <= rows:
            return self._predict(self.inner, x, at, kind)
        parts = []
        for first in range(0, len(x), rows):
            chosen = slice(first, first + rows)
            here = at
            if isinstance(at.t, Tensor) and len(at.t) > 1:
                here = self.process.instant(at.t[chosen].reshape(-1), x.ndim)
            parts.append(self._predict(self.inner.rows(chosen), x[chosen], here, kind))
        return torch.cat(parts)

    def _predict(self, model: ScoreModel, x: Tensor, at: Any, kind: str) -> Tensor:
        seen, here = self.within_sight(x, at)
        # Recorded even where nothing else is; under inference mode nothing could be.
        with torch.inference_mode(False), torch.enable_grad():
            seen = seen.detach().clone().requires_grad_()
            # Of all kinds `straight` loses no digits on the way to any other, at either end of time.
            straight = model.predict(seen, here, "straight")
            x0 = self.process.convert(straight, seen, here, "straight", "x0")
            shift = self.shift(seen, x0, here).detach()
        if here is at:
            plain = self.process.convert(straight.detach(), x, at, "straight", kind)
        else:
            plain = model.predict(x, at, kind)
        a, b = coefficients(kind, at)
        return plain + (a - b * (at.alpha / at.sigma)) * shift

    def within_sight(self, x: Tensor, at: Any) -> tuple[Tensor, Any]:
        """x and the instant at which Δ is computed, as they are unless a method cannot do so there."""
        return x, at

    def _observed(self) -> Tensor:
        """y as (m,), float64, on the CPU: from a file or an array, or made from an example."""
        if self.y is None:
            if self.context is None:
                raise DifrunError("there is nothing to be guided by: give y, the measurement.")
            dataset = self.context.dataset
            number, count = self.example or 0, len(dataset.held_out)
            if number >= count:
                raise DifrunError(
                    f"--guidance.example {number}: dataset '{dataset.name}' has {count} held-out examples, numbered 0 "
                    f"to {count - 1}."
                )
            clean = self._one(dataset.held_out[number : number + 1].double())[0].flatten()
            random = torch_generator(self.context.seed, "measurement")
            noise = torch.randn(clean.shape, generator=random, dtype=clean.dtype)
            self._tell(f"of held-out example {number}, with noise")
            return clean + self.sigma_y * noise
        mean = torch.as_tensor(self.mean).detach().cpu().double()
        expected = tuple(self._one(mean.expand(self.shape)[None])[0].shape)
        y = self.numbers(array(self.y, "the measurement y", "y"))
        if tuple(y.shape) != expected:
            raise DifrunError(
                f"the measurement y has shape {tuple(y.shape)}; expected {expected}, as A gives it for an example of "
                f"shape {self.shape}."
            )
        if not bool(y.isfinite().all()):
            raise DifrunError("the measurement y holds numbers that are not finite.")
        self._tell("given by y")
        return y.flatten()

    def numbers(self, y: Tensor) -> Tensor:
        """A measurement as a user gives it, in the shape that `measure` gives for one example."""
        return y

    def _one(self, x: Tensor) -> Tensor:
        """A of one example, (1, ...), float64."""
        if self._units is not None:
            x = self._units[0] + self._units[1] * x
        y = self.measure(x)
        if y.ndim == 0 or len(y) != 1:
            raise DifrunError(
                f"measure(x) of {type(self).__name__} gives shape {tuple(y.shape)} for x of shape {tuple(x.shape)}; "
                "its first axis must count examples, as that of x does."
            )
        return y.detach()

    def _tell(self, source: str) -> None:
        if self.context is not None:
            self.context.note(f"Measured: {self.says()}, {source}; σ_y = {self.sigma_y:g}.")

    def says(self) -> str:
        """What is measured, in a few words."""
        return f"{type(self).__name__}.measure"


@method
class Observed(Measurement, OperatorOptions):
    """A measurement by one of the linear operators (`difrun_guidance.measurements.operators`)."""

    def __attrs_post_init__(self) -> None:
        OperatorOptions.__attrs_post_init__(self)
        self.linear = linear(self, tuple(self.inner.shape))
        super().__attrs_post_init__()

    def measure(self, x: Tensor) -> Tensor:
        return self.linear(x)

    def along(self, x0: Tensor, v: Tensor) -> Tensor:
        scale = 1.0 if self._units is None else cast_like(self._units[1], v)
        return self.linear(scale * v).flatten(1)

    def numbers(self, y: Tensor) -> Tensor:
        return self.linear.numbers(y)

    def says(self) -> str:
        return self.linear.says
