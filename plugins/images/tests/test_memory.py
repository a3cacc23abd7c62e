"""How much memory a reader of images takes at most, whatever a file claims."""

import contextlib
import gzip
import struct
import zlib

import pytest

from difrun.errors import DifrunError
from difrun_images.decode import ImageFormat, decode
from difrun_images.idx import read_idx

MOST = 80 * 10**6
"""Bytes for a file of less than a megabyte without pixels: Pillow expands a text up to 64 MB."""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + pixels + chunk(b"IEND", b"")


EXPANDS = zlib.compress(bytes(10**8), 9)
FILES = {
    "pixels.png": png(60_000, 60_000),
    "text.png": png(4, 4, chunk(b"zTXt", b"k\0\0" + EXPANDS)),
    "profile.png": png(4, 4, chunk(b"iCCP", b"k\0\0" + EXPANDS)),
    "claims.idx": b"\0\0\x08\3" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 9) + bytes(100),
    "claims.idx.gz": gzip.compress(b"\0\0\x08\3" + struct.pack(">3I", 2**31, 1, 1) + bytes(100)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_takes_no_more_memory_than_it_deserves(peak_memory, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(FILES[name])

    def read():
        with contextlib.suppress(DifrunError):
            read_idx(path, 3) if "idx" in name else decode(path, ImageFormat())

    assert peak_memory(read) < MOST
