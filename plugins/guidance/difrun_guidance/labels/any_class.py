"""A model of all classes that keeps to them, whatever class is asked for."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.model import ModelWrapper


class AnyClass(ModelWrapper):
    """A model without the classes that it knows: labels are checked, and have no effect.

    Predictions, prior, covariance and tunings are those of the model for any class. It has no shares, so samples get no
    labels of their own. Other attributes are those of the model.
    """

    def __init__(self, model: Any):
        super().__init__(model, same_distribution=True)

    @property
    @override
    def shares(self) -> tuple[float, ...]:
        return ()

    @override
    def condition_on(self, labels: Tensor) -> "AnyClass":
        self.inner.condition_on(labels)  # refuses what are no labels
        return super().condition_on(torch.full_like(labels, -1))

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        return self.inner.predict(x, at, kind)

    @override
    def affine_prediction(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        return self.inner.affine_prediction(x, at, kind, a, b)

    def __getattr__(self, name: str) -> Any:
        return self.from_inner(name)
