"""A small world of two classes, in which guidances are tried: data, exact models, and the guided model."""

from functools import cached_property
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.guidance.context import Context
from difrun.model.base import ScoreModel
from difrun.model.exact import ExactMixture
from difrun.options.attrs_fields import values
from difrun.process.gaussian import GaussianProcess
from difrun.testing.references import two_classes
from difrun.testing.rules import ComponentUnderTest
from difrun.testing.verdict import RuleBroken

LABELS = torch.tensor([0, 1, 1, 0, 1, 0])


def labelled_data() -> Dataset:
    """Examples of two overlapping classes, with their exact distribution."""
    mixture, component_labels = two_classes()
    draw = torch.Generator().manual_seed(1)
    train, parts = mixture.sample_with_components(300, draw)
    held_out, others = mixture.sample_with_components(60, draw)
    return Dataset(
        name="two classes",
        train=train,
        held_out=held_out,
        fresh=mixture.sample,
        distribution=mixture,
        labels=component_labels[parts],
        held_out_labels=component_labels[others],
        classes=("left", "right"),
        component_labels=component_labels,
    )


@attrs.frozen(eq=False, slots=False)
class GuidedWorld:
    """A process, the exact model of two classes under it, and a guidance.

    Attributes:
        subject: The guidance.
        process: The process.
    """

    subject: ComponentUnderTest
    process: GaussianProcess

    @cached_property
    def model(self) -> ExactMixture:
        """The exact model, of any class."""
        mixture, component_labels = two_classes()
        return ExactMixture(mixture, self.process, component_labels)

    @cached_property
    def guided(self) -> ScoreModel:
        """The guided model for any batch, made with the options under test."""
        return self.make(values(self.subject.options))

    def make(self, options: dict[str, Any]) -> ScoreModel:
        """The guided model with some options."""
        data = labelled_data()
        offered = {"model": self.model, "dataset": data, "context": Context(data, trial=True)}
        try:
            guided = self.subject.entry.call(offered, options)
        except DifrunError as error:
            raise self.subject.refusal(error, "it does not guide an exact model of two classes") from error
        if not isinstance(guided, ScoreModel):
            raise RuleBroken(f"it makes a {type(guided).__name__}", "a ScoreModel")
        return guided

    def x(self, t: float, n: int = 6) -> Tensor:
        """Noised examples at a time, float64."""
        mixture, _ = two_classes()
        return self.process.sample(mixture.sample(n, torch.Generator().manual_seed(2)), t, 3)


def of_rows(model: ScoreModel, labels: Tensor = LABELS) -> ScoreModel:
    """The model for a batch whose rows have these classes, if it knows classes."""
    return model.condition_on(labels) if model.classes else model
