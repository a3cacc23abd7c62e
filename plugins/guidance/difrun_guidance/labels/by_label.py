"""A guided model that is built for the classes or conditions of each batch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.model import ConditionalModel, ModelWrapper, ScoreModel

Guide = Callable[[ScoreModel, Tensor], ScoreModel]
"""A function of a model and labels, classes (n,) or conditions, that returns the guided model of these."""


class ByLabel(ConditionalModel, ModelWrapper):
    """A model that `condition_on` guides to the labels of a batch.

    Other attributes, such as those that samplers of discrete processes use, are those of the inner model.

    Attributes:
        inner: The unguided model, or the guided one if there are labels.
        model: The unguided model.
        guide: The function that builds the guided model.
        shares: The share of each class, from which labels are drawn for samples without one.
        classes: The number of classes.
        class_moments: The mean and variance of the data of each class, or None.
        start: How far the prior of a condition goes from that of all data, 0, to its own, 1.
        knows_any: False, because without a class nothing is guided, and a wrapper must not leave the guidance out.
    """

    classes: int = 0
    knows_any = False

    def __init__(
        self,
        model: ScoreModel,
        guide: Guide,
        shares: tuple[float, ...],
        classes: int,
        class_moments: tuple[Tensor, Tensor] | None,
        start: float = 1.0,
    ):
        super().__init__(model)
        self.condition_shape, self.known_conditions = model.condition_shape, model.known_conditions
        self.start = start
        self.model, self.guide = model, guide
        self.shares, self.classes, self.class_moments = shares, classes, class_moments

    @override
    def condition_on(self, labels: Tensor) -> "ByLabel":
        changed = super().condition_on(labels)
        changed.inner = self.guide(self.model, labels)
        return changed

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        return self.inner.predict(x, at, kind)

    @override
    def affine_prediction(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        return self.inner.affine_prediction(x, at, kind, a, b)

    @override
    def _moments_given(self, condition: Tensor) -> tuple[Any, Any]:
        own = self.model.condition_on(condition).moments()
        if self.start == 1:
            return own
        overall = torch.as_tensor(self.mean), torch.as_tensor(self.var)
        mean, var = (
            self.start * each + (1 - self.start) * of_all.to(each)
            for each, of_all in zip(own, overall, strict=True)
        )
        return mean, var

    def __getattr__(self, name: str) -> Any:
        return self.from_inner(name)
