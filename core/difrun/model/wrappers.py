"""Models around a model: seen from the centre of its process, or counted."""

from typing import Any

import torch
from torch import Tensor

from difrun.model.base import ScoreModel


class Centred(ScoreModel):
    """A model seen from the mean μ of its process: the coordinates of the sampling loop."""

    def __init__(self, model: ScoreModel, like: Tensor):
        self.inner: ScoreModel = model
        self.process = model.process.centred()
        self.offset = model.process.centre_like(like)
        self.shape, self.kind, self.var, self.tunings = model.shape, model.kind, model.var, model.tunings
        self.cov, self.principal = model.cov, model.principal
        mean = torch.as_tensor(model.mean)
        self.mean = mean.to(self.offset) - self.offset if isinstance(self.offset, Tensor) else mean

    def forward(self, x: Tensor, at: Any) -> Tensor:
        return self.predict(x, at, self.kind)

    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        prediction = self.inner.predict(x + self.offset, at, kind)
        return prediction - self.offset if kind == "x0" else prediction

    def moments(self) -> tuple[Any, Any]:
        if self.labels is None:
            return self.mean, self.var
        mean, var = self.inner.moments()
        return mean - torch.as_tensor(self.offset, dtype=mean.dtype, device=mean.device), var


class Counted(ScoreModel):
    """A model that counts how often it is evaluated: `evaluations` batches, `examples` in all of them."""

    def __init__(self, model: ScoreModel):
        self.inner: ScoreModel = model
        self.process, self.shape, self.kind = model.process, model.shape, model.kind
        self.mean, self.var, self.tunings = model.mean, model.var, model.tunings
        self.cov, self.principal = model.cov, model.principal
        self._counts = {
            "evaluations": 0,
            "examples": 0,
        }  # one for this model and all that `condition_on` makes of it

    @property
    def evaluations(self) -> int:
        return self._counts["evaluations"]

    @evaluations.setter
    def evaluations(self, count: int) -> None:
        self._counts["evaluations"] = count

    @property
    def examples(self) -> int:
        return self._counts["examples"]

    @examples.setter
    def examples(self, count: int) -> None:
        self._counts["examples"] = count

    def forward(self, x: Tensor, at: Any) -> Tensor:
        return self.predict(x, at, self.kind)

    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        self.evaluations += 1
        self.examples += len(x)
        return self.inner.predict(x, at, kind)

    def affine_prediction(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        self.evaluations += 1
        self.examples += len(x)
        return self.inner.affine_prediction(x, at, kind, a, b)

    def __getattr__(self, name: str) -> Any:
        """What a model has beside this contract; what is called with a batch is an evaluation, too."""
        if name.startswith("__") or "inner" not in self.__dict__:  # while it is copied
            raise AttributeError(name)
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        def counted(*args: Any, **more: Any) -> Any:
            if args and isinstance(args[0], Tensor):
                self.evaluations += 1
                self.examples += len(args[0])
            return found(*args, **more)

        return counted
