"""Pictures that a dataset brings to the report of a run: what they can be made of, and what each consists of."""

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import attrs
import torch
from torch import Tensor

from difrun.data.dataset import Dataset
from difrun.randomness.generator import torch_generator

D = TypeVar("D", bound=Callable[..., Any])

_STEM = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def _stem(_: Any, attribute: attrs.Attribute, value: str) -> None:
    if not _STEM.fullmatch(value):
        raise ValueError(f"the {attribute.name} of a picture is of the form 'my-picture', not {value!r}")


@attrs.frozen
class Drawing:
    """One picture of a report.

    stem: of its file, lower-case words joined by hyphens. title, caption: what stands below it; alt: what it shows, for
    those who cannot see it. draw: makes the picture, a Matplotlib figure or a `difrun.draw.Film`, when it is wanted.

    Raises ValueError for a stem of another form.
    """

    stem: str = attrs.field(validator=_stem)
    title: str
    caption: str
    alt: str
    draw: Callable[[], Any]


@attrs.frozen(eq=False, kw_only=True)
class Scene:
    """What the pictures of one run are made of. All tensors are on the CPU, in the model's units (`dataset.decode`).

    samples: of the run, (n, *shape). labels: their classes (n,), int64, where they have any. sampled: n -> times and
    frames of the run's sampler, as `reverse` gives them. seed: the same run draws the same pictures.
    """

    dataset: Dataset
    process: Any
    samples: Tensor
    labels: Tensor | None = None
    sampled: Callable[[int], tuple[list[float], Tensor]]
    seed: int

    def generator(self, *name: int | str) -> torch.Generator:
        """Random numbers for the purpose that is named: of a stream of their own, the same whenever asked for."""
        return torch_generator(self.seed, "pictures", *name)

    def reference(self, n: int) -> Tensor:
        """Real examples that were not trained on: n, or as many as are held out."""
        most = self.dataset.references
        return self.dataset.reference(n if most is None else min(n, most), self.generator("reference"))

    def times(self, count: int) -> list[float]:
        """So many times from 0 to T, spaced so that each frame shows something new (`ForwardProcess.display_times`)."""
        return self.process.display_times(count)

    def forward(self, n: int, frames: int = 48) -> tuple[list[float], Tensor]:
        """Times from 0 to T, and the exact joint path of the first n training examples, (frames, n, *shape)."""
        times = self.times(frames)
        return times, self.process.path(self.dataset.train[:n], times, self.generator("forward"))

    def reverse(self, n: int) -> tuple[list[float], Tensor]:
        """Times from T to t_min, and n samples of the run's own sampler at each, (steps + 1, n, *shape)."""
        return self.sampled(n)


def pictured(pictures: Callable[[Scene], Iterable[Drawing]]) -> Callable[[D], D]:
    """Declare the pictures of a dataset: a decorator of what makes it, called with the `Scene` of a run.

    Of examples that are no vectors, these pictures are drawn in the place of the core's; of vectors beside the core's,
    where one of the same stem (samples, forward, reverse, density, score, flow, paths) takes its place. A picture that
    fails is left out and told; the run goes on.
    """

    def declare(dataset: D) -> D:
        dataset.pictures = pictures  # type: ignore[attr-defined]
        return dataset

    return declare
