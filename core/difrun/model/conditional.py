"""Models of p(x | class), for batches whose rows each have a class."""

import copy
from typing import Any, Self

import torch
from torch import Tensor
from typing_extensions import override

from difrun.data.casts import as_labels
from difrun.model.base import ScoreModel
from difrun.model.labels import check_labels, pick_rows


class ConditionalModel(ScoreModel):
    """A model that can be asked for classes, once `set_classes` has said which there are.

    Attributes:
        shares: Share of each class in the data; a batch without given classes is drawn in these proportions.
        labels: Class of each row of the batch, (n,) int64, −1 for any class; None: any class for all rows.
        class_moments: Mean and variance of the data of each class, (classes, *shape) each, where they are known.
        knows_any: Whether the model also predicts without a class; False if training showed it the label of every
            example.
    """

    shares: tuple[float, ...] = ()
    labels: Tensor | None = None
    class_moments: tuple[Tensor, Tensor] | None = None
    knows_any: bool = True

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

    @property
    @override
    def classes(self) -> int:
        return len(self.shares)

    @override
    def condition_on(self, labels: Tensor) -> Self:
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
        """Mean and variance of the data of the class of each row, where they are known.

        Where α_T > 0 the prior of all classes would be wrong for a single class: it would shift the weights of its
        modes.
        """
        if self.labels is None or self.class_moments is None:
            return self.mean, self.var
        means, variances = (
            torch.cat((torch.as_tensor(per_class), torch.as_tensor(overall).to(per_class)[None]))
            for per_class, overall in zip(self.class_moments, (self.mean, self.var), strict=True)
        )
        labels = self.labels.to(means.device)
        return means[labels], variances[labels]  # the last row is for −1, any class
