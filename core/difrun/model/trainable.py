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
        """Return the least-squares problem of predicting `kind` at x = x_t: what `residual` needs, a row per example.

        `gain` is the factor that turns the residual into an error of `kind`: () where it is the same at every time.
        """
        a, b = coefficients(kind, at)
        centre = self.process.centre_like(x)
        target = a * (x0 - centre) + b * noise
        if kind == "x0":
            target = target + centre
        return {"x": x, "t": at.t.reshape(-1), "target": target, "gain": torch.ones((), dtype=at.t.dtype)}

    def residual(self, examples: dict[str, Tensor], kind: str) -> Tensor:
        """Return prediction minus target for the examples that `regression` made."""
        x = examples["x"]
        return self.predict(x, self.process.instant(examples["t"], x.ndim), kind) - examples["target"]

    def pullback(self, examples: dict[str, Tensor]) -> tuple[Tensor, Pull] | None:
        """Return the residual and its reverse pass (`difrun.model.backward`); None for a network that has none."""
        return None


class _Predictions(ModelWrapper, TrainableModel):
    """The regression of a model that states none itself, such as an exact model."""

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        return self.inner.predict(x, at, kind)


def trainable(model: Any) -> TrainableModel:
    """Return the model that a loss trains: the model itself, or its predictions if it states no regression."""
    return model if isinstance(model, TrainableModel) else _Predictions(model)
