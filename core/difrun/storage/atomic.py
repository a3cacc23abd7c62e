"""Files that are written whole or not at all.

Every file is written beside its place under the name ``.NAME.part``, flushed to the disk, and then renamed:
whatever happens, a reader finds the old file or the new one. What a killed process leaves behind, the next
write of the same file replaces.
"""

import contextlib
import errno
import io
import os
from pathlib import Path
from typing import Any

from difrun.errors import DifrunError

_ROOM = "Free some space, or choose another folder."
_RIGHTS = "Choose another folder, or change its permissions."
_ADVICE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "The system allows no larger file here: choose another folder.",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "Choose another folder; this one is on a disk that is read-only.",
}


def advice(error: OSError) -> str:
    """What to do about an error of the system, in one sentence; empty where there is nothing to say."""
    return _ADVICE.get(error.errno or 0, "")


def is_leftover(path: Path | str) -> bool:
    """Whether a path has the name of a file that was still being written: ``.NAME.part``."""
    name = Path(path).name
    return name.startswith(".") and name.endswith(".part") and len(name) > len("..part")


def write_bytes(path: Path | str, data: bytes) -> Path:
    """Write a file, whole or not at all, and return its path.

    Raises DifrunError naming the file, its size, the reason and what to do when it cannot be written; a file
    that was there is then untouched.
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
        found = [f"Cannot write {path} ({len(data) / 1e6:.1f} MB): {error.strerror or error}."]
        if path.is_file():
            found.append("The earlier file is intact.")
        if error.errno == errno.ENOENT and not path.parent.is_dir():
            found.append(f"Make the folder {path.parent} first, or choose another.")
        raise DifrunError(" ".join([*found, advice(error)]).strip()) from error
    return path


def write_text(path: Path | str, text: str) -> Path:
    """Write a text file in UTF-8, as `write_bytes` does."""
    return write_bytes(path, text.encode())


def write_npz(path: Path | str, **arrays: Any) -> Path:
    """Write arrays or tensors by name to a compressed .npz file, as `write_bytes` does.

    Raises ValueError for an array of Python objects, which only pickle could hold.
    """
    import numpy as np  # not above: whoever writes text needs no arrays

    buffer = io.BytesIO()
    own: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez_compressed(buffer, allow_pickle=False, **own)
    return write_bytes(path, buffer.getvalue())


def _sync_folder(folder: Path) -> None:
    """Flush the renaming itself; not every system can open a folder, and the file is whole either way."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
