"""The pictures that image data bring to the report of a run."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor

from difrun.data import Dataset, Drawing, Scene
from difrun_images.shapes import as_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 120
"""Images of a grid without classes."""

PAIRS = 20
"""Samples that are shown over their nearest training images."""

FRAMES = 10
"""Times of a strip."""

STRIPS = 5
"""Images that are shown over time."""


def pictures(scene: Scene) -> Iterator[Drawing]:
    """The pictures of a run on images: samples, real images, nearest training images, and both directions in time."""
    labels = getattr(scene, "labels", None)
    yield Drawing(
        "samples",
        "Samples",
        "Samples of the model, by class where they have any.",
        "A grid of images.",
        lambda: _grid(scene.dataset, scene.samples, labels),
    )
    yield Drawing(
        "real",
        "Real images",
        "Held-out images, which were not trained on.",
        "A grid of images.",
        lambda: _grid(scene.dataset, scene.dataset.held_out, scene.dataset.held_out_labels),
    )
    yield Drawing(
        "nearest",
        "Nearest training images",
        "Samples over the training image that is nearest in pixels, with the distance; the nearest first.",
        "Pairs of images.",
        lambda: _nearest(scene),
    )
    yield Drawing(
        "forward",
        "Images become noise",
        "The forward process; where noise is wider than the data, its contrast is lowered.",
        "Rows of images that turn into noise.",
        lambda: _strip(scene.dataset, *scene.forward(STRIPS, FRAMES)),
    )
    yield Drawing(
        "reverse",
        "Noise becomes images",
        "The run's own sampler, shown as above.",
        "Rows of noise that turn into images.",
        lambda: _strip(scene.dataset, *scene.reverse(STRIPS)),
    )


def _grid(dataset: Dataset, examples: Tensor, labels: Tensor | None) -> "Figure":
    from difrun_images import draw

    shown = None if labels is None or not dataset.classes else labels[: 10 * SHOWN].tolist()
    count = SHOWN if shown is None else len(shown)
    return draw.image_grid(as_images(dataset, dataset.decode(examples[:count])), shown, dataset.classes)


def _nearest(scene: Scene) -> "Figure":
    from difrun_images import draw
    from difrun_images.metrics import nearest_of

    dataset, samples = scene.dataset, scene.samples[:PAIRS]
    distance, which = nearest_of(samples, dataset.train)
    neighbours = dataset.train[which[:, 0]]
    return draw.nearest_panel(
        as_images(dataset, samples), as_images(dataset, neighbours), distance[:, 0].tolist()
    )


def _strip(dataset: Dataset, times: Any, frames: Tensor) -> "Figure":
    from difrun_images import draw

    chosen = draw.evenly(len(frames), FRAMES)
    # Noise that is wider than the data is scaled down to the contrast of the images.
    data_std = dataset.train.std()
    images = []
    for k in chosen:
        ratio = float(frames[k].std() / data_std)
        images.append(as_images(dataset, frames[k] / max(1.0, ratio)).numpy())
    return draw.image_strip(images, [times[k] for k in chosen])
