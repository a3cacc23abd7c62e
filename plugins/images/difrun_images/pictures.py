"""The pictures that image data bring to the report of a run."""

from collections.abc import Iterator
from typing import Any

from difrun.data import Drawing, Scene
from difrun_images.shapes import as_images

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
    dataset = scene.dataset
    labels = getattr(scene, "labels", None)

    def grid(examples: Any, labels: Any) -> Any:
        from difrun_images import draw

        shown = None if labels is None or not dataset.classes else labels[: 10 * SHOWN].tolist()
        count = SHOWN if shown is None else len(shown)
        return draw.image_grid(as_images(dataset, dataset.decode(examples[:count])), shown, dataset.classes)

    def nearest() -> Any:
        from difrun_images import draw
        from difrun_images.metrics import nearest_of

        samples = scene.samples[:PAIRS]
        distance, which = nearest_of(samples, dataset.train)
        neighbours = dataset.train[which[:, 0]]
        return draw.nearest_panel(
            as_images(dataset, samples), as_images(dataset, neighbours), distance[:, 0].tolist()
        )

    def strip(times: Any, frames: Any) -> Any:
        from difrun_images import draw

        chosen = draw.evenly(len(frames), FRAMES)
        # Noise that is wider than the pixels is divided by how much wider it is, to have their contrast.
        data_std = dataset.train.std()
        images = []
        for k in chosen:
            ratio = float(frames[k].std() / data_std)
            images.append(as_images(dataset, frames[k] / max(1.0, ratio)).numpy())
        return draw.image_strip(images, [times[k] for k in chosen])

    yield Drawing(
        "samples",
        "Samples",
        "Samples of the model, by class where they have any.",
        "A grid of images.",
        lambda: grid(scene.samples, labels),
    )
    yield Drawing(
        "real",
        "Real images",
        "Held-out images, which were not trained on.",
        "A grid of images.",
        lambda: grid(dataset.held_out, dataset.held_out_labels),
    )
    yield Drawing(
        "nearest",
        "Nearest training images",
        "Samples over the training image that is nearest in pixels, with the distance; the nearest first.",
        "Pairs of images.",
        nearest,
    )
    yield Drawing(
        "forward",
        "Images become noise",
        "The forward process; where noise is wider than the data, its contrast is lowered.",
        "Rows of images that turn into noise.",
        lambda: strip(*scene.forward(STRIPS, FRAMES)),
    )
    yield Drawing(
        "reverse",
        "Noise becomes images",
        "The run's own sampler, shown as above.",
        "Rows of noise that turn into images.",
        lambda: strip(*scene.reverse(STRIPS)),
    )
