"""The contract of a score model, which predicts E[x_0 | x_t]."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.report.card import card

if TYPE_CHECKING:
    from difrun.process.base import Randomness

MOST_CORRELATED = 256
"""Most coordinates for which the covariance of the data is computed; with more, a rotation costs more than a
network."""

EVEN = 1.5
"""Ratio of the variances along principal axes below which the data count as isotropic."""

LEAST = 1e-4
"""Least variance along an axis, over the average variance: to a sampler, a narrower axis is a constant."""


class ScoreModel:
    """A model that predicts one kind and, through x̂_0, all others.

    A subclass writes `forward`, which predicts `kind`, or `predict`, which predicts any kind; each is the other's
    default.

    Sampling asks every model about classes and conditions. This base answers that there are none: `classes` is 0,
    `condition_shape`, `labels` and `class_moments` are None, and `condition_on` raises. `ConditionalModel` overrides
    these answers.

    Attributes:
        process: The forward process whose noise the model removes.
        shape: Shape of one example.
        mean: Mean of the data per coordinate, to which the prior is matched.
        var: Variance of the data per coordinate, to which the prior is matched.
        kind: What `forward` returns, one of `difrun.model.PREDICTIONS` for Gaussian processes.
        cov: Covariance (d, d) of the data, float64 on the CPU, over the d coordinates of a flattened example; None
            where it is not known or d is large.
        tunings: Number of steps -> the `difrun.sampler.tuning.Tuning` found for this model.
    """

    process: Any
    shape: tuple[int, ...]
    mean: Any = 0.0
    var: Any = 0.0
    kind: str = "x0"
    cov: Tensor | None = None
    tunings: Mapping[int, Any] = MappingProxyType({})

    def forward(self, x: Tensor, at: Any) -> Tensor:
        """Predict `kind`.

        Args:
            x: The state x_t, (n, *shape), or of the shape that the process gives it (`ForwardProcess.state_shape`).
            at: The instant of t.

        Returns:
            The prediction, of the shape of `x`.
        """
        if type(self).predict is ScoreModel.predict:
            raise NotImplementedError(
                f"{type(self).__name__} must define forward(x, at) or predict(x, at, kind)"
            )
        return self.predict(x, at, self.kind)

    def _repr_html_(self) -> str:
        rows = [("process", self.process), ("shape", tuple(self.shape)), ("predicts", self.kind)]
        network = getattr(self, "network", None)
        if isinstance(network, torch.nn.Module):
            rows.append(("weights", sum(weight.numel() for weight in network.parameters())))
        return card(type(self).__name__, rows)

    def __call__(self, x: Tensor, at: Any) -> Tensor:
        """Predict `kind` at x: `forward`."""
        return self.forward(x, at)

    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        """Predict any kind.

        Args:
            x: The state x_t, (n, *shape).
            at: The instant of t.
            kind: What to predict: "x0", "noise", "score", "velocity", or another of `difrun.model.PREDICTIONS`.

        Returns:
            The prediction, of the shape of `x`.
        """
        return self.process.convert(self(x, at), x, at, self.kind, kind)

    def affine_prediction(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        """Compute a·x + b·prediction, which most steps of a sampler are.

        A model may override it with fewer kernels.

        Args:
            x: The state x_t, (n, *shape).
            at: The instant of t.
            kind: The kind of the prediction.
            a: The factor of x, a number.
            b: The factor of the prediction, a number.

        Returns:
            The sum, of the shape of `x`.
        """
        return torch.add(a * x, self.predict(x, at, kind), alpha=b)

    def prior(
        self,
        n: int,
        generator: "Randomness" = None,
        *,
        t: float | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Draw x_T from the prior of the process, matched to `moments`; given t, x_t.

        Below T the match of mean and variance is all that x_t has of the data: the nearer t is to 0, the more is
        missing.

        Args:
            n: How many.
            generator: The source of random numbers.
            t: The time; None is T.
            dtype: The dtype of x_t.
            device: The device of x_t.

        Returns:
            x_t, (n, *shape).
        """
        mean, var = self.moments()
        start = {} if t is None else {"t": t}
        return self.process.prior(
            (n, *self.process.state_shape(self.shape)),
            mean=mean,
            var=var,
            generator=generator,
            dtype=dtype,
            device=device,
            **start,
        )

    def moments(self) -> tuple[Any, Any]:
        """Return mean and variance of the data for this batch, to which its prior is matched.

        Returns:
            Two numbers or tensors that broadcast against (n, *shape): the moments of all data or, where each row of
            the batch has a class or a condition, of that.
        """
        return self.mean, self.var

    @cached_property
    def data_std(self) -> float:
        """σ_d, with σ_d² the average of `var`; 1 where the data do not vary."""
        return std_of(torch.as_tensor(self.var))

    @cached_property
    def principal(self) -> tuple[Tensor, Tensor] | None:
        """Principal axes of the data, the columns of (d, d), and standard deviations along them (d,), float64.

        None where `cov` is None, and where the variances are equal within a factor `EVEN`. Smaller variances are raised
        to `LEAST` times σ_d².
        """
        if self.cov is None:
            return None
        variances, axes = torch.linalg.eigh(self.cov)
        variances = variances.clamp(min=LEAST * self.data_std**2)
        return None if variances[-1] <= EVEN * variances[0] else (axes, variances.sqrt())

    def refuse_times(self, times: Sequence[float]) -> None:
        """Refuse a grid on which the model cannot be sampled; called before a run.

        Args:
            times: The times of the grid, decreasing.

        Raises:
            DifrunError: If the model fits other grids only.
        """

    def to(self, device: torch.device | str) -> "ScoreModel":
        """Move what the model holds to a device.

        Args:
            device: The device.

        Returns:
            This model.
        """
        return self

    @property
    def classes(self) -> int:
        """How many classes `condition_on` knows."""
        return 0

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each class in the data, for a model that is sampled in these proportions; else ()."""
        return ()

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        """The shape of a condition c, for a model of p(x | c); None for one that takes none."""
        return None

    @property
    def known_conditions(self) -> Tensor | None:
        """Conditions of the data, (N, *condition_shape), for a model that is sampled given these in turn; else None."""
        return None

    @property
    def completes(self) -> bool:
        """Whether a condition consists of coordinates of x itself, which keep the values that they are given."""
        return False

    @property
    def labels(self) -> Tensor | None:
        """Class or condition of each row of the batch; None: any for all rows.

        Classes are (n,) int64, −1 for any class. Conditions are (n, *condition_shape), NaN where they are not known.
        """
        return None

    @property
    def class_moments(self) -> tuple[Tensor, Tensor] | None:
        """Mean and variance of the data of each class, (classes, *shape) each, where they are known."""
        return None

    @property
    def knows_any(self) -> bool:
        """Whether the model also predicts without a class or condition."""
        return True

    def condition_on(self, labels: Tensor) -> "ScoreModel":
        """Return the model of p(x | class) or p(x | c), for a batch whose row i has the class or condition labels[i].

        Args:
            labels: Classes (n,) int64, where −1 stands for any class; or, for a model with a `condition_shape`,
                conditions (n, *condition_shape), with NaN for what is not known.

        Returns:
            A model that answers batches of n rows. This model stays as it is.

        Raises:
            DifrunError: If the model knows no classes and no condition, or a label is not one of its classes, or a
                condition does not have its shape.
        """
        if labels.is_floating_point():
            raise DifrunError(
                "this model takes no condition: it was made for data without one, or trained without it "
                "(--train.label-dropout 1)."
            )
        raise DifrunError(
            "this model knows no classes: it was made for data without labels, or trained without them "
            "(--train.label-dropout 1)."
        )

    def rows(self, index: Any) -> "ScoreModel":
        """Return this model for some rows of its batch, with their labels.

        Args:
            index: The numbers of the rows, or a slice.

        Returns:
            A model that answers batches of these rows.
        """
        return self


def std_of(var: Tensor) -> float:
    """Return σ_d for variances per coordinate: the root of their average, 1 where that is 0."""
    return math.sqrt(float(var.cpu().double().mean())) or 1.0
