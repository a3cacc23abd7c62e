"""Images to learn from. Pixels 0 to the brightest become −1 to 1."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.api import MIN_EXAMPLES
from difrun.data import Dataset, pictured
from difrun.errors import DifrunError
from difrun.randomness import torch_generator
from difrun_images.folder import Wanted, read_folder
from difrun_images.idx import read_mnist
from difrun_images.pictures import pictures


@attrs.frozen(eq=False, slots=False, kw_only=True)
class ImageDataset(Dataset):
    """Images, or their pixels as vectors. image: (channels, rows, columns) of an image."""

    image: tuple[int, int, int]


@pictured(pictures)
def digits(*, seed: int, held_out: float = 0.2, flat: bool = False) -> ImageDataset:
    """The 1797 digits of scikit-learn, (1, 8, 8), after Alpaydin and Kaynak (1998): grey levels 0 to 16.

    held_out: share of every class that is not trained on, chosen by the seed.
    """
    from sklearn.datasets import load_digits  # a second to import, for this dataset alone

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float()[:, None] / 8 - 1
    labels = torch.from_numpy(bunch.target).long()
    kept = stratified(labels, held_out, torch_generator(seed, "dataset", "digits", "split"))
    return dataset_of("digits", images, labels, kept, tuple(map(str, range(10))), flat)


@pictured(pictures)
def mnist(*, seed: int, folder: Path | None = None, n: int | None = None, flat: bool = False) -> ImageDataset:
    """MNIST (LeCun et al., 1998) or data in its format, (1, 28, 28), from the four files in a folder (`idx.FILES`).

    Its test images are what is held out. n: train on the first n images alone; the seed has no part in it.
    Raises `DifrunError` for a folder or files that are missing, damaged, or fewer than n images.
    """
    if folder is None:
        raise DifrunError("dataset 'mnist' needs a folder with its files: --dataset.folder FOLDER.")
    arrays = read_mnist(Path(folder))
    train, test = arrays["train images"], arrays["test images"]
    if train.shape[1:] != test.shape[1:]:
        raise DifrunError(
            f"--dataset.folder {folder}: training images are {'x'.join(map(str, train.shape[1:]))}, test images "
            f"{'x'.join(map(str, test.shape[1:]))}; expected one size."
        )
    if n is not None and n > len(train):
        raise DifrunError(f"--dataset.n {n}: {folder} has {len(train)} training images.")
    n = n or len(train)
    images = torch.cat([scaled(torch.from_numpy(part.copy())[:, None]) for part in (train[:n], test)])
    marks = [torch.from_numpy(arrays[f"{part} labels"].copy()).long() for part in ("train", "test")]
    labels = torch.cat([marks[0][:n], marks[1]])
    kept = torch.arange(len(images)) >= n
    classes = tuple(map(str, range(int(torch.cat(marks).max()) + 1)))
    return dataset_of("mnist", images, labels, kept, classes, flat)


@pictured(pictures)
def image_folder(
    *,
    seed: int,
    folder: Path | None = None,
    size: tuple[int, ...] | None = None,
    fit: str = "crop",
    colour: str = "rgb",
    unreadable: str = "refuse",
    held_out: float = 0.2,
    workers: int | None = None,
    memory: float = 2.0,
    cache: Path | None = None,
    flat: bool = False,
) -> ImageDataset:
    """PNG and JPEG files of a folder, (3, rows, columns) or (1, rows, columns); subfolders with images are classes.

    size, fit: the size of all images, and how they come to it (`decode.Wanted`). held_out: share of every class that is
    not trained on, the same whatever the seed, so that all runs read one file of pixels. unreadable: whether a file
    that is no image is refused, or skipped and named. workers: processes that decode. memory: gigabytes of pixels up to
    which images are held in memory; more are decoded once into a file in the folder `cache`, from which training reads.

    Raises `DifrunError`: no folder, no images, files that cannot be read (named), images of several sizes without
    `size` (named), images both beside and in subfolders, or fewer than 20 that are left to train on.
    """
    if folder is None:
        raise DifrunError("dataset 'image-folder' needs a folder of images: --dataset.folder FOLDER.")
    sides = None if size is None else (size[0], size[-1])
    wanted = Wanted(sides, fit, colour == "grey")
    found = read_folder(
        Path(folder),
        wanted,
        skip=unreadable == "skip",
        workers=workers,
        memory=memory,
        cache=cache,
        split=lambda labels: stratified(
            labels, held_out, torch_generator(0, "dataset", "image-folder", "split")
        ),
    )
    return dataset_of(
        Path(folder).name,
        found.images,
        found.labels if found.classes else None,
        found.kept,
        found.classes,
        flat,
        notes=found.notes,
        fingerprint=found.fingerprint,
    )


def scaled(pixels: Tensor) -> Tensor:
    """Bytes 0 to 255 as −1 to 1, float32."""
    return pixels.float() / 127.5 - 1


def stratified(labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Which examples are held out, (N,) bool: round(share · n) of the n of every class, at least 1 in all.

    At least one example of every class with more than one is left to train on.
    """
    kept = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        rows = (labels == label).nonzero()[:, 0]
        order = torch.randperm(len(rows), generator=generator)
        kept[rows[order[: min(round(share * len(rows)), len(rows) - 1)]]] = True
    if len(labels) > 1 and not bool(kept.any()):
        kept[int(torch.randint(len(labels), (), generator=generator))] = True
    return kept


def dataset_of(
    name: str,
    images: Tensor,
    labels: Tensor | None,
    kept: Tensor,
    classes: Sequence[str],
    flat: bool,
    notes: tuple[str, ...] = (),
    fingerprint: str = "",
) -> ImageDataset:
    """The dataset of images (N, c, h, w) of which those marked in `kept` are held out.

    fingerprint: what tells these images from others; by default a digest of pixels and labels.

    Raises `DifrunError` when too few are left to train on.
    """
    left = int((~kept).sum())
    if left < MIN_EXAMPLES:
        raise DifrunError(
            f"dataset '{name}': of {len(images)} images {left} are left to train on; at least {MIN_EXAMPLES} are "
            "needed. Bring more, or hold out a smaller share."
        )
    image = images.shape[1:]
    known: dict[str, Any] = {}
    if labels is not None:
        known = {"labels": labels[~kept], "held_out_labels": labels[kept], "classes": tuple(classes)}
    train, held = _parts(images, kept)
    if flat:
        train, held = train.flatten(1), held.flatten(1)
    return ImageDataset(
        name=name,
        train=train,
        held_out=held,
        image=(image[0], image[1], image[2]),
        notes=notes,
        fingerprint=fingerprint or _digest(images, labels),
        **known,
    )


def _digest(images: Tensor, labels: Tensor | None) -> str:
    digest = hashlib.blake2b(images.numpy().tobytes(), digest_size=16)
    if labels is not None:
        digest.update(labels.numpy().tobytes())
    return digest.hexdigest()


def _parts(images: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """What is trained on and what is held out: views where they lie one after the other, else copies."""
    count = int(kept.sum())
    if bool(kept[:count].all()):
        return images[count:], images[:count]
    return images[~kept], images[kept]
