"""What a dataset is: examples to train on, others to measure against, and what is known of their distribution."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.api import MIN_EXAMPLES
from difrun.data.mixture import GaussianMixture
from difrun.errors import DifrunError


@attrs.frozen(eq=False)
class Scaling:
    """The affine map between the user's units and the model's, one shift and one scale per coordinate.

    shift, scale: shape of one example, float64 on the CPU (not every device has float64); scale is positive.
    """

    shift: Tensor
    scale: Tensor

    @classmethod
    def standardising(cls, examples: Tensor, columns: Sequence[str] = ()) -> "Scaling":
        """The scaling after which `examples` (N, *shape) have mean 0 and variance 1 in every coordinate.

        Raises `DifrunError` naming the column when a coordinate is constant.
        """
        examples = examples.cpu().double()
        shift, scale = examples.mean(0), examples.std(0, correction=0)
        constant = (scale <= 1e-12 * examples.abs().amax(0)).nonzero()
        if len(constant):
            names = [_coordinate(index.tolist(), columns) for index in constant[:3]]
            more = f" and {len(constant) - 3} more" if len(constant) > 3 else ""
            raise DifrunError(
                f"{', '.join(names)}{more}: constant, so it cannot be scaled to variance 1. Remove it from "
                "the data, or turn scaling off (--dataset.no-standardise)."
            )
        return cls(shift, scale)

    def encode(self, x: Tensor) -> Tensor:
        """(x − shift)/scale: user's units → model's; evaluated in float64 on the CPU, returned as x is."""
        return ((x.cpu().double() - self.shift) / self.scale).to(x.dtype).to(x.device)

    def decode(self, x: Tensor) -> Tensor:
        """shift + scale · x: model's units → user's; evaluated in float64 on the CPU, returned as x is."""
        return (self.shift + self.scale * x.cpu().double()).to(x.dtype).to(x.device)


AT_ONCE = 2**24
"""Coordinates of which sums are formed at once: 128 MB in float64."""


def _labels(value: Any) -> Tensor:
    given = torch.as_tensor(value).detach().cpu()
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise DifrunError(f"labels are whole numbers (int64), not {given.dtype}.")
    return given.long()


def _examples(value: Any) -> Tensor:
    return torch.as_tensor(value).detach().to("cpu", torch.float32)


@attrs.frozen
class Origin:
    """How a dataset is made again: the name of the component, its options as plain values (TOML's), and its seed."""

    name: str
    options: Mapping[str, Any]
    seed: int


@attrs.frozen(eq=False, slots=False, kw_only=True)
class Dataset:
    """Examples of a distribution, in the units that the model sees.

    name: what the user typed, or the file's name.
    train: the examples to learn from, shape (N, *shape), float32 on the CPU.
    held_out: real examples that no training sees, shape (M, *shape), float32.
    fresh: (n, generator) -> n new draws of the true distribution, where it can be drawn from.
    distribution: the distribution itself, where it is a Gaussian mixture of vectors: exact density and score.
    log_density, entropy: log p of the distribution, (n, *shape) -> (n,), and its entropy, in nats, where they are
    known and the
        distribution is no mixture; `distribution` says both itself.
    columns: names of the coordinates of vectors; empty when they have none.
    scaling: from the user's units to these; None when they are the same.
    noise: the standard normal noise ε that each training example is paired with, of the shape of `train`; training
        then makes x_t of such a couple. None pairs every example with noise drawn anew.
    labels, held_out_labels: the class of every example of `train` (N,) and `held_out` (M,), int64 from 0; None where
        there are no classes. classes: their names, K of them; every class has a training example.
    fresh_labelled: (n, generator) -> n new draws and their labels, where the distribution is known with its classes.
    component_labels: the class of every component of `distribution`, int64; then the distribution of a class is
    exact (`class_distribution`).
    notes: sentences on how the examples came about, told before a run and in its report.
    fingerprint: of examples that are too many to be copied into the folder of a run: a text that others would not have.
        The run keeps it, makes the dataset again from options and seed when it is opened, and refuses another one.
    origin: for examples that do not come back from options and seed alone, such as couples that a run made: the dataset
        whose `fresh`, `distribution`, `log_density` and `entropy` these are. A run then keeps the examples in its
        folder, and takes the rest from this dataset, made again.

    Raises `DifrunError` when the examples are fewer than 20, not of one shape, or not finite (first row and
    column), the noise or the labels do not fit them, or one of `log_density` and `entropy` is missing.
    """

    name: str
    train: Tensor = attrs.field(converter=_examples)
    held_out: Tensor = attrs.field(converter=_examples)
    fresh: Callable[[int, torch.Generator], Tensor] | None = None
    distribution: GaussianMixture | None = None
    log_density: Callable[[Tensor], Tensor] | None = None
    entropy: float | None = None
    columns: tuple[str, ...] = ()
    scaling: Scaling | None = None
    noise: Tensor | None = attrs.field(default=None, converter=attrs.converters.optional(_examples))
    labels: Tensor | None = attrs.field(default=None, converter=attrs.converters.optional(_labels))
    held_out_labels: Tensor | None = attrs.field(default=None, converter=attrs.converters.optional(_labels))
    classes: tuple[str, ...] = ()
    fresh_labelled: Callable[[int, torch.Generator], tuple[Tensor, Tensor]] | None = None
    component_labels: Tensor | None = attrs.field(default=None, converter=attrs.converters.optional(_labels))
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    origin: Origin | None = None

    def __attrs_post_init__(self) -> None:
        check_examples(self.train, f"dataset '{self.name}'", self.columns)
        if self.held_out.shape[1:] != self.shape or len(self.held_out) == 0:
            raise DifrunError(
                f"dataset '{self.name}': held-out examples have shape {tuple(self.held_out.shape)}; expected "
                f"(M, {', '.join(map(str, self.shape))}) with M at least 1, like the training examples."
            )
        check_finite(self.held_out, f"dataset '{self.name}', held-out examples", self.columns)
        if (self.log_density is None) != (self.entropy is None):
            raise DifrunError(
                f"dataset '{self.name}': log_density and entropy of its distribution go together."
            )
        if self.noise is not None and self.noise.shape != self.train.shape:
            raise DifrunError(
                f"dataset '{self.name}': noise of shape {tuple(self.noise.shape)} for training examples of shape "
                f"{tuple(self.train.shape)}; each needs its own."
            )
        self._check_labels()

    def _check_labels(self) -> None:
        parts = {
            "labels": (self.labels, self.train),
            "held_out_labels": (self.held_out_labels, self.held_out),
        }
        if self.component_labels is not None:
            means = torch.empty(0) if self.distribution is None else self.distribution.means
            parts["component_labels"] = (self.component_labels, means)
        known = len(self.classes)
        for name, (labels, rows) in parts.items():
            if (labels is None) != (known == 0):
                raise DifrunError(
                    f"dataset '{self.name}': labels, held_out_labels and the names of the classes go together."
                )
            if labels is None:
                continue
            if labels.shape != rows.shape[:1]:
                raise DifrunError(
                    f"dataset '{self.name}': {name} of shape {tuple(labels.shape)} for {len(rows)} rows; each row "
                    "needs one."
                )
            if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < known):
                raise DifrunError(
                    f"dataset '{self.name}': {name} must be from 0 to {known - 1}, the numbers of its classes."
                )
        if self.labels is not None:
            count = torch.bincount(self.labels, minlength=known)
            if bool((count == 0).any()):
                empty = self.classes[int((count == 0).nonzero()[0])]
                raise DifrunError(f"dataset '{self.name}': class '{empty}' has no training example.")

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of every class among the training examples; empty where there are no classes."""
        if self.labels is None:
            return ()
        return tuple((torch.bincount(self.labels, minlength=len(self.classes)) / len(self.labels)).tolist())

    @cached_property
    def class_moments(self) -> tuple[Tensor, Tensor] | None:
        """Mean and variance of the training examples of each class, (K, *shape) both, float32; None without classes."""
        if self.labels is None:
            return None
        counts = torch.bincount(self.labels).double().reshape(-1, *[1] * len(self.shape))
        mean, var = torch.zeros((2, len(self.classes), *self.shape), dtype=torch.float64)
        parts = list(zip(self.train.split(4096), self.labels.split(4096), strict=True))
        for examples, labels in parts:
            mean.index_add_(0, labels, examples.double())
        mean /= counts
        for examples, labels in parts:
            var.index_add_(0, labels, (examples.double() - mean[labels]).square())
        return mean.float(), (var / counts).float()

    def class_number(self, name: str | int) -> int:
        """The number of a class that the user names, by its name or its number; a name comes first.

        Raises `DifrunError`, naming the classes, where there is no such class.
        """
        text = str(name).strip()
        if text in self.classes:
            return self.classes.index(text)
        if text.isascii() and text.isdigit() and int(text) < len(self.classes):
            return int(text)
        if not self.classes:
            raise DifrunError(
                f"there is no class '{name}': the examples of dataset '{self.name}' have no labels."
            )
        shown = ", ".join(self.classes[:20]) + (", ..." if len(self.classes) > 20 else "")
        raise DifrunError(
            f"there is no class '{name}': dataset '{self.name}' has {len(self.classes)} classes: {shown}. Name one "
            f"of them, or its number, 0 to {len(self.classes) - 1}."
        )

    def class_distribution(self, label: int) -> GaussianMixture:
        """The exact distribution of one class, p(x | y = label). Raises `DifrunError` where it is not known."""
        if self.distribution is None or self.component_labels is None:
            raise DifrunError(f"the distribution of a class of dataset '{self.name}' is not known.")
        return self.distribution.part(self.component_labels == label)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.train.shape[1:])

    @cached_property
    def mean(self) -> Tensor:
        """Mean of the training examples per coordinate, computed in float64, float32."""
        return self._moments[0].float()

    @cached_property
    def var(self) -> Tensor:
        """Variance of the training examples per coordinate (divided by N), computed in float64, float32."""
        return self._moments[1].float()

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance in float64; of examples that may not fit into memory part by part."""
        parts = [self.train] if self.train.numel() <= AT_ONCE else self.train.split(_rows(self.train))
        if len(parts) == 1:
            examples = self.train.double()
            return examples.mean(0), examples.var(0, correction=0)
        mean, var = torch.zeros((2, *self.shape), dtype=torch.float64)
        for part in parts:
            mean += part.double().sum(0) / len(self.train)
        for part in parts:
            var += (part.double() - mean).square().sum(0) / len(self.train)
        return mean, var

    @cached_property
    def cov(self) -> Tensor:
        """Covariance of the training examples, flattened to d coordinates (divided by N), (d, d), float64."""
        size = self.train[0].numel()
        if self.train.numel() <= AT_ONCE:
            return torch.cov(self.train.flatten(1).double().T, correction=0).reshape(size, size)
        mean, total = self._moments[0].flatten(), torch.zeros((size, size), dtype=torch.float64)
        for part in self.train.split(_rows(self.train)):
            gap = part.flatten(1).double() - mean
            total += gap.T @ gap / len(self.train)
        return total

    def decode(self, x: Tensor) -> Tensor:
        """Samples in the user's units."""
        return x if self.scaling is None else self.scaling.decode(x)

    @property
    def references(self) -> int | None:
        """How many real examples `reference` can give; None where the distribution can be drawn from without end."""
        return None if self.fresh is not None else len(self.held_out)

    def reference(self, n: int, generator: torch.Generator) -> Tensor:
        """n real examples that were not trained on: fresh draws, or else held-out examples, none twice.

        Raises `DifrunError` when fewer than n are held out.
        """
        if self.fresh is not None:
            return self.fresh(n, generator)
        return self._subset(self.held_out, n, generator, "held-out")

    def real_pair(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A reference and a second, independent real set of the same size: what a floor is measured on.

        Where the distribution can be drawn from, two sets of n fresh draws; else n held-out examples and n training
        examples.
        Raises `DifrunError` when there are fewer than n of either.
        """
        first = self.reference(n, generator)
        if self.fresh is not None:
            return first, self.fresh(n, generator)
        return first, self._subset(self.train, n, generator, "training")

    def real_pair_of(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """As `real_pair`, of given classes: row i of both sets is of class labels[i].

        Fresh draws of the class where its distribution is known, else held-out examples and training examples, none
        twice. Raises `DifrunError` for data without labels, and where there are too few of a class
        (`examples_of_class`).
        """
        first, second = (torch.empty((len(labels), *self.shape)) for _ in range(2))
        for label in labels.unique().tolist():
            rows = (labels == label).nonzero()[:, 0]
            for sort, target in (("held-out", first), ("training", second)):
                target[rows] = self._of_class(label, len(rows), generator, sort)
        return first, second

    def examples_of_class(self, label: int) -> int | None:
        """How many examples of a class `real_pair_of` can give; None: without end."""
        if self.component_labels is not None or self.fresh_labelled is not None:
            return None
        assert self.labels is not None
        assert self.held_out_labels is not None
        return min(int((self.labels == label).sum()), int((self.held_out_labels == label).sum()))

    def _of_class(self, label: int, n: int, generator: torch.Generator, sort: str) -> Tensor:
        if self.labels is None or self.held_out_labels is None:
            raise DifrunError(f"the examples of dataset '{self.name}' have no labels.")
        if self.component_labels is not None:
            return self.class_distribution(label).sample(n, generator).float()
        if self.fresh_labelled is not None:
            parts, found = [], 0
            while found < n:  # every class has training examples, so that its share is not 0
                x, y = self.fresh_labelled(max(1000, n), generator)
                parts.append(x[y == label])
                found += len(parts[-1])
            return torch.cat(parts)[:n]
        examples, labels = (
            (self.held_out, self.held_out_labels) if sort == "held-out" else (self.train, self.labels)
        )
        own = (labels == label).nonzero()[:, 0]
        return examples[self._subset(own, n, generator, f"{sort} class-'{self.classes[label]}'")]

    def _subset(self, examples: Tensor, n: int, generator: torch.Generator, sort: str) -> Tensor:
        if n > len(examples):
            raise DifrunError(
                f"dataset '{self.name}' has {len(examples)} {sort} examples; {n} were asked for. Ask for "
                "fewer" + (", or hold out more." if sort == "held-out" else ".")
            )
        chosen = torch.randperm(len(examples), generator=generator, device=generator.device)[:n]
        return examples[chosen.to(examples.device)]


def check_examples(examples: Tensor, source: str, columns: Sequence[str] = ()) -> None:
    """Raise `DifrunError` unless `examples` are at least 20 finite real examples, shape (N, *shape).

    source: how the message begins, for example ``file 'x.npy'``. columns: names for the message.
    """
    if examples.ndim < 2:
        raise DifrunError(
            f"{source}: an array of shape {tuple(examples.shape)} is no list of examples; expected "
            "(N, columns)."
        )
    if 0 in examples.shape:
        raise DifrunError(f"{source} is empty (shape {tuple(examples.shape)}).")
    if len(examples) < MIN_EXAMPLES:
        raise DifrunError(
            f"{source} has {len(examples)} rows; at least {MIN_EXAMPLES} are needed to train on."
        )
    if columns and examples.shape[1:] != (len(columns),):
        raise DifrunError(
            f"{source}: {len(columns)} column names for examples of shape {tuple(examples.shape[1:])}."
        )
    check_finite(examples, source, columns)


def _rows(examples: Tensor) -> int:
    """How many examples are looked at together."""
    return max(1, AT_ONCE // max(1, examples[:1].numel()))


def check_finite(examples: Tensor, source: str, columns: Sequence[str] = ()) -> None:
    """Raise `DifrunError` naming the first row and column that hold NaN or infinity, and how many rows do."""
    rows = torch.cat([~part.isfinite().flatten(1).all(1) for part in examples.split(_rows(examples))])
    if not bool(rows.any()):
        return
    row = int(rows.nonzero()[0, 0])
    index = (~examples[row].isfinite()).nonzero()[0].tolist()
    value = float(examples[(row, *index)])
    count = int(rows.sum())
    raise DifrunError(
        f"{source}: {value:g} in row {row + 1}, {_coordinate(index, columns)} ({count} of {len(examples)} "
        "rows hold NaN or infinity). Remove or fill those rows."
    )


def _coordinate(index: Sequence[int], columns: Sequence[str]) -> str:
    """A coordinate in words; rows and columns are counted from 1, as spreadsheets do."""
    if len(index) == 1:
        return f"column '{columns[index[0]]}'" if columns else f"column {index[0] + 1}"
    return f"entry ({', '.join(str(i) for i in index)})"
