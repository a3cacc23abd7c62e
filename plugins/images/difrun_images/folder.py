"""A folder of images: which files there are, decoded by several processes into memory, or once into a file."""

import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun import files
from difrun.errors import DifrunError
from difrun_images.decode import Wanted, decode, decode_several

SUFFIXES = (".png", ".jpg", ".jpeg")

CHUNK = 32
"""Files that a process decodes at a time."""

FEW = 512
"""Fewer files than these are decoded before a process would have started."""

CACHE = ".difrun-cache"


def read_folder(
    folder: Path,
    wanted: Wanted,
    *,
    skip: bool,
    workers: int | None,
    memory: float,
    cache: Path | None,
    split: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor, tuple[str, ...], Tensor, tuple[str, ...]]:
    """Images (N, c, h, w) from −1 to 1, labels (N,), names of the classes, which images `split` holds out, and notes.

    Held-out images come first, so that both parts lie in one piece, in memory or in a file. Without subfolders there
    are no classes, and all labels are 0. Raises as `data.image_folder` says.
    """
    paths, labels, classes = listed(folder)
    kept = split(torch.from_numpy(labels)).numpy()
    order = np.argsort(~kept, kind="stable")
    paths, labels, kept = [paths[i] for i in order], labels[order], kept[order]
    target = _Target.of(folder, paths, wanted, skip, memory, cache)
    if not target.there():
        target.fill(_decoded(paths, wanted, workers), folder, skip)
    images, good = target.read()
    notes = _notes(target.names, good)
    return images, torch.from_numpy(labels[good]), classes, torch.from_numpy(kept[good]), notes


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


@attrs.define
class _Target:
    """Where the pixels go: an array in memory, or a file that is mapped into it.

    shape: of an image. n: files. path: of the .npy file, or None; beside it lies a .json that says which files were
    readable. good: the rows that are.
    """

    shape: tuple[int, ...]
    names: list[str]
    path: Path | None
    good: np.ndarray = attrs.field(factory=lambda: np.empty(0, dtype=np.int64))
    array: Any = None

    @classmethod
    def of(
        cls, folder: Path, paths: list[Path], wanted: Wanted, skip: bool, memory: float, cache: Path | None
    ) -> "_Target":
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
        if len(paths) * np.prod(shape) * 4 <= memory * 1e9:
            return cls(shape, names, None)
        facts = [
            (name, path.stat().st_size, path.stat().st_mtime_ns)
            for name, path in zip(names, paths, strict=True)
        ]
        key = json.dumps([facts, attrs.astuple(wanted), shape, skip])
        digest = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
        return cls(shape, names, (cache or folder / CACHE) / f"images-{digest}.npy")

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
                files.write_text(self.path.with_suffix(".json"), json.dumps(good))
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


def _notes(names: Sequence[str], good: np.ndarray) -> tuple[str, ...]:
    """Which files were left out, in a sentence."""
    out = sorted(set(names) - {names[row] for row in good})
    if not out:
        return ()
    more = f" and {len(out) - 10} more" if len(out) > 10 else ""
    return (
        f"{len(out)} unreadable image{'s are' if len(out) > 1 else ' is'} left out: {', '.join(out[:10])}{more}",
    )
