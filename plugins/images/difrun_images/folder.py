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

from difrun_images.decode import ImageFormat, decode_several, decode_with_remarks, told
from difrun_images.listing import listed, named
from difrun_images.store import PixelStore

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
        notes: Which files were left out, and which are not read as they are, in sentences.
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
    listing = listed(folder)
    paths, labels = listing.paths, listing.labels
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
        listing.classes,
        torch.from_numpy(held_out[good]),
        (*listing.notes, *_unreadable(store.names, good), *told(store.remarks, image_format.background)),
        store.fingerprint,
    )


def _decode_all(
    paths: list[Path], image_format: ImageFormat, workers: int | None
) -> Iterator[tuple[np.ndarray | str, tuple[str, ...]]]:
    """Decode every file, in order; by several processes where there are many files."""
    workers = min(workers or os.cpu_count() or 1, -(-len(paths) // CHUNK))
    if workers == 1 or len(paths) < FEWEST_FOR_PROCESSES:
        for path in paths:
            yield decode_with_remarks(path, image_format)
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
            yield decode_with_remarks(path, image_format)


def _unreadable(names: Sequence[str], good: np.ndarray) -> tuple[str, ...]:
    """A sentence that names the files that were left out, if there are any."""
    left_out = sorted(set(names) - {names[row] for row in good})
    if not left_out:
        return ()
    return (
        f"{len(left_out)} unreadable image{'s are' if len(left_out) > 1 else ' is'} left out: "
        f"{named([[name] for name in left_out])}",
    )
