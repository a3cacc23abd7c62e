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
    image = getattr(dataset, "image", None)
    shape = tuple(dataset.shape)
    if image is None and len(shape) == 3:
        image = shape
    if image is None and len(shape) == 1 and math.isqrt(shape[0]) ** 2 == shape[0]:
        image = (1, math.isqrt(shape[0]), math.isqrt(shape[0]))
    if image is None:
        raise DifrunError(f"examples of shape {shape} of dataset '{dataset.name}' are not images.")
    return (image[0], image[1], image[2])


def as_images(dataset: Dataset, examples: Tensor) -> Tensor:
    """Examples (..., *shape) as images (..., channels, rows, columns), float32 on the CPU."""
    front = examples.shape[: examples.ndim - len(dataset.shape)]
    return examples.detach().cpu().float().reshape(*front, *image_of(dataset))
