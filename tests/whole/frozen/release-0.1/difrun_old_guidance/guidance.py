"""The guided model."""

from typing import Any

from difrun.model import ModelWrapper, ScoreModel
from torch import Tensor


def old_guidance(model: ScoreModel, *, bound: float = 3.0) -> ScoreModel:
    """Cut x̂_0 to [−bound, bound] in every coordinate.

    Args:
        model: The model to guide.
        bound: The bound. 0 is off, and returns the model itself.

    Returns:
        A model that every sampler takes.
    """
    return Clipped(model, bound) if bound else model


class Clipped(ModelWrapper):
    """A model whose x̂_0 has bounds; every other kind of prediction is converted from it.

    Args:
        model: The model to ask.
        bound: The bound.
    """

    kind = "x0"

    def __init__(self, model: ScoreModel, bound: float):
        super().__init__(model)
        self.bound = bound

    def forward(self, x: Tensor, at: Any) -> Tensor:
        """Return x̂_0 at the instant `at`."""
        return self.inner.predict(x, at, "x0").clamp(-self.bound, self.bound)
