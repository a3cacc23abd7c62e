"""Models of p(x | class) or p(x | c), for batches whose rows each have a class or a condition."""

import copy
from typing import Any, Self

import torch
from torch import Tensor
from typing_extensions import override

from difrun.data.casts import as_labels
from difrun.data.conditional_mixture import ConditionalMixture
from difrun.model.base import ScoreModel
from difrun.model.labels import as_condition, check_labels, pick_rows


class ConditionalModel(ScoreModel):
    """A model that can be asked for classes (`set_classes`) or for a condition (`set_condition`).

    Attributes:
        shares: Share of each class in the data; a batch without given classes is drawn in these proportions.
        labels: Class or condition of each row of the batch, as `ScoreModel.labels`; None: any for all rows.
        class_moments: Mean and variance of the data of each class, (classes, *shape) each, where they are known.
        knows_any: Whether the model also predicts without a class or condition; False if training showed it that of
            every example.
        condition_shape: The shape of a condition; None for a model that takes none.
        known_conditions: Conditions of the data; a batch without given ones takes these in turn.
        conditional: A mixture of which p(x | c) takes the mean and variance to which the prior is matched.
        completes: Whether a condition consists of coordinates of x itself.
    """

    shares: tuple[float, ...] = ()
    labels: Tensor | None = None
    class_moments: tuple[Tensor, Tensor] | None = None
    knows_any: bool = True
    condition_shape: tuple[int, ...] | None = None
    known_conditions: Tensor | None = None
    conditional: ConditionalMixture | None = None
    completes: bool = False

    def set_classes(
        self,
        shares: tuple[float, ...],
        class_moments: tuple[Tensor, Tensor] | None = None,
        *,
        knows_any: bool = True,
    ) -> None:
        """Say which classes the model was trained on.

        Args:
            shares: Share of each class in the data.
            class_moments: Mean and variance of the data of each class, (classes, *shape) each; None where they are not
                known.
            knows_any: Whether the model also predicts without a class.
        """
        self.shares, self.class_moments, self.knows_any = tuple(shares), class_moments, knows_any

    def set_condition(
        self,
        shape: tuple[int, ...],
        *,
        known: Tensor | None = None,
        conditional: ConditionalMixture | None = None,
        knows_any: bool = True,
        completes: bool = False,
    ) -> None:
        """Say which condition the model was trained on.

        Args:
            shape: The shape of one condition.
            known: Conditions of the data, (N, *shape); None for a model that is sampled without unless asked.
            conditional: A mixture of (x, c), whose conditional moments are those of x given c; None where they are not
                known.
            knows_any: Whether the model also predicts without a condition.
            completes: Whether a condition consists of coordinates of x itself, some of them known.
        """
        self.condition_shape, self.known_conditions = tuple(shape), known
        self.conditional, self.knows_any, self.completes = conditional, knows_any, completes

    @property
    @override
    def classes(self) -> int:
        return len(self.shares)

    @override
    def condition_on(self, labels: Tensor) -> Self:
        if self.condition_shape is not None:
            labels = as_condition(labels, self.condition_shape)
        else:
            if not self.classes:
                super().condition_on(labels)
            labels = as_labels(labels)
            check_labels(labels, self.classes)
        changed = copy.copy(self)
        changed.labels = labels
        return changed

    @override
    def rows(self, index: Any) -> Self:
        return self if self.labels is None else self.condition_on(pick_rows(self.labels, index))

    @override
    def moments(self) -> tuple[Any, Any]:
        """Mean and variance of the data of the class, or given the condition, of each row, where they are known.

        Where α_T > 0 the prior of all classes would be wrong for a single class: it would shift the weights of its
        modes.
        """
        if self.labels is not None and self.condition_shape is not None:
            return self._moments_given(self.labels)
        if self.labels is None or self.class_moments is None:
            return self.mean, self.var
        means, variances = (
            torch.cat((torch.as_tensor(per_class), torch.as_tensor(overall).to(per_class)[None]))
            for per_class, overall in zip(self.class_moments, (self.mean, self.var), strict=True)
        )
        labels = self.labels.to(means.device)
        return means[labels], variances[labels]  # the last row is for −1, any class

    def _moments_given(self, condition: Tensor) -> tuple[Any, Any]:
        """Mean and variance of x given the condition of each row, (n, *shape) each."""
        if self.conditional is None:
            return self.mean, self.var
        like = torch.as_tensor(self.mean)
        parts = self.conditional.moments(condition)
        mean, var = (
            part.to(like.dtype).to(like.device).reshape(len(condition), *self.shape) for part in parts
        )
        return mean, var
