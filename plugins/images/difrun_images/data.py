"""Datasets of images. Pixels from 0 to the brightest become −1 to 1."""

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
from difrun_images.decode import ImageFormat
from difrun_images.folder import read_folder
from difrun_images.idx import read_mnist
from difrun_images.pictures import pictures


@attrs.frozen(eq=False, slots=False, kw_only=True)
class ImageDataset(Dataset):
    """Images, or their pixels as vectors.

    Attributes:
        image: (channels, rows, columns) of an image.
    """

    image: tuple[int, int, int]


@pictured(pictures)
def digits(*, seed: int, held_out: float = 0.2, flat: bool = False) -> ImageDataset:
    """The 1797 handwritten digits of scikit-learn, 8x8, with grey levels from 0 to 16.

    Args:
        seed: Chooses the digits that are held out.
        held_out: The share of every class that is not trained on.
        flat: Whether images are vectors.

    Returns:
        Images of shape (1, 8, 8).

    References:
        Alpaydin and Kaynak (1998), Optical recognition of handwritten digits, UCI Machine Learning Repository.
    """
    from sklearn.datasets import load_digits  # a second to import, for this dataset alone

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float()[:, None] / 8 - 1
    labels = torch.from_numpy(bunch.target).long()
    chosen = stratified(labels, held_out, torch_generator(seed, "dataset", "digits", "split"))
    return dataset_of("digits", images, labels, chosen, tuple(map(str, range(10))), flat)


@pictured(pictures)
def mnist(*, seed: int, folder: Path | None = None, n: int | None = None, flat: bool = False) -> ImageDataset:
    """MNIST (LeCun et al., 1998), or data in its format, from the four files in a folder (`idx.FILES`).

    The test images are held out.

    Args:
        seed: Not used: nothing here is random.
        folder: The folder of the files.
        n: The number of images to train on, the first ones; None for all.
        flat: Whether images are vectors.

    Returns:
        Images of shape (1, 28, 28), or that of the files.

    Raises:
        DifrunError: If the folder or files are missing or damaged, or there are fewer than n images.
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
    train_labels, test_labels = (
        torch.from_numpy(arrays[f"{part} labels"].copy()).long() for part in ("train", "test")
    )
    labels = torch.cat([train_labels[:n], test_labels])
    held_out = torch.arange(len(images)) >= n
    classes = tuple(map(str, range(int(torch.cat((train_labels, test_labels)).max()) + 1)))
    return dataset_of("mnist", images, labels, held_out, classes, flat)


@pictured(pictures)
def image_folder(
    *,
    seed: int,
    folder: Path | None = None,
    size: tuple[int, ...] | None = None,
    fit: str = "crop",
    colour: str = "rgb",
    background: str = "white",
    unreadable: str = "refuse",
    held_out: float = 0.2,
    workers: int | None = None,
    memory: float = 2.0,
    cache: Path | None = None,
    flat: bool = False,
) -> ImageDataset:
    """The images of a folder, in any format that Pillow reads; subfolders with images are classes.

    Args:
        seed: Not used: the split is the same for all runs, so that they read one file of pixels.
        folder: The folder.
        size: The side of all images, or their rows and columns; None if they have one size.
        fit: How images are brought to that size (`decode.ImageFormat`).
        colour: "rgb" for three channels, "grey" for one.
        background: What transparent images are laid on: "white", "black" or a colour such as "#80c0ff".
        unreadable: Whether a file that is not an image is refused ("refuse"), or left out and named ("skip").
        held_out: The share of every class that is not trained on.
        workers: The number of processes that decode; None for one per CPU.
        memory: The gigabytes of pixels up to which images are held in memory. More are decoded once into a file, from
            which training reads.
        cache: The folder of that file; None for one beside the images.
        flat: Whether images are vectors.

    Returns:
        Images of shape (3, rows, columns) or (1, rows, columns).

    Raises:
        DifrunError: If there is no folder, no image, a file that cannot be read, images of several sizes without
            `size`, images both beside and in subfolders, or fewer than 20 images to train on. Files are named.
    """
    if folder is None:
        raise DifrunError("dataset 'image-folder' needs a folder of images: --dataset.folder FOLDER.")
    sides = None if size is None else (size[0], size[-1])
    contents = read_folder(
        Path(folder),
        ImageFormat(sides, fit, colour == "grey", _rgb(background)),
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
        contents.images,
        contents.labels if contents.classes else None,
        contents.held_out,
        contents.classes,
        flat,
        notes=contents.notes,
        fingerprint=contents.fingerprint,
    )


def _rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of white, black or #rrggbb."""
    digits = {"white": "#ffffff", "black": "#000000"}.get(colour, colour)
    return int(digits[1:3], 16), int(digits[3:5], 16), int(digits[5:7], 16)


