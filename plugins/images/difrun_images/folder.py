"""A folder of images: its files, and how several processes decode them."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun_images.decode import ImageFormat, decode, decode_several
from difrun_images.store import PixelStore

SUFFIXES = (".png", ".jpg", ".jpeg")

CHUNK = 32
"""Files that a process decodes at a time."""

FEWEST_FOR_PROCESSES = 512
"""Fewest files for which processes are started: fewer are decoded before a process would be ready."""


@attrs.frozen(eq=False)
class ImageFolder:
    """The images of a folder.

    Attributes:
        images: The images, with shape (N, c, h, w), from −1 to 1.
        labels: Their classes, (N,), int64; 0 where there are no classes.
        classes: The names of the classes.
        held_out: Which images are held out, (N,), bool; they come first.
        notes: Which files were left out, in a sentence.
        fingerprint: A digest of names, sizes and options.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    held_out: Tensor
    notes: tuple[str, ...]
    fingerprint: str


def read_folder(
    folder: Path,
    image_format: ImageFormat,
    *,
    skip: bool,
    workers: int | None,
    memory: float,
    cache: Path | None,
    split: Callable[[Tensor], Tensor],
) -> ImageFolder:
    """Read the images of a folder.

    Held-out images come first, so that both parts lie in one piece, in memory or in a file.

    Args:
        folder: The folder.
        image_format: The size and colours of the images.
        skip: Whether files that cannot be read are left out; else they are refused.
        workers: The number of processes that decode; None for one per CPU.
        memory: The gigabytes of pixels up to which images are held in memory.
        cache: The folder for a file of more pixels; None for one beside the images.
        split: Labels -> which images are held out.

    Returns:
        The images.

    Raises:
        DifrunError: As `data.image_folder` says.
    """
    paths, labels, classes = listed(folder)
    held_out = split(torch.from_numpy(labels)).numpy()
    order = np.argsort(~held_out, kind="stable")
    paths, labels, held_out = [paths[i] for i in order], labels[order], held_out[order]
    store = PixelStore.for_files(folder, paths, image_format, skip, memory, cache)
    if not store.is_filled():
        store.fill(_decode_all(paths, image_format, workers), folder, skip)
    images, good = store.read()
    return ImageFolder(
        images,
        torch.from_numpy(labels[good]),
        classes,
        torch.from_numpy(held_out[good]),
        _notes(store.names, good),
        store.fingerprint,
    )


def listed(folder: Path) -> tuple[list[Path], np.ndarray, tuple[str, ...]]:
    """The images in a folder, in the order of their names.

    Classes are the subfolders that hold images, at any depth. Hidden files and folders do not count.

    Args:
        folder: The folder.

    Returns:
        The files, their labels (N,), int64, and the names of the classes.

    Raises:
        DifrunError: If there is no such folder, no image in it, or images both in subfolders and beside them.
    """
    pairs = _image_files(folder)
    beside = [path for path, parts in pairs if len(parts) == 1]
    if not beside:
        classes = tuple(sorted({parts[0] for _, parts in pairs}))
        numbers = {name: number for number, name in enumerate(classes)}
        return [path for path, _ in pairs], np.array([numbers[parts[0]] for _, parts in pairs]), classes
    if len(beside) < len(pairs):
        raise DifrunError(
            f"--dataset.folder {folder} holds images beside its subfolders ({beside[0].name}) and in them "
            f"({next('/'.join(parts) for _, parts in pairs if len(parts) > 1)}). Subfolders are classes: put every "
            "image into one, or none."
        )
    return beside, np.zeros(len(beside), dtype=np.int64), ()


def _image_files(folder: Path) -> list[tuple[Path, tuple[str, ...]]]:
    """The images of a folder, each with the parts of its path inside the folder, in the order of their names."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DifrunError(f"--dataset.folder {folder} {what}; expected a folder of PNG and JPEG files.")
    try:
        paths = sorted(
            path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
        )
    except OSError as error:
        raise DifrunError(f"--dataset.folder {folder} cannot be read: {error.strerror}.") from None
    files = [(path, path.relative_to(folder).parts) for path in paths]
    files = [(path, parts) for path, parts in files if not _hidden(parts)]
    if not files:
        raise DifrunError(
            f"--dataset.folder {folder} holds no image: no file in it or in its subfolders ends in "
            f"{', '.join(SUFFIXES)}."
        )
    return files


def _hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") for part in parts)


def _decode_all(
    paths: list[Path], image_format: ImageFormat, workers: int | None
) -> Iterator[np.ndarray | str]:
    """Decode every file, in order; by several processes where there are many files."""
    workers = min(workers or os.cpu_count() or 1, -(-len(paths) // CHUNK))
    if workers == 1 or len(paths) < FEWEST_FOR_PROCESSES:
        for path in paths:
            yield decode(path, image_format)
        return
    chunks = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
    done = 0
    try:
        # Not forked: torch's threads may hold locks that no thread of the child would give back.
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for start in range(0, len(chunks), 8 * workers):  # so that few results wait in memory
                some = chunks[start : start + 8 * workers]
                for part in pool.map(decode_several, some, [image_format] * len(some)):
                    done += len(part)
                    yield from part
    except BrokenProcessPool:  # a script without `if __name__ == "__main__"` cannot start processes
        for path in paths[done:]:
            yield decode(path, image_format)


def _notes(names: Sequence[str], good: np.ndarray) -> tuple[str, ...]:
    """A sentence that names the files that were left out, if there are any."""
    left_out = sorted(set(names) - {names[row] for row in good})
    if not left_out:
        return ()
    more = f" and {len(left_out) - 10} more" if len(left_out) > 10 else ""
    return (
        f"{len(left_out)} unreadable image{'s are' if len(left_out) > 1 else ' is'} left out: "
        f"{', '.join(left_out[:10])}{more}",
    )
