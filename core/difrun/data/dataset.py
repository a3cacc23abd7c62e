"""What a dataset is: examples to train on, others to compare with, and what is known of their distribution."""

from collections.abc import Callable
from functools import cached_property

import attrs
import torch
from torch import Tensor

from difrun.data.checks import check_examples, check_finite, check_types, stored_examples, stored_labels
from difrun.data.classes import check_labels, class_number
from difrun.data.condition import Condition, gaussian_conditional
from difrun.data.conditional_mixture import ConditionalMixture
from difrun.data.mixture import GaussianMixture
from difrun.data.moments import class_mean_and_variance, covariance, mean_and_variance
from difrun.data.origin import Origin
from difrun.data.scaling import FAR_OUT, Scaling
from difrun.data.summary import as_html, one_line
from difrun.errors import DifrunError


@attrs.frozen(eq=False, slots=False, kw_only=True, repr=False)
class Dataset:
    """Examples of a distribution, in the units that the model sees.

    Attributes:
        name: What the user typed, or the file's name.
        train: The examples to learn from, shape (N, *shape), float32 on the CPU.
        held_out: Real examples that are never trained on, shape (M, *shape), float32.
        fresh: (n, generator) -> n new draws from the true distribution, where it can be sampled.
        distribution: The true distribution, where it is a Gaussian mixture of vectors: exact density and score.
        log_density: log p in nats, (n, *shape) -> (n,), where it is known and the distribution is no mixture. Goes
            together with `entropy`.
        entropy: The entropy of the distribution in nats. Goes together with `log_density`.
        columns: Names of the coordinates of vectors; empty where they have none.
        scaling: From the user's units to the model's; None where they are the same.
        noise: The standard normal noise ε that each training example is paired with, of the shape of `train`, so that
            training forms x_t from fixed pairs. None: new noise is drawn for every example.
        labels: The class of every training example, (N,), int64 from 0. Every class has at least one.
        held_out_labels: The class of every held-out example, (M,), int64.
        classes: The names of the K classes; empty, as are both labels, where there are no classes.
        fresh_labelled: (n, generator) -> n new draws and their labels, where the classes can be sampled.
        component_labels: The class of each component of `distribution`, int64. With it the distribution of a class is
            exact (`class_distribution`).
        condition: The conditions of the examples, given which samples are drawn. None where there are none, or classes.
        conditional: The true distribution of x given the condition, where it is known.
        notes: Sentences on where the examples come from, shown before a run and in its report.
        fingerprint: A text that identifies these examples, where they are too many to be copied into a run's folder. A
            run stores it. When the run is opened, the dataset is built again from options and seed, and must match.
        origin: For examples that options and seed cannot build again, such as pairs that another run made: the dataset
            that `fresh`, `distribution`, `log_density` and `entropy` come from. A run stores the examples and takes the
            rest from this dataset.

    Raises:
        DifrunError: If there are fewer than 20 examples, they differ in shape or are not finite (the message names the
            first row and column), the noise or the labels do not fit them, or only one of `log_density` and `entropy`
            is given.
    """

    name: str
    train: Tensor = attrs.field(converter=stored_examples)
    held_out: Tensor = attrs.field(converter=stored_examples)
    fresh: Callable[[int, torch.Generator], Tensor] | None = None
    distribution: GaussianMixture | None = None
    log_density: Callable[[Tensor], Tensor] | None = None
    entropy: float | None = None
    columns: tuple[str, ...] = ()
    scaling: Scaling | None = None
    noise: Tensor | None = attrs.field(default=None, converter=attrs.converters.optional(stored_examples))
    labels: Tensor | None = attrs.field(default=None, converter=attrs.converters.optional(stored_labels))
    held_out_labels: Tensor | None = attrs.field(
        default=None, converter=attrs.converters.optional(stored_labels)
    )
    classes: tuple[str, ...] = ()
    fresh_labelled: Callable[[int, torch.Generator], tuple[Tensor, Tensor]] | None = None
    component_labels: Tensor | None = attrs.field(
        default=None, converter=attrs.converters.optional(stored_labels)
    )
    condition: Condition | None = None
    conditional: ConditionalMixture | None = None
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    origin: Origin | None = None

    def __repr__(self) -> str:
        return one_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def __attrs_post_init__(self) -> None:
        check_types(self, {"scaling": Scaling, "condition": Condition, "origin": Origin})
        source = f"dataset '{self.name}'"
        check_examples(self.train, source, self.columns)
        if self.held_out.shape[1:] != self.shape or len(self.held_out) == 0:
            raise DifrunError(
                f"{source}: held-out examples have shape {tuple(self.held_out.shape)}; expected "
                f"(M, {', '.join(map(str, self.shape))}) with M at least 1, like the training examples."
            )
        check_finite(self.held_out, f"{source}, held-out examples", self.columns)
        if (self.log_density is None) != (self.entropy is None):
            raise DifrunError(
                f"{source}: log_density and entropy of its distribution must be given together."
            )
        if self.noise is not None and self.noise.shape != self.train.shape:
            raise DifrunError(
                f"{source}: noise of shape {tuple(self.noise.shape)} for training examples of shape "
                f"{tuple(self.train.shape)}; each needs its own."
            )
        self._check_labels(source)
        if self.condition is not None:
            self.condition.check(source, len(self.train), len(self.held_out))
            if self.classes:
                raise DifrunError(
                    f"{source} has classes and a condition; give one of them. A class among the conditions is a column "
                    "of 0 and 1."
                )

    def _check_labels(self, source: str) -> None:
        labels = {
            "labels": (self.labels, len(self.train)),
            "held_out_labels": (self.held_out_labels, len(self.held_out)),
        }
        if self.component_labels is not None:
            components = 0 if self.distribution is None else len(self.distribution.means)
            labels["component_labels"] = (self.component_labels, components)
        check_labels(source, self.classes, labels)
        if self.labels is not None:
            empty = torch.bincount(self.labels, minlength=len(self.classes)) == 0
            if bool(empty.any()):
                name = self.classes[int(empty.nonzero()[0])]
                raise DifrunError(f"{source}: class '{name}' has no training example.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.train.shape[1:])

    @cached_property
    def mean(self) -> Tensor:
        """Mean of the training examples per coordinate, float32, computed in float64."""
        return self._moments[0].float()

    @cached_property
    def var(self) -> Tensor:
        """Variance of the training examples per coordinate (divided by N), float32, computed in float64."""
        return self._moments[1].float()

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        return mean_and_variance(self._bulk)

    @property
    def _bulk(self) -> Tensor:
        """The training examples whose moments a model is made for.

        Where the data were scaled robustly, values far out are brought nearer: few of them would decide the moments.
        """
        robust = self.scaling is not None and self.scaling.kind == "robust"
        return self.train.clamp(-FAR_OUT, FAR_OUT) if robust else self.train

    @cached_property
    def cov(self) -> Tensor:
        """Covariance of the training examples, flattened to d coordinates (divided by N), (d, d), float64."""
        return covariance(self._bulk, self._moments[0])

    @cached_property
    def linear_conditional(self) -> ConditionalMixture | None:
        """The conditional of the Gaussian with the moments of the training examples and their conditions, if any."""
        if self.condition is None:
            return None
        return gaussian_conditional(self._bulk, self.condition)

    def decode(self, x: Tensor) -> Tensor:
        """Return samples in the user's units, in float64 where the data are scaled."""
        return x if self.scaling is None else self.scaling.decode(x)

    @property
    def references(self) -> int | None:
        """How many examples `reference` can give; None: any number, as the distribution can be sampled."""
        return None if self.fresh is not None else len(self.held_out)

    def reference(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n real examples that were not trained on: fresh draws, or else distinct held-out examples.

        Raises:
            DifrunError: If fewer than n are held out.
        """
        if self.fresh is not None:
            return self.fresh(n, generator)
        return self._subset(self.held_out, n, generator, "held-out")

    def real_pair(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return a reference and a second, independent set of n real examples, to measure the floor of a metric.

        Both are fresh draws where the distribution can be sampled. Otherwise the first are held-out examples, and the
        second are training examples.

        Raises:
            DifrunError: If there are fewer than n of either.
        """
        first = self.reference(n, generator)
        if self.fresh is not None:
            return first, self.fresh(n, generator)
        return first, self._subset(self.train, n, generator, "training")

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of every class among the training examples; empty where there are no classes."""
        if self.labels is None:
            return ()
        return tuple((torch.bincount(self.labels, minlength=len(self.classes)) / len(self.labels)).tolist())

    @cached_property
    def class_moments(self) -> tuple[Tensor, Tensor] | None:
        """Mean and variance of the training examples of each class, (K, *shape) each; None without classes."""
        if self.labels is None:
            return None
        return class_mean_and_variance(self._bulk, self.labels, len(self.classes))

    def class_number(self, name: str | int) -> int:
        """Return the number of the class that the user names, by its name or, if no class has it, by its number.

        Raises:
            DifrunError: If there is no such class; the message lists the classes.
        """
        return class_number(f"dataset '{self.name}'", self.classes, name)

    def class_distribution(self, label: int) -> GaussianMixture:
        """Return the exact distribution of one class, p(x | y = label).

        Raises:
            DifrunError: If it is not known.
        """
        if self.distribution is None or self.component_labels is None:
            raise DifrunError(f"the distribution of a class of dataset '{self.name}' is not known.")
        return self.distribution.part(self.component_labels == label)

    def real_pair_of(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return two independent sets of real examples, as `real_pair` does, with given classes.

        Both are fresh draws of the class where its distribution is known. Otherwise the first are distinct held-out
        examples of it, and the second are distinct training examples.

        Args:
            labels: The classes, (n,); row i of both sets has the class labels[i].
            generator: The source of randomness.

        Raises:
            DifrunError: If the data have no labels, or too few examples of a class (`examples_of_class`).
        """
        first, second = (torch.empty((len(labels), *self.shape)) for _ in range(2))
        for label in labels.unique().tolist():
            rows = (labels == label).nonzero()[:, 0]
            for split, target in (("held-out", first), ("training", second)):
                target[rows] = self._of_class(label, len(rows), generator, split)
        return first, second

    def examples_of_class(self, label: int) -> int | None:
        """Return how many examples of a class `real_pair_of` can give; None: any number."""
        if self.component_labels is not None or self.fresh_labelled is not None:
            return None
        assert self.labels is not None
        assert self.held_out_labels is not None
        return min(int((self.labels == label).sum()), int((self.held_out_labels == label).sum()))

    def _of_class(self, label: int, n: int, generator: torch.Generator, split: str) -> Tensor:
        """N examples of a class; from the split "held-out" or "training" if the class cannot be sampled."""
        if self.labels is None or self.held_out_labels is None:
            raise DifrunError(f"the examples of dataset '{self.name}' have no labels.")
        if self.component_labels is not None:
            return self.class_distribution(label).sample(n, generator).float()
        if self.fresh_labelled is not None:
            parts, count = [], 0
            # This ends: every class has training examples, so its probability is not 0.
            while count < n:
                x, labels = self.fresh_labelled(max(1000, n), generator)
                parts.append(x[labels == label])
                count += len(parts[-1])
            return torch.cat(parts)[:n]
        if split == "held-out":
            examples, labels = self.held_out, self.held_out_labels
        else:
            examples, labels = self.train, self.labels
        members = (labels == label).nonzero()[:, 0]
        return examples[self._subset(members, n, generator, f"{split} class-'{self.classes[label]}'")]

    def _subset(self, examples: Tensor, n: int, generator: torch.Generator, split: str) -> Tensor:
        if n > len(examples):
            raise DifrunError(
                f"dataset '{self.name}' has {len(examples)} {split} examples; {n} were asked for. Ask for "
                "fewer" + (", or hold out more." if split == "held-out" else ".")
            )
        chosen = torch.randperm(len(examples), generator=generator, device=generator.device)[:n]
        return examples[chosen.to(examples.device)]
