r"""Samples of x_0 given a measurement y = A(x_0) + σ_y n, by an addition to the score of a model.

At x_t = α x_0 + σ ε (measured from the centre of the process) every method adds to the score

    s_y = Jᵀ Hᵀ u ≈ ∇ log p(y | x_t),    J = ∂x̂_0/∂x_t,    H = ∂A/∂x_0 at x̂_0,

with its own u, an estimate of Cov[y | x_t]⁻¹ (y − A(x̂_0)). By Tweedie's formula the posterior mean then moves by

    Δ = E[x_0 | x_t, y] − E[x_0 | x_t] = (σ²/α) s_y = V Hᵀ u,    V = V[x_0 | x_t] = (σ²/α) J,

and every other kind of prediction moves with it: a x̂_0 + b ε̂ gains (a − b α/σ) Δ.
"""

from typing import Any

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.data import cast_like, wide
from difrun.errors import DifrunError
from difrun.guidance import Context
from difrun.model import ModelWrapper, ScoreModel, coefficients
from difrun.randomness import torch_generator
from difrun_guidance.measurements.operators import linear_operator, read_array
from difrun_guidance.measurements.options import MeasurementOptions, OperatorOptions

BLOCK = 2**16
"""Numbers of x in one pass. A pass keeps all that the network computes until the reverse passes are done."""

method = attrs.define(eq=False, slots=False, repr=False)
"""Decorator for the class of a method: its options become arguments of the constructor."""


