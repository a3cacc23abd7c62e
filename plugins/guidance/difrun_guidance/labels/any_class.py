"""A model of all classes or conditions that keeps to them, whatever is asked for."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from difrun.model import ModelWrapper, unknown_like


class AnyClass(ModelWrapper):
    """A model without the classes or the condition that it knows: labels are checked, and have no effect.

    Predictions, prior, covariance and tunings are those of the model for any class. It has no shares, so samples get no
    labels of their own. Other attributes are those of the model.
    """

    def __init__(self, model: Any):
        super().__init__(model, same_distribution=True)

    @property
    @override
    def shares(self) -> tuple[float, ...]:
        return ()

    @property
    @override
    def known_conditions(self) -> Tensor | None:
        return None

    @override
    def condition_on(self, labels: Tensor) -> "AnyClass":
        self.inner.condition_on(labels)  # refuses what are no labels
        return super().condition_on(unknown_like(labels))

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        return self.inner.predict(x, at, kind)

    @override
    def affine_prediction(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        return self.inner.affine_prediction(x, at, kind, a, b)

    def __getattr__(self, name: str) -> Any:
        return self.from_inner(name)
