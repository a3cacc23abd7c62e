"""The condition c of examples: numbers beside x, given which samples are drawn; or some coordinates of x itself."""

import math
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.data.casts import data_on_cpu
from difrun.data.checks import as_float32, check_finite, coordinate_name
from difrun.data.conditional_mixture import ConditionalMixture
from difrun.data.mixture import GaussianMixture
from difrun.data.scaling import Scaling
from difrun.errors import DifrunError
from difrun.text import counted, few

BEYOND = 0.01
"""By which share of their range a condition may be beyond those of the training examples without a note."""

LEAST = 1e-9
"""What is added to the variances of a Gaussian fitted to data, over their average."""


def _numbers(value: Any) -> Tensor:
    return as_float32(data_on_cpu(value, "conditions of a dataset"), "conditions of a dataset")


@attrs.frozen(eq=False)
class Condition:
    """The conditions of the examples of a dataset, in the units that the model sees.

    Attributes:
        train: The condition of every training example, (N, *shape), float32 on the CPU.
        held_out: That of every held-out example, (M, *shape).
        columns: The names of its entries; empty where they have none.
        scaling: From the user's units to the model's; None where they are the same.
        completes: Whether it consists of the coordinates of x itself. Training then shows the model a random part of
            them, so that x can be sampled given any of them; these keep their values.
    """

    train: Tensor = attrs.field(converter=_numbers)
    held_out: Tensor = attrs.field(converter=_numbers)
    columns: tuple[str, ...] = ()
    scaling: Scaling | None = None
    completes: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one condition."""
        return tuple(self.train.shape[1:])

    @property
    def size(self) -> int:
        """The number of entries of one condition."""
        return math.prod(self.shape)

    def check(self, source: str, rows: int, held_out: int) -> None:
        """Raise `DifrunError` unless there is one finite condition for every example.

        Args:
            source: How the message begins, for example ``dataset 'file'``.
            rows: The number of training examples.
            held_out: The number of held-out examples.
        """
        for part, n, what in (
            (self.train, rows, "training examples"),
            (self.held_out, held_out, "held-out examples"),
        ):
            if len(part) != n or part.ndim < 2 or tuple(part.shape[1:]) != self.shape or 0 in self.shape:
                raise DifrunError(
                    f"{source}: conditions of shape {tuple(part.shape)} for {n} {what}; each needs one of the same "
                    "shape."
                )
            check_finite(part, f"{source}, conditions of the {what}", self.columns)
        if self.columns and self.shape != (len(self.columns),):
            raise DifrunError(
                f"{source}: {len(self.columns)} names for conditions of shape {self.shape}; each entry needs one."
            )

    def encode(self, values: Tensor, source: str) -> Tensor:
        """Return conditions in the units of the model, (n, *shape), NaN where they are not known.

        Args:
            values: In the user's units, (n, *shape), float64.
            source: How the message begins: the flag or argument.

        Raises:
            DifrunError: If they have another shape, are infinite, or lack an entry that must be known.
        """
        if tuple(values.shape[1:]) != self.shape:
            how = " Give it as an array in a .npy or .npz file." if len(self.shape) > 1 else ""
            raise DifrunError(
                f"{source}: {_counted(values)}; the condition of these data has {self.values_in_words()}.{how}"
            )
        if bool(values.isinf().any()):
            raise DifrunError(f"{source}: a condition must be a finite number.")
        if not self.completes and bool(values.isnan().any()):
            row, *index = values.isnan().nonzero()[0].tolist()
            raise DifrunError(
                f"{source}: {coordinate_name(index, self.columns)} of row {row + 1} is missing. A gap is allowed where "
                "the model has learned to fill gaps (--dataset.missing condition); here every entry is needed."
            )
        scaled = values if self.scaling is None else self.scaling.encode(values)
        return scaled.float()

    def decode(self, condition: Tensor) -> Tensor:
        """Return conditions in the user's units, in float64 where they are scaled."""
        return condition if self.scaling is None else self.scaling.decode(condition)

    def outside(self, condition: Tensor) -> str:
        """Say which entries lie outside those of the training examples; empty if none do.

        Args:
            condition: In the units of the model, (n, *shape).
        """
        low, high = self.train.amin(0), self.train.amax(0)
        margin = BEYOND * (high - low)
        beyond = (condition < low - margin) | (condition > high + margin)
        if not bool(beyond.any()):
            return ""
        row, *index = beyond.nonzero()[0].tolist()
        place = tuple(index)
        bounds = (self.decode(part[None])[0][place] for part in (condition[row], low, high))
        value, least, most = map(float, bounds)
        return (
            f"{coordinate_name(index, self.columns)} of the condition is {value:.4g}, and the training examples have "
            f"{least:.4g} to {most:.4g}: beyond them the model extrapolates"
        )

    def described(self) -> str:
        """Return a sentence that says what the condition is."""
        if self.completes:
            return "Any of the columns may be given: training hides a random part of each row."
        return f"Samples are drawn given a condition of {self.values_in_words()}."

    def values_in_words(self) -> str:
        """Return how many values a condition has, and their names: ``2 values: a, b``."""
        if len(self.shape) > 1:
            return f"shape {self.shape}"
        names = f": {few(self.columns)}" if self.columns else ""
        return f"{self.size} value{'' if self.size == 1 else 's'}{names}"


def _counted(values: Tensor) -> str:
    if values.ndim < 2:
        return "a single number" if values.ndim == 0 else f"{counted(len(values), 'number')} on one axis"
    if values.ndim != 2:
        return f"conditions of shape {tuple(values.shape[1:])}"
    return counted(values.shape[1], "value")


def all_equal(conditions: Tensor) -> bool:
    """Whether all rows hold one condition; an entry that is not known, NaN, equals another that is not.

    Args:
        conditions: Conditions or classes, (n, ...).
    """
    first = conditions[:1]
    return bool(((conditions == first) | (conditions.isnan() & first.isnan())).all())


def gaussian_conditional(x: Tensor, condition: Condition) -> ConditionalMixture:
    """Return p(x | c) of the Gaussian with the moments of examples and their conditions.

    Its mean is the best linear prediction of x from c. The variances are raised a little, so that there is a density
    where entries depend on each other.

    Args:
        x: The training examples, (N, *shape).
        condition: Their conditions.
    """
    flat = x.flatten(1).double()
    both = flat if condition.completes else torch.cat((flat, condition.train.flatten(1).double()), dim=1)
    mean, size = both.mean(0), both.shape[1]
    gap = both - mean
    cov = gap.T @ gap / len(both)
    cov = cov + LEAST * cov.diagonal().mean().clamp(min=1e-30) * torch.eye(size, dtype=torch.float64)
    mixture = GaussianMixture(torch.ones(1), mean[None], cov[None])
    return ConditionalMixture(mixture, flat.shape[1], condition.completes)
