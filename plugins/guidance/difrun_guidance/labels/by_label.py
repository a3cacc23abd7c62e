"""Models that are made anew for the labels of every batch."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from difrun.model import ScoreModel

Make = Callable[[ScoreModel, Tensor], ScoreModel]
"""(model, labels (n,)) -> the model of a batch of these classes."""


class ByLabel(ScoreModel):
    """`model` until it is given labels; then what `make` makes of it.

    shares: how the classes are spread; they are drawn by it where nobody says which. Whatever else a sampler asks of
    the model, as those of discrete processes do, is asked of what was made.
    """

    def __init__(
        self,
        model: ScoreModel,
        make: Make,
        shares: tuple[float, ...],
        classes: int,
        class_moments: tuple[Tensor, Tensor] | None,
    ):
        self._base, self._make, self._made, self._count = model, make, model, classes
        self._shares, self.class_moments = shares, class_moments
        self.process, self.shape, self.kind = model.process, model.shape, model.kind
        self.mean, self.var, self.inner = model.mean, model.var, None

    @property
    def classes(self) -> int:
        return self._count

    @property
    def knows_any(self) -> bool:
        """No: without a class it is not guided, and what is put around it must not leave the guidance out."""
        return False

    def condition_on(self, labels: Tensor) -> "ByLabel":
        changed = super().condition_on(labels)
        assert isinstance(changed, ByLabel)
        changed._made = self._make(self._base, labels)
        return changed

    def forward(self, x: Tensor, at: Any) -> Tensor:
        return self._made(x, at)

    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        return self._made.predict(x, at, kind)

    def affine_prediction(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        return self._made.affine_prediction(x, at, kind, a, b)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._made, name)
