"""Arrays in .npy and .npz files: never unpickled, and never larger than their file can hold.

A header of a few bytes may claim any shape, and a small archive may expand to any length. Both are checked before
memory is taken.
"""

import errno
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from difrun.storage.regular import open_regular, size
from difrun.text import clipped

MOST_EXPANSION = 256
"""How many times larger than its archive an array of a .npz file may be as float64, beyond `ALWAYS_ALLOWED`."""

ALWAYS_ALLOWED = 2**26
"""Bytes that an array may take as float64 however small its archive: a compressed array of equal numbers is tiny."""

Result = TypeVar("Result")


def most_allowed(length: int) -> int:
    """Return the most bytes that a compressed array may take as float64 in an archive of this length."""
    return max(ALWAYS_ALLOWED, MOST_EXPANSION * length)


class DamagedArray(ValueError):
    """A file of arrays that is damaged, claims more than it holds, or holds Python objects."""


class Archive:
    """The arrays of an open .npz file by name, each read when it is asked for.

    Attributes:
        files: Their names.
    """

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self._zip = _checked(lambda: zipfile.ZipFile(stream))
        self._length = length
        self._members = {info.filename.removesuffix(".npy"): info for info in self._zip.infolist()}
        self.files = list(self._members)
        if len(self.files) < len(self._zip.infolist()):
            raise DamagedArray("two of its arrays have the same name")

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> NDArray:
        """Read an array.

        Raises:
            KeyError: If there is no array of this name.
            DamagedArray: If it is damaged, encrypted, of Python objects, or claims more than the file can hold.
        """
        info = self._members[name]
        if info.flag_bits & 0x1:
            raise DamagedArray(f"its array {clipped(name)} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DamagedArray(f"its array {clipped(name)} is compressed in a way that numpy does not use")
        allowed = most_allowed(self._length)

        def refuse_above(claimed: int) -> None:
            if claimed > allowed and info.compress_type != zipfile.ZIP_STORED:
                raise DamagedArray(
                    f"its array {clipped(name)} claims {size(claimed)} in an archive of {size(self._length)}; if that "
                    "is right, save it without compression (numpy.savez)"
                )

        refuse_above(info.file_size)

        def read() -> NDArray:
            with self._zip.open(info) as member:
                return _read_array(member, info.file_size, refuse_above)

        return _checked(read)


def load(stream: BinaryIO) -> NDArray | Archive:
    """Return the array of a .npy file, or the arrays of a .npz file, from a file that is open.

    Raises:
        DamagedArray: If it is neither, is damaged, holds Python objects, or claims more than it can hold.
    """
    length = stream.seek(0, 2)
    stream.seek(0)
    start = stream.read(6)
    stream.seek(0)
    if start == npy.MAGIC_PREFIX:
        return _checked(lambda: _read_array(stream, length))
    if start[:2] == b"PK":
        return Archive(stream, length)
    raise DamagedArray("it is neither a .npy nor a .npz file")


def read_archive(path: Path, names: tuple[str, ...], within: Path | None = None) -> dict[str, NDArray]:
    """Read those of the named arrays that a .npz file has.

    Raises:
        DamagedArray: As `load`, or for a .npy file.
        DifrunError: If the file is no regular file, or leads out of the folder `within`.
        OSError: If it cannot be opened.
    """
    with open_regular(path, within=within) as stream:
        archive = load(stream)
        if not isinstance(archive, Archive):
            raise DamagedArray("it is a .npy file")
        return {name: archive[name] for name in names if name in archive}


def archive_names(path: Path) -> list[str]:
    """Return the names of the arrays of a .npz file, none of which is read; empty for a file that is none.

    Raises:
        DifrunError: If the file is no regular file.
        OSError: If it cannot be opened.
    """
    with open_regular(path) as stream:
        try:
            archive = load(stream) if stream.read(2) == b"PK" else None
        except DamagedArray:
            return []
    return archive.files if isinstance(archive, Archive) else []


def _read_array(stream: Any, length: int, refuse_above: Callable[[int], None] | None = None) -> NDArray:
    """The array of a .npy file of `length` bytes, once its header claims no more than that.

    `refuse_above` is asked whether it may take so many bytes as float64, in which numbers are read in the end.
    """
    version = npy.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = npy.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran, dtype = npy.read_array_header_2_0(stream)
    else:
        raise DamagedArray(f"it has version {version} of the .npy format; numpy writes 1.0 and 2.0")
    if dtype.hasobject:
        raise DamagedArray("Object arrays could only be unpickled")
    count = math.prod(shape)
    if any(side < 0 for side in shape) or count * max(1, dtype.itemsize) > length:
        raise DamagedArray(f"its header claims an array of shape {shape}, more than the file holds")
    if refuse_above is not None and dtype.kind in "buif":
        refuse_above(count * 8)
    flat = _read_exactly(stream, count * dtype.itemsize).view(dtype)
    array = flat.reshape(shape[::-1]).transpose() if fortran else flat.reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_exactly(stream: Any, length: int) -> NDArray[np.uint8]:
    """The next bytes of a stream."""
    data = np.empty(length, dtype=np.uint8)
    at = 0
    while at < length:
        count = stream.readinto(memoryview(data.data)[at : at + 2**20])
        if not count:
            raise DamagedArray("it is cut short")
        at += count
    stream.read(1)  # at its end a member of an archive compares its checksum
    return data


def _checked(read: Callable[[], Result]) -> Result:
    """The result of reading; whatever a damaged file raises becomes `DamagedArray`."""
    try:
        return read()
    except DamagedArray:
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise DamagedArray("it names a place before its beginning") from error
    except Exception as error:  # zipfile, zlib, tokenize and NumPy have a dozen classes for damaged files
        raise DamagedArray(clipped(str(error), 300) or type(error).__name__) from error
