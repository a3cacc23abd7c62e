"""Files that are written completely or not at all.

A file is first written beside its destination under a new name, ``.NAME.<random>.part``, and flushed to the disk, and
then renamed. A reader therefore always finds either the old file or the new one. The new name is made, never reused
(O_EXCL, O_NOFOLLOW), so no link that somebody left there is followed; a link at the destination itself is replaced. If
a process is killed while it writes, the next write of the same file removes what it left behind.
"""

import contextlib
import errno
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

from difrun.errors import DifrunError

_FREE_SPACE = "Free some space, or choose another folder."
_PERMISSIONS = "Choose another folder, or change its permissions."
_ADVICE = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: "The system allows no larger file here: choose another folder.",
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
    errno.EROFS: "Choose another folder; this one is on a disk that is read-only.",
}


def advice(error: OSError) -> str:
    """Return what to do about an error of the operating system, in one sentence; empty if there is no advice."""
    return _ADVICE.get(error.errno or 0, "")


_LEFTOVER = re.compile(r"\.(?P<name>.+?)(\.[0-9a-f]{16})?\.part", re.DOTALL)


def is_leftover(path: Path | str) -> bool:
    """Return whether a path has the name of an unfinished file, ``.NAME.<random>.part`` or ``.NAME.part``."""
    return name_of_leftover(path) is not None


def name_of_leftover(path: Path | str) -> str | None:
    """Return the name of the file that an unfinished one was to become; None if it is no unfinished file."""
    found = _LEFTOVER.fullmatch(Path(path).name)
    return found["name"] if found else None


def write_bytes(path: Path | str, data: bytes) -> Path:
    """Write a file, completely or not at all, and return its path.

    Raises:
        DifrunError: If the file cannot be written. The message names the file, its size, the reason and what to do. An
            earlier file of the same name is left as it was.
    """
    path = Path(path)
    try:
        with replacing(path) as (_, file):
            file.write(data)
    except OSError as error:
        sentences = [f"Cannot write {path} ({len(data) / 1e6:.1f} MB): {error.strerror or error}."]
        if path.is_file():
            sentences.append("The earlier file is intact.")
        if error.errno == errno.ENOENT and not path.parent.is_dir():
            sentences.append(f"Make the folder {path.parent} first, or choose another.")
        raise DifrunError(" ".join([*sentences, advice(error)]).strip()) from error
    return path


@contextmanager
def replacing(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Give the block a new file, its path and the file opened; then put it in the place of `path`.

    If the block raises, the new file is removed and `path` is as it was.

    Raises:
        OSError: If the file cannot be written or renamed.
    """
    _remove_stale(path)
    part = path.with_name(f".{path.name}.{os.urandom(8).hex()}.part")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        with open(os.open(part, flags, 0o666), "wb") as file:
            _mark_as_ours(file)
            yield part, file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:  # while it is open and locked, nobody takes it for a leftover
                os.replace(part, path)
        if fcntl is None:
            os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    sync_folder(path.parent)


def _mark_as_ours(file: BinaryIO) -> None:
    """Lock an unfinished file: a process that is killed gives the lock back, and its file is a leftover."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_stale(path: Path) -> None:
    """Remove what killed processes left of this file, and whatever else has such a name."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(path.parent)):
            if name_of_leftover(entry.name) == path.name:
                remove_leftover(Path(entry.path))


def remove_leftover(part: Path) -> None:
    """Remove an unfinished file, unless a process is writing it. Links are removed, never followed."""
    with contextlib.suppress(OSError):
        if fcntl is None or not stat.S_ISREG(part.lstat().st_mode):
            part.unlink()
            return
        handle = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()
        finally:
            os.close(handle)


def write_text(path: Path | str, text: str) -> Path:
    """Write a text file in UTF-8, as `write_bytes` does; what UTF-8 cannot hold becomes a question mark."""
    return write_bytes(path, text.encode("utf-8", "replace"))


def write_npz(path: Path | str, **arrays: Any) -> Path:
    """Write arrays or tensors by name to a .npz file, as `write_bytes` does.

    It is compressed, unless so much smaller that `difrun.storage.arrays` would not believe it.

    Raises:
        DifrunError: As `write_bytes`.
        ValueError: For an array of Python objects, which could only be pickled.
    """
    import numpy as np  # here, because commands that only write text must start without it

    from difrun.storage.arrays import most_allowed

    buffer = io.BytesIO()
    converted: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez_compressed(buffer, allow_pickle=False, **converted)
    if any(8 * array.size > most_allowed(len(buffer.getbuffer())) for array in converted.values()):
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **converted)
    return write_bytes(path, buffer.getvalue())


def sync_folder(folder: Path) -> None:
    """Flush the renaming, on systems that can open a folder; the file is complete either way."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
