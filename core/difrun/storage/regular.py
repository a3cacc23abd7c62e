"""Files opened for reading: regular files of bounded size, and no links that leave their folder.

A run folder may come from a stranger. A device or a pipe in the place of a file would hang its reader, a file of any
length would fill the memory, and a link would lead to a file of the reader's own.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from difrun.errors import DifrunError

MOST_TEXT = 64 * 2**20
"""The most bytes of a file of text that is read in one piece: run.toml, metrics.json, a report's picture."""


def open_regular(path: Path | str, most: int | None = None, within: Path | None = None) -> BinaryIO:
    """Open a regular file for reading.

    Args:
        path: The file, or a link to it.
        most: The most bytes that it may hold; None takes the memory of this machine.
        within: The folder that a link may not leave; None allows any link.

    Raises:
        DifrunError: If it is a folder, a device or a pipe, is too large, or leads out of `within`.
        OSError: If it cannot be opened.
    """
    path = Path(path)
    refuse_outside(path, within)
    _refuse_irregular(path, os.stat(path))  # before it is opened: opening a device may do something
    flags = (
        os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    )
    handle = os.open(path, flags)
    try:
        found = os.fstat(handle)
        _refuse_irregular(path, found)
        most = memory() if most is None else most
        if found.st_size > most:
            raise DifrunError(f"{path} is {size(found.st_size)}; expected at most {size(most)}.")
        return open(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_bounded(path: Path | str, most: int = MOST_TEXT, within: Path | None = None) -> bytes:
    """Read a regular file of at most `most` bytes; raises as `open_regular` does."""
    with open_regular(path, most, within) as file:
        # In pieces: Python takes memory for as many bytes as are asked for, and a file may grow while it is read.
        parts, left = [], most + 1
        while left and (part := file.read(min(left, 2**20))):
            parts.append(part)
            left -= len(part)
    data = b"".join(parts)
    if len(data) > most:
        raise DifrunError(f"{path} is more than {size(most)}.")
    return data


def refuse_outside(path: Path, folder: Path | None) -> None:
    """Raise DifrunError if a path is, or goes through, a link that leaves the folder; None allows any link."""
    if folder is not None and not resolved(path).is_relative_to(resolved(folder)):
        raise DifrunError(
            f"{path} is a link to {resolved(path)}, outside its folder, and is not followed. Replace it by a copy of "
            "that file, or remove it."
        )


def resolved(path: Path) -> Path:
    """Return where a path leads, through all links.

    Raises:
        DifrunError: If its links lead in a circle.
    """
    try:
        return path.resolve()
    except RuntimeError:  # of pathlib; from Python 3.13 on the path is opened, which fails
        raise DifrunError(f"{path} is a link that leads in a circle. Remove it.") from None


def _refuse_irregular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise DifrunError(f"{path} is {_kind(found.st_mode)}; expected a file.")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def size(count: int) -> str:
    """Return a number of bytes in words, such as ``64 MB``."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} bytes"


def memory() -> int:
    """Return the bytes of memory of this machine; a guess of 64 GB where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 64 * 10**9
