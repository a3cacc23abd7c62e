"""Pictures that a dataset adds to the report of a run."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import torch
from torch import Tensor

from difrun.data.dataset import Dataset
from difrun.randomness.generator import torch_generator

if TYPE_CHECKING:
    from difrun.process.base import ForwardProcess

D = TypeVar("D", bound=Callable[..., Any])

_STEM = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def _stem(_: Any, attribute: attrs.Attribute, value: str) -> None:
    if not _STEM.fullmatch(value):
        raise ValueError(f"the {attribute.name} of a picture is of the form 'my-picture', not {value!r}")


@attrs.frozen
class Drawing:
    """One picture of a report.

    Attributes:
        stem: The name of its file without the ending, lower-case words joined by hyphens.
        title: The first words of the caption, in bold.
        caption: The text that follows them.
        alt: What the picture shows, for readers who cannot see it.
        draw: Makes the picture, a Matplotlib figure or a `difrun.draw.Film`, when it is needed.

    Raises:
        ValueError: If the stem is not of that form.
    """

    stem: str = attrs.field(validator=_stem)
    title: str
    caption: str
    alt: str
    draw: Callable[[], Any]


@attrs.frozen(eq=False, kw_only=True)
class Scene:
    """What the pictures of one run can show.

    All tensors are on the CPU and in the model's units; `Dataset.decode` returns the user's units.

    Attributes:
        dataset: The dataset of the run.
        process: Its forward process.
        samples: Its samples, (n, *shape).
        labels: The classes of the samples, (n,), int64, or their conditions, (n, *shape); None if they have none.
        sampled: n -> the times and the frames of the run's sampler, as `reverse` returns them.
        seed: The seed of the pictures: the same run draws the same pictures.
        given: Conditions (n, *shape) -> a sample of the run's sampler for each; None if the model takes no condition.
    """

    dataset: Dataset
    process: "ForwardProcess"
    samples: Tensor
    labels: Tensor | None = None
    sampled: Callable[[int], tuple[list[float], Tensor]]
    seed: int
    given: Callable[[Tensor], Tensor] | None = None

    def generator(self, *name: int | str) -> torch.Generator:
        """Return the generator of the stream called `name`, which gives the same numbers at every call."""
        return torch_generator(self.seed, "pictures", *name)

    def reference(self, n: int) -> Tensor:
        """Return n real examples that were not trained on, or all that are held out if these are fewer."""
        available = self.dataset.references
        return self.dataset.reference(
            n if available is None else min(n, available), self.generator("reference")
        )

    def times(self, count: int) -> list[float]:
        """Return `count` times from 0 to T that suit an animation (`ForwardProcess.display_times`)."""
        return self.process.display_times(count)

    def forward(self, n: int, frames: int = 48) -> tuple[list[float], Tensor]:
        """Return times from 0 to T, and the exact joint path of n training examples, (frames, n, *shape)."""
        times = self.times(frames)
        path = self.process.path(self.dataset.train[:n], times, self.generator("forward"))
        return times, torch.stack([self.process.observed(states) for states in path])

    def reverse(self, n: int) -> tuple[list[float], Tensor]:
        """Return times from T to t_min, and the path of n samples of the run, (steps + 1, n, *shape)."""
        return self.sampled(n)


def pictured(pictures: Callable[[Scene], Iterable[Drawing]]) -> Callable[[D], D]:
    """Declare the pictures of a dataset, as a decorator of the function that builds it.

    A picture of vectors is shown beside the standard pictures of the core, or replaces the one that has the same stem
    (samples, forward, reverse, density, score, flow, paths). Pictures of other examples replace all standard ones. If a
    picture fails, the report says so and the run goes on.

    Args:
        pictures: Called with the `Scene` of a run; returns its pictures.
    """

    def declare(dataset: D) -> D:
        dataset.pictures = pictures  # type: ignore[attr-defined]
        return dataset

    return declare
