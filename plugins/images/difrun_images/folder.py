"""A folder of images: which files there are, decoded by several processes into memory, or once into a file."""

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
from difrun_images.decode import Wanted, decode, decode_several
from difrun_images.store import Target

SUFFIXES = (".png", ".jpg", ".jpeg")

CHUNK = 32
"""Files that a process decodes at a time."""

FEW = 512
"""Fewer files than these are decoded before a process would have started."""


@attrs.frozen(eq=False)
class Found:
    """What a folder holds.

    images: (N, c, h, w) from −1 to 1. labels: (N,) int64; 0 where there are no classes. classes: their names. kept:
    which are held out, (N,) bool; they come first. notes: which files were left out. fingerprint: of names, sizes and
    options.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    kept: Tensor
    notes: tuple[str, ...]
    fingerprint: str


def read_folder(
    folder: Path,
    wanted: Wanted,
    *,
    skip: bool,
    workers: int | None,
    memory: float,
    cache: Path | None,
    split: Callable[[Tensor], Tensor],
) -> Found:
    """The images of a folder, of which `split` says by the labels which are held out.

    These come first, so that both parts lie in one piece, in memory or in a file. Raises as `data.image_folder` says.
    """
    paths, labels, classes = listed(folder)
    kept = split(torch.from_numpy(labels)).numpy()
    order = np.argsort(~kept, kind="stable")
    paths, labels, kept = [paths[i] for i in order], labels[order], kept[order]
    target = Target.of(folder, paths, wanted, skip, memory, cache)
    if not target.there():
        target.fill(_decoded(paths, wanted, workers), folder, skip)
    images, good = target.read()
    return Found(
        images,
        torch.from_numpy(labels[good]),
        classes,
        torch.from_numpy(kept[good]),
        _notes(target.names, good),
        target.fingerprint,
    )


def listed(folder: Path) -> tuple[list[Path], np.ndarray, tuple[str, ...]]:
    """The images in a folder in the order of their names, their labels (N,) int64, and the names of the classes.

    Classes are the subfolders that hold images, at any depth; hidden files and folders do not count.
    Raises `DifrunError` when there is no such folder, no image, or images both in subfolders and beside them.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DifrunError(f"--dataset.folder {folder} {what}; expected a folder of PNG and JPEG files.")
    try:
        found = sorted(
            path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
        )
    except OSError as error:
        raise DifrunError(f"--dataset.folder {folder} cannot be read: {error.strerror}.") from None
    inside = [path.relative_to(folder).parts for path in found]
    pairs = [(path, parts) for path, parts in zip(found, inside, strict=True) if not _hidden(parts)]
    if not pairs:
        raise DifrunError(
            f"--dataset.folder {folder} holds no image: no file in it or in its subfolders ends in "
            f"{', '.join(SUFFIXES)}."
        )
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


def _hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") for part in parts)


def _decoded(paths: list[Path], wanted: Wanted, workers: int | None) -> Iterator[np.ndarray | str]:
    """`decode` of every file, in order, by several processes where there are many files."""
    workers = min(workers or os.cpu_count() or 1, -(-len(paths) // CHUNK))
    if workers == 1 or len(paths) < FEW:
        for path in paths:
            yield decode(path, wanted)
        return
    chunks = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
    done = 0
    try:
        # Not forked: torch's threads may hold locks that no thread of the child would give back.
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for start in range(0, len(chunks), 8 * workers):  # so that few results wait in memory
                for part in pool.map(
                    decode_several, chunks[start : start + 8 * workers], [wanted] * 8 * workers
                ):
                    done += len(part)
                    yield from part
    except BrokenProcessPool:  # a script without `if __name__ == "__main__"` cannot start processes
        for path in paths[done:]:
            yield decode(path, wanted)


def _notes(names: Sequence[str], good: np.ndarray) -> tuple[str, ...]:
    """Which files were left out, in a sentence."""
    out = sorted(set(names) - {names[row] for row in good})
    if not out:
        return ()
    more = f" and {len(out) - 10} more" if len(out) > 10 else ""
    return (
        f"{len(out)} unreadable image{'s are' if len(out) > 1 else ' is'} left out: {', '.join(out[:10])}{more}",
    )
