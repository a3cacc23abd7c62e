"""Examples as images, flattened or not."""

import math

from torch import Tensor

from difrun.data import Dataset
from difrun.errors import DifrunError


def image_of(dataset: Dataset) -> tuple[int, int, int]:
    """The shape (channels, rows, columns) of the images of a dataset; a vector of s² pixels is a grey image of side s.

    Raises:
        DifrunError: If the examples are other vectors.
    """
    known = getattr(dataset, "image", None)
    shape = tuple(dataset.shape)
    if known is None and len(shape) == 3:
        known = shape
    if known is None and len(shape) == 1 and math.isqrt(shape[0]) ** 2 == shape[0]:
        known = (1, math.isqrt(shape[0]), math.isqrt(shape[0]))
    if known is None:
        raise DifrunError(f"examples of shape {shape} of dataset '{dataset.name}' are not images.")
    return (known[0], known[1], known[2])


def as_images(dataset: Dataset, examples: Tensor) -> Tensor:
    """Examples (..., *shape) as images (..., channels, rows, columns), float32 on the CPU."""
    front = examples.shape[: examples.ndim - len(dataset.shape)]
    return examples.detach().cpu().float().reshape(*front, *image_of(dataset))
