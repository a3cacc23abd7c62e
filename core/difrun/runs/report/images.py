"""Examples that are drawn as images, by their shape."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from difrun import draw
from difrun.data.dataset import Dataset

ROWS, SAMPLES, EXAMPLES = 4, 8, 4
"""Rows of the picture, and how many samples and training examples each of them has."""

SMALLEST = 4
"""The fewest rows and columns of an image: below, numbers are read more easily than pixels."""


def as_images(shape: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return what turns examples into images, (n, rows, columns) or (n, rows, columns, 3); None if they are none.

    Channels are first or last; of other numbers of channels than 3, the first one is shown.

    Args:
        shape: The shape of one example.
    """
    if len(shape) == 2 and min(shape) >= SMALLEST:
        return lambda x: x
    if len(shape) == 3 and shape[-1] < SMALLEST and min(shape[:2]) >= SMALLEST:
        return lambda x: x if x.shape[-1] == 3 else x[..., 0]
    if len(shape) == 3 and min(shape[1:]) >= SMALLEST:
        return lambda x: np.moveaxis(x, 1, -1) if x.shape[1] == 3 else x[:, 0]
    return None


def samples_and_examples(
    dataset: Dataset, samples: Tensor, images: Callable[[np.ndarray], np.ndarray]
) -> Any:
    """Draw samples beside training examples.

    Args:
        dataset: The data.
        samples: The samples, (n, *shape), in the units of the model.
        images: What turns examples into images.
    """
    rows = max(1, min(ROWS, len(samples) // SAMPLES))
    given = []
    for k in range(rows):
        drawn = samples[SAMPLES * k : SAMPLES * (k + 1)].cpu()
        real = dataset.train[EXAMPLES * k : EXAMPLES * (k + 1)]
        given.append(
            draw.Given("", images(dataset.decode(drawn).numpy()), images(dataset.decode(real).numpy()))
        )
    return draw.images_given(given)
