"""Models that can be trained: the least-squares problem of a prediction, and its reverse pass."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.model.backward import Pull
from difrun.model.base import ScoreModel
from difrun.model.predictions import coefficients
from difrun.model.wrappers import ModelWrapper


class TrainableModel(ScoreModel):
    """A model that a `difrun.loss.Regression` trains.

    The methods state the regression in terms of `predict`. A network overrides them with fewer kernels.
    """

    def regression(self, x: Tensor, x0: Tensor, noise: Tensor, at: Any, kind: str) -> dict[str, Tensor]:
        """Return the least-squares problem of predicting `kind` at x_t: all that does not depend on the weights.

        Args:
            x: The states x_t, (n, *shape).
            x0: The examples, of the same shape.
            noise: The noise ε in x_t, of the same shape.
            at: The instants of the n times.
            kind: The kind that is predicted.

        Returns:
            What `residual` needs, by name, with a row for each example; and ``gain``, the factor that turns the
            residual into an error of `kind`: () if it is the same at every time, else one for each example.
        """
        a, b = coefficients(kind, at)
        centre = self.process.centre_like(x)
        target = a * (x0 - centre) + b * noise
        if kind == "x0":
            target = target + centre
        return {"x": x, "t": at.t.reshape(-1), "target": target, "gain": torch.ones((), dtype=at.t.dtype)}

    def residual(self, examples: dict[str, Tensor], kind: str) -> Tensor:
        """Return prediction minus target.

        Args:
            examples: What `regression` returned, without ``gain``.
            kind: The kind that is predicted.

        Returns:
            The residual, (n, *shape), differentiable in the weights.
        """
        x = examples["x"]
        return self.predict(x, self.process.instant(examples["t"], x.ndim), kind) - examples["target"]

    def pullback(self, examples: dict[str, Tensor]) -> tuple[Tensor, Pull] | None:
        """Return the residual with a reverse pass that needs no graph (`difrun.model.backward`).

        Args:
            examples: What `regression` returned, without ``gain``.

        Returns:
            The residual (n, *shape) and its reverse pass; None for a network that has none.
        """
        return None


class _Predictions(ModelWrapper, TrainableModel):
    """The regression of a model that states none itself, such as an exact model."""

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        return self.inner.predict(x, at, kind)


def trainable(model: ScoreModel) -> TrainableModel:
    """Return the model that a loss trains: the model itself, or its predictions if it states no regression."""
    return model if isinstance(model, TrainableModel) else _Predictions(model)
