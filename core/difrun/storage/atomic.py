"""Files that are written completely or not at all.

A file is first written beside its destination under the name ``.NAME.part`` and flushed to the disk, and then renamed.
A reader therefore always finds either the old file or the new one. If a process is killed while it writes, the next
write of the same file replaces what it left behind.
"""

import contextlib
import errno
import io
import os
from pathlib import Path
from typing import Any

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


def is_leftover(path: Path | str) -> bool:
    """Return whether a path has the name of an unfinished file, ``.NAME.part``."""
    name = Path(path).name
    return name.startswith(".") and name.endswith(".part") and len(name) > len("..part")


def write_bytes(path: Path | str, data: bytes) -> Path:
    """Write a file, completely or not at all, and return its path.

    Raises:
        DifrunError: If the file cannot be written. The message names the file, its size, the reason and what to do. An
            earlier file of the same name is left as it was.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        try:
            with open(part, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        sentences = [f"Cannot write {path} ({len(data) / 1e6:.1f} MB): {error.strerror or error}."]
        if path.is_file():
            sentences.append("The earlier file is intact.")
        if error.errno == errno.ENOENT and not path.parent.is_dir():
            sentences.append(f"Make the folder {path.parent} first, or choose another.")
        raise DifrunError(" ".join([*sentences, advice(error)]).strip()) from error
    return path


def write_text(path: Path | str, text: str) -> Path:
    """Write a text file in UTF-8, as `write_bytes` does."""
    return write_bytes(path, text.encode())


def write_npz(path: Path | str, **arrays: Any) -> Path:
    """Write arrays or tensors by name to a compressed .npz file, as `write_bytes` does.

    Raises:
        DifrunError: As `write_bytes`.
        ValueError: For an array of Python objects, which could only be pickled.
    """
    import numpy as np  # here, because commands that only write text must start without it

    buffer = io.BytesIO()
    converted: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez_compressed(buffer, allow_pickle=False, **converted)
    return write_bytes(path, buffer.getvalue())


def _sync_folder(folder: Path) -> None:
    """Flush the renaming, on systems that can open a folder; the file is complete either way."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
