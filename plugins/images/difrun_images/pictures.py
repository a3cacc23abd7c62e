"""The pictures that image data bring to the report of a run."""

from collections.abc import Iterator
from typing import Any

from difrun.data import Drawing, Scene
from difrun_images.shapes import as_images

SHOWN = 120
PAIRS = 20
FRAMES = 10
STRIPS = 5


def pictures(scene: Scene) -> Iterator[Drawing]:
    """Samples, real images, samples beside the nearest training images, the way to noise and back."""
    dataset = scene.dataset
    labels = getattr(scene, "labels", None)

    def grid(of: Any, marks: Any) -> Any:
        from difrun_images import draw

        shown = None if marks is None or not dataset.classes else marks[: 10 * SHOWN].tolist()
        count = SHOWN if shown is None else len(shown)
        return draw.image_grid(as_images(dataset, dataset.decode(of[:count])), shown, dataset.classes)

    def nearest() -> Any:
        from difrun_images import draw
        from difrun_images.metrics import nearest_of

        samples = scene.samples[:PAIRS]
        distance, which = nearest_of(samples, dataset.train)
        beside = dataset.train[which[:, 0]]
        return draw.nearest_panel(
            as_images(dataset, samples), as_images(dataset, beside), distance[:, 0].tolist()
        )

    def strip(times: Any, frames: Any) -> Any:
        from difrun_images import draw

        chosen = draw.evenly(len(frames), FRAMES)
        # Noise far wider than the pixels is shown at their contrast: divided by how much wider it is.
        usual = dataset.train.std()
        wide = [float(frames[k].std() / usual) for k in chosen]
        seen = [
            as_images(dataset, frames[k] / max(1.0, ratio)) for k, ratio in zip(chosen, wide, strict=True)
        ]
        return draw.image_strip([part.numpy() for part in seen], [times[k] for k in chosen])

    yield Drawing(
        "samples", "Samples", "Samples of the model, by class where they have any.", "A grid of images.",
        lambda: grid(scene.samples, labels),
    )  # fmt: skip
    yield Drawing(
        "real", "Real images", "Images that were not trained on.", "A grid of images.",
        lambda: grid(dataset.held_out, dataset.held_out_labels),
    )  # fmt: skip
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