def scaled(pixels: Tensor) -> Tensor:
    """Bytes 0 to 255 as −1 to 1, float32."""
    return pixels.float() / 127.5 - 1


def stratified(labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Choose the examples that are held out: round(share · n) of the n of every class, and at least 1 in all.

    At least one example of every class is left to train on.

    Args:
        labels: The class of every example, (N,).
        share: The share that is held out.
        generator: The source of random numbers.

    Returns:
        Which examples are held out, (N,), bool.
    """
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        rows = (labels == label).nonzero()[:, 0]
        order = torch.randperm(len(rows), generator=generator)
        held_out[rows[order[: min(round(share * len(rows)), len(rows) - 1)]]] = True
    if len(labels) > 1 and not bool(held_out.any()):
        held_out[int(torch.randint(len(labels), (), generator=generator))] = True
    return held_out


def dataset_of(
    name: str,
    images: Tensor,
    labels: Tensor | None,
    held_out: Tensor,
    classes: Sequence[str],
    flat: bool,
    notes: tuple[str, ...] = (),
    fingerprint: str = "",
) -> ImageDataset:
    """Make a dataset of images.

    Args:
        name: The name of the dataset.
        images: All images, with shape (N, c, h, w).
        labels: Their classes, (N,); None where there are no classes.
        held_out: Which images are held out, (N,), bool.
        classes: The names of the classes.
        flat: Whether images are vectors.
        notes: Sentences for the terminal and the report.
        fingerprint: A text that other images would not have; by default a digest of pixels and labels.

    Returns:
        The dataset.

    Raises:
        DifrunError: If too few images are left to train on.
    """
    left = int((~held_out).sum())
    if left < MIN_EXAMPLES:
        raise DifrunError(
            f"dataset '{name}': of {len(images)} images {left} are left to train on; at least {MIN_EXAMPLES} are "
            f"needed. Bring more, or hold out a smaller share.{''.join(f' {note}.' for note in notes)}"
        )
    image = images.shape[1:]
    label_fields: dict[str, Any] = {}
    if labels is not None:
        label_fields = {
            "labels": labels[~held_out],
            "held_out_labels": labels[held_out],
            "classes": tuple(classes),
        }
    train, rest = _split(images, held_out)
    if flat:
        train, rest = train.flatten(1), rest.flatten(1)
    return ImageDataset(
        name=name,
        train=train,
        held_out=rest,
        image=(image[0], image[1], image[2]),
        notes=notes,
        fingerprint=fingerprint or _digest(images, labels),
        **label_fields,
    )


def _digest(images: Tensor, labels: Tensor | None) -> str:
    digest = hashlib.blake2b(images.numpy().tobytes(), digest_size=16)
    if labels is not None:
        digest.update(labels.numpy().tobytes())
    return digest.hexdigest()


def _split(images: Tensor, held_out: Tensor) -> tuple[Tensor, Tensor]:
    """The images to train on and those held out: views where held-out ones come first, else copies."""
    count = int(held_out.sum())
    if bool(held_out[:count].all()):
        return images[count:], images[:count]
    return images[~held_out], images[held_out]
