"""Score models: whatever can say E[x_0 | x_t]."""

import copy
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.model.backward import Pull
from difrun.model.labels import check_labels
from difrun.model.predictions import coefficients

MOST_CORRELATED = 256
"""Coordinates beyond which nobody takes the covariance of the data: a rotation would cost more than a small network."""

EVEN = 1.5
"""Ratio of the variances along principal axes below which the data count as round."""

LEAST = 1e-4
"""Least variance along an axis, in units of the average: what is narrower is a constant to a sampler."""


class ScoreModel:
    """Something that predicts one kind and, through x̂_0, all others.

    process: the forward process whose noise it removes.
    shape: shape of one example.
    mean, var: moments of the data per coordinate, from which the prior is matched.
    kind: what `forward` returns, one of `difrun.model.KINDS` for Gaussian processes.
    cov: covariance of the data (d, d), float64 on the CPU, over the d coordinates of a flattened example; None where it
        is not known or they are many.
    tunings: number of steps -> `difrun.tuning.Tuning` that was found for this model.
    inner: the model that a wrapper asks; None for one that answers itself.
    shares: how the classes are spread in the data, for a model that was trained on labels and draws by them; else ().
    labels: the class of every row of the batch, (n,) int64, −1 for any; None: any class for all (`condition_on`).
    class_moments: mean and variance of the data of every class, (classes, *shape) each, where they are known.
    knows_any: whether it can be asked without a class; not if it was trained with the label of every example.
    """

    process: Any
    shape: tuple[int, ...]
    mean: Any = 0.0
    var: Any = 0.0
    kind: str = "x0"
    cov: Tensor | None = None
    tunings: Mapping[int, Any] = MappingProxyType({})
    inner: Any = None
    _shares: tuple[float, ...] = ()
    _labels: Tensor | None = None
    _knows_any: bool = True
    class_moments: tuple[Tensor, Tensor] | None = None

    @property
    def shares(self) -> tuple[float, ...]:
        return self._shares if self.inner is None else self.inner.shares

    @shares.setter
    def shares(self, shares: tuple[float, ...]) -> None:
        self._shares = tuple(shares)

    @property
    def labels(self) -> Tensor | None:
        return self._labels if self.inner is None else self.inner.labels

    @property
    def classes(self) -> int:
        """How many classes `condition_on` knows; 0 where there are none."""
        return len(self._shares) if self.inner is None else self.inner.classes

    @property
    def knows_any(self) -> bool:
        return self._knows_any if self.inner is None else self.inner.knows_any

    def condition_on(self, labels: Tensor) -> "ScoreModel":
        """The model of p(x | class) for a batch whose row i is of the class labels[i]; −1 stands for any.

        labels: (n,) int64. What is returned answers batches of n rows; this model stays as it is. A wrapper passes it
        on to `inner`. Raises DifrunError for a model without classes, and for a class that there is not.
        """
        if self.inner is not None:
            changed = copy.copy(self)
            changed.inner = self.inner.condition_on(labels)
            return changed
        if not self.classes:
            raise DifrunError(
                "this model knows no classes: it was made for data without labels, or trained without them "
                "(--train.label-dropout 1)."
            )
        check_labels(labels, self.classes)
        changed = copy.copy(self)
        changed._labels = labels
        return changed

    def refuse_times(self, times: Sequence[float]) -> None:
        """Raise DifrunError where the model cannot be sampled on the grid of these times; asked before a run."""

    def moments(self) -> tuple[Any, Any]:
        """Mean and variance of the data that its batch is to be: of the class of every row, where these are known.

        From these the prior is matched. With α_T > 0 that of all classes is wrong for one: it moves weights of modes.
        """
        labels = self.labels
        if labels is None:
            return self.mean, self.var
        if self.inner is not None:
            return self.inner.moments()
        if self.class_moments is None:
            return self.mean, self.var
        means, variances = (
            torch.cat((torch.as_tensor(each), torch.as_tensor(every).to(each)[None]))
            for each, every in zip(self.class_moments, (self.mean, self.var), strict=True)
        )
        labels = labels.to(means.device)
        return means[labels], variances[labels]  # the last is for −1, any class

    def rows(self, index: Any) -> "ScoreModel":
        """This model for some rows of its batch, by number or slice: what `condition_on` said of them goes with
        them."""
        labels = self.labels
        if labels is None:
            return self
        return self.condition_on(labels[index.to(labels.device) if isinstance(index, Tensor) else index])

    @cached_property
    def data_std(self) -> float:
        """σ_d, with σ_d² the average of `var`; 1 where the data do not vary."""
        return std_of(torch.as_tensor(self.var))

    @cached_property
    def principal(self) -> tuple[Tensor, Tensor] | None:
        """Principal axes of the data, the columns of (d, d), and standard deviations along them (d,), float64.

        None where `cov` is, and where the variances are equal within a factor `EVEN`. Those of less than `LEAST` times
        σ_d² count as much.
        """
        if self.cov is None:
            return None
        variances, axes = torch.linalg.eigh(self.cov)
        variances = variances.clamp(min=LEAST * self.data_std**2)
        return None if variances[-1] <= EVEN * variances[0] else (axes, variances.sqrt())

    def forward(self, x: Tensor, at: Any) -> Tensor:
        """The prediction of `kind` at x of shape (n, ...)."""
        raise NotImplementedError

    def __call__(self, x: Tensor, at: Any) -> Tensor:
        return self.forward(x, at)

    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        """The prediction as `kind`: x0, noise, score, velocity, v, straight, ..."""
        return self.process.convert(self(x, at), x, at, self.kind, kind)

    def affine_prediction(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        """a·x + b·prediction, what most steps of a sampler are; a model may override it with fewer kernels."""
        return torch.add(a * x, self.predict(x, at, kind), alpha=b)

    def regression(self, x: Tensor, x0: Tensor, noise: Tensor, at: Any, kind: str) -> dict[str, Tensor]:
        """The least-squares problem of predicting `kind` at x = x_t: what `residual` needs, one row per example.

        `gain` is the factor that turns the residual into an error of `kind`: () where it is the same at every time.
        """
        a, b = coefficients(kind, at)
        centre = self.process.centre_like(x)
        target = a * (x0 - centre) + b * noise
        if kind == "x0":
            target = target + centre
        return {"x": x, "t": at.t.reshape(-1), "target": target, "gain": torch.ones((), dtype=at.t.dtype)}

    def residual(self, examples: dict[str, Tensor], kind: str) -> Tensor:
        """Prediction minus target for the examples made by `regression`."""
        x = examples["x"]
        return self.predict(x, self.process.instant(examples["t"], x.ndim), kind) - examples["target"]

    def pullback(self, examples: dict[str, Tensor]) -> tuple[Tensor, Pull] | None:
        """The residual and its reverse pass, of a network that has one (`difrun.model.backward`); else None."""
        return None

    def to(self, device: torch.device | str) -> "ScoreModel":
        """Move what the model holds to a device."""
        return self


def std_of(var: Tensor) -> float:
    """σ_d of variances per coordinate: the root of their average, 1 where that is 0."""
    return math.sqrt(float(var.cpu().double().mean())) or 1.0
