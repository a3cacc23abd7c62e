"""The pixels of a folder: in memory, or decoded once into a file that is mapped into memory."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.storage import atomic, places
from difrun.storage.regular import open_regular, read_bounded
from difrun_images.decode import ImageFormat, decode

CACHE = ".difrun-cache"


@attrs.define
class PixelStore:
    """An array of pixels, in memory or in a file that is mapped into memory.

    Attributes:
        shape: The shape of an image.
        names: The names of the files.
        path: The .npy file, beside a .json file with the numbers of the readable images; None for an array in memory.
        fingerprint: A digest of names, sizes and options.
        good: The numbers of the readable images.
        array: The pixels, once they are decoded or mapped.
        remarks: How many images are not read as they are, by kind (`decode.REMARKS`).
    """

    shape: tuple[int, ...]
    names: list[str]
    path: Path | None
    fingerprint: str
    good: np.ndarray = attrs.field(factory=lambda: np.empty(0, dtype=np.int64))
    array: Any = None
    remarks: Counter[str] = attrs.field(factory=Counter)

    @classmethod
    def for_files(
        cls,
        folder: Path,
        paths: list[Path],
        image_format: ImageFormat,
        skip: bool,
        memory: float,
        cache: Path | None,
    ) -> "PixelStore":
        """The store of these files, in memory where their pixels take at most `memory` gigabytes."""
        shape = (image_format.channels, *(image_format.size or _first_size(folder, paths, image_format)))
        names = [path.relative_to(folder).as_posix() for path in paths]
        stats = [path.stat() for path in paths]
        options = [attrs.astuple(image_format), shape, skip]
        fingerprint = _digest([names, [stat.st_size for stat in stats], options])
        if len(paths) * np.prod(shape) * 4 <= memory * 1e9:
            return cls(shape, names, None, fingerprint)
        # A file that is written again may keep its size, so its time counts here as well.
        digest = _digest([fingerprint, [stat.st_mtime_ns for stat in stats]])
        path = (cache or folder / CACHE) / f"images-{digest}.npy"
        store = cls(shape, names, path, fingerprint)
        if not store.is_filled():  # what is written goes where this run may write
            store.path = places.allowed(path)
        return store

    def is_filled(self) -> bool:
        """Whether an earlier run has decoded exactly these files; if so, load the numbers of the readable ones."""
        if self.path is None or not self.path.is_file():
            return False
        with suppress(Exception):  # what a damaged file raises; then it is made again
            facts = json.loads(read_bounded(self.path.with_suffix(".json")))
            numbers, remarks = np.array(facts["good"]), Counter(facts["remarks"])
            rows = np.arange(len(self.names))
            if (
                facts["digest"] == _digest([facts["good"], facts["remarks"]])
                and numbers.dtype.kind == "i"
                and numbers.ndim == 1
                and np.isin(numbers, rows).all()
                and self._fits(self.path)
            ):
                self.good, self.remarks = numbers.astype(np.int64), remarks
                return True
        return False

    def _fits(self, path: Path) -> bool:
        """Whether the .npy file holds pixels of these images, and is not one that somebody else put there."""
        open_regular(path).close()
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
        return pixels.dtype == np.float32 and pixels.shape == (len(self.names), *self.shape)

    def fill(
        self, decoded: Iterator[tuple[np.ndarray | str, tuple[str, ...]]], folder: Path, skip: bool
    ) -> None:
        """Write every image into its row.

        Args:
            decoded: The pixels of every file, or why it has none, and how it is not read as it is.
            folder: The folder of the files, for messages.
            skip: Whether files that cannot be read are left out; else they are refused.

        Raises:
            DifrunError: If a file is refused, no image can be used, images differ in size, or the pixels cannot be
                written.
        """
        try:
            if self.path is None:
                self.array = np.empty((len(self.names), *self.shape), dtype=np.float32)
                good = self._write_all(decoded, folder, skip)
            else:
                self._make_room(self.path.parent)
                with atomic.replacing(self.path) as (part, _):
                    shape = (len(self.names), *self.shape)
                    self.array = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)
                    good = self._write_all(decoded, folder, skip)
                    self.array.flush()
                facts = {"good": good, "remarks": self.remarks, "digest": _digest([good, self.remarks])}
                atomic.write_text(self.path.with_suffix(".json"), json.dumps(facts))
            self.good = np.array(good, dtype=np.int64)
        except OSError as error:
            raise DifrunError(
                f"--dataset.folder {folder}: the decoded images cannot be written to {self.path}: {error.strerror}. "
                "Name another folder for them (--dataset.cache), or hold them in memory (--dataset.memory)."
            ) from None

    def _write_all(
        self, decoded: Iterator[tuple[np.ndarray | str, tuple[str, ...]]], folder: Path, skip: bool
    ) -> list[int]:
        """Write the images; the numbers of those that can be used. Raises DifrunError if there are none."""
        good, bad = self._write(decoded, folder, skip)
        if not good:
            name, why = bad[0]
            raise DifrunError(
                f"--dataset.folder {folder}: none of {len(self.names)} images can be used; {name}: {why}."
            )
        return good

    def _make_room(self, place: Path) -> None:
        """Make the folder of the file. Raises DifrunError if its disk has no room for it."""
        place.mkdir(parents=True, exist_ok=True)
        need, free = 4 * len(self.names) * int(np.prod(self.shape)) + 4096, shutil.disk_usage(place).free
        if need > free:  # writing to a mapped file without room would kill the process
            raise DifrunError(
                f"{place} has {free / 1e9:.1f} GB of room; the decoded images take {need / 1e9:.1f} GB. Name "
                "another folder for them (--dataset.cache), or a smaller --dataset.size."
            )

    def _write(
        self, decoded: Iterator[tuple[np.ndarray | str, tuple[str, ...]]], folder: Path, skip: bool
    ) -> tuple[list[int], list[tuple[str, str]]]:
        """Write the images one after the other; their numbers, and the names of the others with what is wrong."""
        good: list[int] = []
        bad: list[tuple[str, str]] = []
        for row, (name, (image, remarks)) in enumerate(zip(self.names, decoded, strict=True)):
            if isinstance(image, str):
                bad.append((name, image))
                if not skip:
                    raise DifrunError(
                        f"--dataset.folder {folder}: {name} cannot be used: {image}. Remove it, or leave such files "
                        "out (--dataset.unreadable skip)."
                    )
            elif image.shape != self.shape:
                expected, other = ("x".join(map(str, shape[1:])) for shape in (self.shape, image.shape))
                raise DifrunError(
                    f"--dataset.folder {folder}: images have several sizes: {self.names[good[0] if good else 0]} is "
                    f"{expected}, {name} is {other} (rows x columns). Give the size that all are brought to, such as "
                    f"--dataset.size {expected.replace('x', ',')}."
                )
            else:
                self.array[len(good)] = image.astype(np.float32) / 127.5 - 1
                good.append(row)
                self.remarks.update(remarks)
        return good, bad

    def read(self) -> tuple[Tensor, np.ndarray]:
        """The images, and the numbers of their files."""
        if self.array is None or self.path is not None:
            assert self.path is not None
            # Copy-on-write: a tensor has to be writable, and the file stays as it is.
            self.array = np.load(self.path, mmap_mode="c")
        return torch.from_numpy(self.array[: len(self.good)]), self.good


def _first_size(folder: Path, paths: list[Path], image_format: ImageFormat) -> tuple[int, int]:
    """The rows and columns of the first file that is readable."""
    decoded = (decode(path, image_format) for path in paths)
    first = next((image for image in decoded if not isinstance(image, str)), None)
    if first is None:
        raise DifrunError(
            f"--dataset.folder {folder}: none of {len(paths)} files can be read as an image; {paths[0].name}: "
            f"{decode(paths[0], image_format)}."
        )
    return first.shape[1], first.shape[2]


def _digest(facts: Any) -> str:
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()