@method
class Measurement(ModelWrapper, MeasurementOptions):
    """A model of p(x_0 | y), built from a model of p(x_0).

    A method writes `shift`. An operator that is not linear writes `measure`.

    Attributes:
        inner: The model of p(x_0). Its examples, and x here, are in the model's units.
        context: The run that the model is used in (dataset, seed, note). Without one the units of the data are the
            model's, and y must be given.
        y: The file of the measurement, or the array itself. None measures a held-out example of the dataset.

    Raises:
        DifrunError: If y does not fit what `measure` gives, is not finite, or there is neither y nor a dataset with
            such an example.
    """

    inner: Any = attrs.field(alias="model")
    context: Context | None = attrs.field(default=None, kw_only=True)

    # Options are frozen values. A model is equal to itself alone, and its copies are given another `inner`.
    __setattr__ = object.__setattr__
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __attrs_post_init__(self) -> None:
        MeasurementOptions.__attrs_post_init__(self)
        ModelWrapper.__init__(self, self.inner)
        scaling = None if self.context is None else self.context.dataset.scaling
        self._units = None if scaling is None else (scaling.shift, scaling.scale)
        self._y = self._simulated_y() if self.y is None else self._given_y()

    @property
    @override
    def shares(self) -> tuple[float, ...]:
        """Empty if the model also predicts without a class, because y determines which classes x_0 may have.

        `condition_on` still asks for one.
        """
        return () if self.knows_any else self.inner.shares

    @property
    @override
    def known_conditions(self) -> Tensor | None:
        """None if the model also predicts without a condition, because y determines it."""
        return None if self.knows_any else self.inner.known_conditions

    def measure(self, x: Tensor) -> Tensor:
        """Compute A(x) by operations that autograd can follow.

        Args:
            x: Examples in the units of the data, with shape (n, *shape).

        Returns:
            The measurements, with shape (n, ...).
        """
        raise NotImplementedError(f"{type(self).__name__} must define measure(x), the operator A")

    def shift(self, x: Tensor, x0: Tensor, at: Any) -> Tensor:
        """Compute Δ, which y adds to x̂_0.

        Args:
            x: The noisy input x_t, with shape (n, *shape).
            x0: The x̂_0 that was computed from x, with its graph.
            at: The instant.

        Returns:
            Δ, with shape (n, *shape).
        """
        raise NotImplementedError(f"{type(self).__name__} must define shift(x, x0, at)")

    def jvp(self, x0: Tensor, v: Tensor) -> Tensor:
        """Compute H v, the derivative of A at x̂_0 along v, by two reverse passes.

        Args:
            x0: The x̂_0, with shape (n, *shape), in the model's units.
            v: The direction, with the same shape and units.

        Returns:
            H v, with shape (n, m).
        """
        x0 = x0.detach().requires_grad_()
        y = self.observe(x0)
        zero = torch.zeros_like(y).requires_grad_()
        (back,) = torch.autograd.grad(y, x0, zero, create_graph=True)
        (forth,) = torch.autograd.grad(back, zero, v)
        return forth

    def observe(self, x: Tensor) -> Tensor:
        """Measure x given in the model's units: the rows A(x), with shape (n, m).

        Of scaled data they are float64 where the device has it: in the user's units a column may lie far from 0.
        """
        if self._units is not None:
            x = wide(x)
            shift, scale = (cast_like(unit, x) for unit in self._units)
            x = shift + scale * x
        return self.measure(x).flatten(1)

    def residual_of(self, x0: Tensor) -> Tensor:
        """The residual y − A(x_0), with shape (n, m)."""
        observed = self.observe(x0)
        return cast_like(self._y, observed) - observed

    def misfit(self, x0: Tensor) -> Tensor:
        """The misfit mean((y − A(x_0))²)/σ_y², with shape (n,).

        It is about 1 for samples that fit y as well as its noise allows.
        """
        return self.residual_of(x0).square().mean(1) / self.sigma_y**2

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        rows = max(1, BLOCK // x[:1].numel())
        if len(x) <= rows:
            return self._predict(self.inner, x, at, kind)
        parts = []
        for first in range(0, len(x), rows):
            block = slice(first, first + rows)
            here = at
            if isinstance(at.t, Tensor) and len(at.t) > 1:
                here = self.process.instant(at.t[block].reshape(-1), x.ndim)
            parts.append(self._predict(self.inner.rows(block), x[block], here, kind))
        return torch.cat(parts)

    def _predict(self, model: ScoreModel, x: Tensor, at: Any, kind: str) -> Tensor:
        point, here = self.evaluation_point(x, at)
        # Autograd records here even where it is switched off; under inference mode it could not.
        with torch.inference_mode(False), torch.enable_grad():
            point = point.detach().clone().requires_grad_()
            # The kind `straight` converts to any other without loss of digits, at either end of time.
            straight = model.predict(point, here, "straight")
            x0 = self.process.convert(straight, point, here, "straight", "x0")
            shift = self.shift(point, x0, here).detach().to(x.dtype)
        if here is at:
            unguided = self.process.convert(straight.detach(), x, at, "straight", kind)
        else:
            unguided = model.predict(x, at, kind)
        a, b = coefficients(kind, at)
        return unguided + (a - b * (at.alpha / at.sigma)) * shift

    def evaluation_point(self, x: Tensor, at: Any) -> tuple[Tensor, Any]:
        """The point and the instant at which Δ is computed: x and `at`, unless a method needs others."""
        return x, at

    def _simulated_y(self) -> Tensor:
        """The noisy measurement of a held-out example, with shape (m,), float64, on the CPU."""
        if self.context is None:
            raise DifrunError("there is nothing to be guided by: give y, the measurement.")
        dataset = self.context.dataset
        number, count = self.example or 0, len(dataset.held_out)
        if number >= count:
            raise DifrunError(
                f"--guidance.example {number}: dataset '{dataset.name}' has {count} held-out examples, numbered 0 "
                f"to {count - 1}."
            )
        clean = self._measure_one(dataset.held_out[number : number + 1].double())[0].flatten()
        random = torch_generator(self.context.seed, "measurement")
        noise = torch.randn(clean.shape, generator=random, dtype=clean.dtype)
        self._note(f"of held-out example {number}, with noise")
        return clean + self.sigma_y * noise

    def _given_y(self) -> Tensor:
        """The measurement of a file or an array, with shape (m,), float64, on the CPU."""
        mean = torch.as_tensor(self.mean).detach().cpu().double()
        expected = tuple(self._measure_one(mean.expand(self.shape)[None])[0].shape)
        y = self.restrict(read_array(self.y, "the measurement y", "y"))
        if tuple(y.shape) != expected:
            raise DifrunError(
                f"the measurement y has shape {tuple(y.shape)}; expected {expected}, as A gives it for an example of "
                f"shape {self.shape}."
            )
        if not bool(y.isfinite().all()):
            raise DifrunError("the measurement y holds numbers that are not finite.")
        self._note("given by y")
        return y.flatten()

    def restrict(self, y: Tensor) -> Tensor:
        """Bring a user's measurement into the shape that `measure` gives for one example, if possible."""
        return y

    def describe(self) -> str:
        """What is measured, in a few words."""
        return f"{type(self).__name__}.measure"

    def _measure_one(self, x: Tensor) -> Tensor:
        """A of one example in the model's units, with shape (1, ...), float64."""
        if self._units is not None:
            x = self._units[0] + self._units[1] * x
        y = self.measure(x)
        if y.ndim == 0 or len(y) != 1:
            raise DifrunError(
                f"measure(x) of {type(self).__name__} gives shape {tuple(y.shape)} for x of shape {tuple(x.shape)}; "
                "its first axis must count examples, as that of x does."
            )
        return y.detach()

    def _note(self, source: str) -> None:
        """Tell the user what is measured."""
        if self.context is not None:
            self.context.note(f"Measured: {self.describe()}, {source}; σ_y = {self.sigma_y:g}.")


@method
class LinearMeasurement(Measurement, OperatorOptions):
    """A measurement by one of the linear operators (`difrun_guidance.measurements.operators`)."""

    def __attrs_post_init__(self) -> None:
        OperatorOptions.__attrs_post_init__(self)
        self.linear = linear_operator(self, tuple(self.inner.shape))
        super().__attrs_post_init__()

    @override
    def measure(self, x: Tensor) -> Tensor:
        return self.linear(x)

    @override
    def jvp(self, x0: Tensor, v: Tensor) -> Tensor:
        if self._units is not None:
            v = wide(v)
            v = cast_like(self._units[1], v) * v
        return self.linear(v).flatten(1)

    @override
    def restrict(self, y: Tensor) -> Tensor:
        return self.linear.restrict(y)

    @override
    def describe(self) -> str:
        return self.linear.description
