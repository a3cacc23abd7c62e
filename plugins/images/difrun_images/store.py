"""Where the pixels of a folder lie: in memory, or, decoded once, in a file that is mapped into it."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.storage import atomic
from difrun_images.decode import Wanted, decode

CACHE = ".difrun-cache"


@attrs.define
class Target:
    """Where the pixels go: an array in memory, or a file that is mapped into it.

    shape: of an image. names: of the files. path: of the .npy file, or None; beside it lies a .json that says which
    files were readable. fingerprint: of what is in it. good: the rows that are readable.
    """

    shape: tuple[int, ...]
    names: list[str]
    path: Path | None
    fingerprint: str
    good: np.ndarray = attrs.field(factory=lambda: np.empty(0, dtype=np.int64))
    array: Any = None

    @classmethod
    def of(
        cls, folder: Path, paths: list[Path], wanted: Wanted, skip: bool, memory: float, cache: Path | None
    ) -> "Target":
        size = wanted.size
        if size is None:
            decoded = (decode(path, wanted) for path in paths)
            first = next((image for image in decoded if not isinstance(image, str)), None)
            if first is None:
                raise DifrunError(
                    f"--dataset.folder {folder}: none of {len(paths)} files can be read as an image; {paths[0].name}: "
                    f"{decode(paths[0], wanted)}."
                )
            size = (first.shape[1], first.shape[2])
        shape = (wanted.channels, *size)
        names = [path.relative_to(folder).as_posix() for path in paths]
        stats = [path.stat() for path in paths]
        options = [attrs.astuple(wanted), shape, skip]
        fingerprint = _digest([names, [stat.st_size for stat in stats], options])
        if len(paths) * np.prod(shape) * 4 <= memory * 1e9:
            return cls(shape, names, None, fingerprint)
        # A file that was written again may have its old size: here its time counts as well.
        digest = _digest([fingerprint, [stat.st_mtime_ns for stat in stats]])
        return cls(shape, names, (cache or folder / CACHE) / f"images-{digest}.npy", fingerprint)

    def there(self) -> bool:
        """Whether an earlier run has decoded these very files."""
        if self.path is None or not self.path.is_file():
            return False
        with suppress(OSError, ValueError):
            self.good = np.array(
                json.loads(self.path.with_suffix(".json").read_text("utf-8")), dtype=np.int64
            )
            return True
        return False

    def fill(self, decoded: Iterator[np.ndarray | str], folder: Path, skip: bool) -> None:
        """Write every image into its row; those that cannot be read are refused, or left out."""
        part = None if self.path is None else self.path.with_name(f".{self.path.name}.part")
        try:
            self.array = self._empty(part)
            good, bad = self._write(decoded, folder, skip)
            if not good:
                name, why = bad[0]
                raise DifrunError(
                    f"--dataset.folder {folder}: none of {len(self.names)} images can be used; {name}: {why}."
                )
            self.good = np.array(good, dtype=np.int64)
            if self.path is not None and part is not None:
                self.array.flush()
                os.replace(part, self.path)
                atomic.write_text(self.path.with_suffix(".json"), json.dumps(good))
        except OSError as error:
            raise DifrunError(
                f"--dataset.folder {folder}: the decoded images cannot be written to {self.path}: {error.strerror}. "
                "Name another folder for them (--dataset.cache), or hold them in memory (--dataset.memory)."
            ) from None
        finally:
            if part is not None:
                with suppress(OSError):
                    part.unlink()

    def _empty(self, part: Path | None) -> Any:
        shape = (len(self.names), *self.shape)
        if part is None:
            return np.empty(shape, dtype=np.float32)
        part.parent.mkdir(parents=True, exist_ok=True)
        need, free = 4 * int(np.prod(shape)) + 4096, shutil.disk_usage(part.parent).free
        if need > free:  # a mapped file that finds no room kills the process
            raise DifrunError(
                f"{part.parent} has {free / 1e9:.1f} GB of room; the decoded images take {need / 1e9:.1f} GB. Name "
                "another folder for them (--dataset.cache), or a smaller --dataset.size."
            )
        return np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)

    def _write(
        self, decoded: Iterator[np.ndarray | str], folder: Path, skip: bool
    ) -> tuple[list[int], list[tuple[str, str]]]:
        """The rows that are images, each moved up behind the last; and the others, with what is wrong."""
        good: list[int] = []
        bad: list[tuple[str, str]] = []
        for row, (name, image) in enumerate(zip(self.names, decoded, strict=True)):
            if isinstance(image, str):
                bad.append((name, image))
                if not skip:
                    raise DifrunError(
                        f"--dataset.folder {folder}: {name} cannot be used: {image}. Remove it, or leave such files "
                        "out (--dataset.unreadable skip)."
                    )
            elif image.shape != self.shape:
                own, other = ("x".join(map(str, shape[1:])) for shape in (self.shape, image.shape))
                raise DifrunError(
                    f"--dataset.folder {folder}: images have several sizes: {self.names[good[0] if good else 0]} is "
                    f"{own}, {name} is {other} (rows x columns). Give the size that all are brought to, such as "
                    f"--dataset.size {own.replace('x', ',')}."
                )
            else:
                self.array[len(good)] = image.astype(np.float32) / 127.5 - 1
                good.append(row)
        return good, bad

    def read(self) -> tuple[Tensor, np.ndarray]:
        """The images, and the files that they are of."""
        if self.array is None or self.path is not None:
            assert self.path is not None
            # Copy-on-write: a tensor has to be writable, and the file stays as it is.
            self.array = np.load(self.path, mmap_mode="c")
        return torch.from_numpy(self.array[: len(self.good)]), self.good


def _digest(facts: Any) -> str:
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()
