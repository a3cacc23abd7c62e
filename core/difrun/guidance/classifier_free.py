"""Models guided by a class or condition without a classifier: predictions with it and without it, combined."""

from typing import Any, Self

import torch
from torch import Tensor
from typing_extensions import override

from difrun.guidance.conditioned import Scale
from difrun.model.base import ScoreModel
from difrun.model.labels import unknown_like
from difrun.model.wrappers import ModelWrapper


class Extrapolated(ModelWrapper):
    """A model of (1 − s)·(any class) + s·(the class of each row), or condition; see `GaussianProcess.extrapolate`.

    If all rows are at the same time, it evaluates one batch of twice the size. If their times differ, as with samplers
    whose steps differ between samples, it evaluates two batches. If s is 1, it evaluates the class alone, and any class
    alone if s is 0.
    """

    def __init__(self, model: ScoreModel, labels: Tensor, scale: Scale):
        super().__init__(model.condition_on(labels))
        any_class = unknown_like(labels)
        self.free = model.condition_on(any_class)
        self.both = model.condition_on(torch.cat((labels, any_class)))
        self.model, self.scale = model, scale

    @override
    def condition_on(self, labels: Tensor) -> Self:
        return type(self)(self.model, labels, self.scale)

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        scale = self.scale(at)
        if isinstance(scale, Tensor):
            of_class, of_any = self.inner.predict(x, at, kind), self.free.predict(x, at, kind)
            guided = torch.where(scale == 0, of_any, of_any + scale * (of_class - of_any))
            return torch.where(scale == 1, of_class, guided)
        if scale in (0, 1):
            return (self.inner if scale == 1 else self.free).predict(x, at, kind)
        if isinstance(at.t, Tensor):
            of_class, of_any = self.inner.predict(x, at, kind), self.free.predict(x, at, kind)
        else:
            of_class, of_any = self.both.predict(torch.cat((x, x)), at, kind).chunk(2)
        return of_any + scale * (of_class - of_any)
