"""Wrappers of models: what every wrapper passes on, and two wrappers of the core."""

import copy
from typing import Any, Self

import torch
from torch import Tensor
from typing_extensions import override

from difrun.model.base import ScoreModel
from difrun.model.labels import pick_rows


class ModelWrapper(ScoreModel):
    """A model that asks another one, and passes on what it does not change.

    A wrapper writes `forward` or `predict`, as every model does. Process, shape, moments, kind and classes are those
    of the inner model. The covariance of the data and the tunings are not passed on: samplers that are fitted to one
    distribution may not suit another.

    Args:
        inner: The model to ask.
        same_distribution: Whether the wrapper samples the distribution of the inner model, in which case it passes on
            covariance and tunings too.

    Attributes:
        inner: The model that is asked.
    """

    def __init__(self, inner: Any, *, same_distribution: bool = False):
        self.inner = inner
        self.process, self.shape = inner.process, inner.shape
        self.mean, self.var = inner.mean, inner.var
        if same_distribution:
            self.cov, self.principal, self.tunings = inner.cov, inner.principal, inner.tunings

    @property
    @override
    def kind(self) -> str:  # type: ignore[override]
        return self.inner.kind

    @property
    @override
    def classes(self) -> int:
        return self.inner.classes

    @property
    @override
    def shares(self) -> tuple[float, ...]:
        return self.inner.shares

    @property
    @override
    def labels(self) -> Tensor | None:
        return self.inner.labels

    @property
    @override
    def knows_any(self) -> bool:
        return self.inner.knows_any

    @property
    @override
    def condition_shape(self) -> tuple[int, ...] | None:
        return self.inner.condition_shape

    @property
    @override
    def known_conditions(self) -> Tensor | None:
        return self.inner.known_conditions

    @property
    @override
    def completes(self) -> bool:
        return self.inner.completes

    @override
    def condition_on(self, labels: Tensor) -> Self:
        changed = copy.copy(self)
        changed.inner = self.inner.condition_on(labels)
        return changed

    @override
    def rows(self, index: Any) -> Self:
        return self if self.labels is None else self.condition_on(pick_rows(self.labels, index))

    @override
    def moments(self) -> tuple[Any, Any]:
        return (self.mean, self.var) if self.labels is None else self.inner.moments()

    @override
    def refuse_times(self, times: Any) -> None:
        self.inner.refuse_times(times)

    def from_inner(self, name: str) -> Any:
        """Return an attribute of the inner model, for the ``__getattr__`` of a wrapper that passes on all of them.

        Raises:
            AttributeError: If the inner model has none, if the name is special, or while the wrapper is being copied
                and has no inner model yet.
        """
        if name.startswith("__") or "inner" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.inner, name)


def innermost(model: ScoreModel) -> ScoreModel:
    """Return the model inside all wrappers."""
    while isinstance(model, ModelWrapper):
        model = model.inner
    return model


class Centred(ModelWrapper):
    """A model seen from the mean μ of its process: the coordinates of the sampling loop.

    Args:
        inner: The model.
        like: A tensor (n, *shape) whose dtype and device μ takes.

    Attributes:
        offset: μ, or 0.0 where the process has none.
    """

    def __init__(self, inner: ScoreModel, like: Tensor):
        super().__init__(inner, same_distribution=True)
        self.process = inner.process.centred()
        self.offset = inner.process.centre_like(like)
        mean = torch.as_tensor(inner.mean)
        self.mean = mean.to(self.offset) - self.offset if isinstance(self.offset, Tensor) else mean

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        prediction = self.inner.predict(x + self.offset, at, kind)
        return prediction - self.offset if kind == "x0" else prediction

    @override
    def moments(self) -> tuple[Any, Any]:
        if self.labels is None:
            return self.mean, self.var
        mean, var = self.inner.moments()
        return mean - torch.as_tensor(self.offset, dtype=mean.dtype, device=mean.device), var


class Counted(ModelWrapper):
    """A model that counts how often it is evaluated.

    Copies that `condition_on` makes count together with the original.
    """

    def __init__(self, inner: ScoreModel):
        super().__init__(inner, same_distribution=True)
        self._counts = {"evaluations": 0, "examples": 0}

    @property
    def evaluations(self) -> int:
        """How many batches were evaluated."""
        return self._counts["evaluations"]

    @property
    def examples(self) -> int:
        """How many examples these batches held."""
        return self._counts["examples"]

    def reset(self) -> None:
        """Start counting from zero, in all copies."""
        self._counts.update(evaluations=0, examples=0)

    def _count(self, x: Tensor) -> None:
        self._counts["evaluations"] += 1
        self._counts["examples"] += len(x)

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        self._count(x)
        return self.inner.predict(x, at, kind)

    @override
    def affine_prediction(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        self._count(x)
        return self.inner.affine_prediction(x, at, kind, a, b)

    def __getattr__(self, name: str) -> Any:
        """Pass on what the inner model offers beyond the contract; a call with a batch counts as an evaluation."""
        attribute = self.from_inner(name)
        if not callable(attribute):
            return attribute

        def counted(*args: Any, **kwargs: Any) -> Any:
            if args and isinstance(args[0], Tensor):
                self._count(args[0])
            return attribute(*args, **kwargs)

        return counted
