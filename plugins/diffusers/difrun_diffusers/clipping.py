"""What a scheduler's configuration asks to be done with x̂_0: clipped to a range, or thresholded example by example."""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import attrs
import torch
from torch import Tensor

_left_to_the_scheduler: ContextVar[bool] = ContextVar("left_to_the_scheduler", default=False)


@attrs.frozen
class Clip:
    """A clip of x̂_0 to [−bound, bound].

    With a quantile, the bound of each example is that quantile of its |x̂_0|, at least 1 and at most `bound`, and x̂_0 is
    then divided by it: dynamic thresholding.

    Attributes:
        bound: The bound, or with a quantile the largest.
        quantile: The quantile, or None.

    References:
        Saharia et al., Photorealistic text-to-image diffusion models with deep language understanding, 2022, arXiv
        2205.11487, section 2.3.
    """

    bound: float
    quantile: float | None = None

    def __call__(self, x0: Tensor) -> Tensor:
        """Return x̂_0 (n, ...) clipped."""
        if self.quantile is None:
            return x0.clamp(-self.bound, self.bound)
        bounds = torch.quantile(x0.flatten(1).abs(), self.quantile, dim=1)
        bounds = bounds.clamp(min=1.0, max=self.bound).reshape(-1, *(1,) * (x0.ndim - 1))
        return torch.minimum(torch.maximum(x0, -bounds), bounds) / bounds

    def __str__(self) -> str:
        if self.quantile is None:
            return f"clips x̂_0 to [−{self.bound:g}, {self.bound:g}]"
        return (
            f"divides x̂_0 by the {self.quantile:g} quantile of its size, from 1 to {self.bound:g}, and clips it to "
            "[−1, 1]"
        )


def clip_of(config: Mapping[str, Any]) -> Clip | None:
    """Return what a scheduler does to x̂_0; None for nothing.

    Args:
        config: The settings of its constructor, the defaults included.
    """
    if config.get("thresholding"):
        return Clip(float(config["sample_max_value"]), float(config["dynamic_thresholding_ratio"]))
    if config.get("clip_sample"):
        return Clip(float(config.get("clip_sample_range") or 1.0))
    return None


def is_left() -> bool:
    """Whether a scheduler that clips x̂_0 itself is asking."""
    return _left_to_the_scheduler.get()


@contextlib.contextmanager
def left_to(scheduler: Any) -> Iterator[None]:
    """Let models answer without their clip, if a scheduler clips x̂_0 itself: it may need the noise that is not."""
    clips = clip_of(scheduler.config) is not None
    token = _left_to_the_scheduler.set(clips or is_left())
    try:
        yield
    finally:
        _left_to_the_scheduler.reset(token)
