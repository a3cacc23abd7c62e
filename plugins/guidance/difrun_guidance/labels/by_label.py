"""Models that are made anew for the labels of every batch."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from typing_extensions import override

from difrun.model import ConditionalModel, ModelWrapper, ScoreModel

Make = Callable[[ScoreModel, Tensor], ScoreModel]
"""(model, labels (n,)) -> the model of a batch of these classes."""


class ByLabel(ConditionalModel, ModelWrapper):
    """A model that `condition_on` replaces by what `make` makes of it and the labels.

    Whatever else a sampler asks of a model, as those of discrete processes do, it gets from the inner one.

    Attributes:
        inner: `model` itself without labels; else what `make` made of it.
        shares: Share of each class, by which labels are drawn where nobody says which.
        classes: How many classes there are.
        class_moments: Mean and variance of the data of each class, or None.
        knows_any: False: without a class nothing is guided, and what stands around must not leave the guidance out.
    """

    classes: int = 0
    knows_any = False

    def __init__(
        self,
        model: ScoreModel,
        make: Make,
        shares: tuple[float, ...],
        classes: int,
        class_moments: tuple[Tensor, Tensor] | None,
    ):
        super().__init__(model)
        self.model, self.make = model, make
        self.shares, self.classes, self.class_moments = shares, classes, class_moments

    @override
    def condition_on(self, labels: Tensor) -> "ByLabel":
        changed = super().condition_on(labels)
        changed.inner = self.make(self.model, labels)
        return changed

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        return self.inner.predict(x, at, kind)

    @override
    def affine_prediction(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        return self.inner.affine_prediction(x, at, kind, a, b)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "inner" not in self.__dict__:  # while it is copied
            raise AttributeError(name)
        return getattr(self.inner, name)
