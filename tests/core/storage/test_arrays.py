"""Arrays read from .npy and .npz files are those that NumPy wrote; misleading files are refused at once."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from difrun.storage import arrays, atomic
from difrun.storage.arrays import DamagedArray, load, read_archive

ARRAYS = {
    "plain": np.arange(12.0).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(24).reshape(2, 3, 4)),
    "big-endian": np.arange(5, dtype=">f8"),
    "strided": np.arange(20.0)[::3],
    "number": np.array(3.5),
    "text": np.array(["a", "²", ""]),
    "one text": np.array("x" * 1000),
    "empty": np.empty((0, 3)),
    "bool": np.array([True, False]),
    "half": np.ones(3, dtype=np.float16),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_survive_the_round_trip(tmp_path, name):
    array = ARRAYS[name]
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x=array, other=np.zeros(3))
    np.savez_compressed(tmp_path / "packed.npz", x=array)
    found = [read_archive(tmp_path / file, ("x", "gone")) for file in ("x.npz", "packed.npz")]
    with open(tmp_path / "x.npy", "rb") as stream:
        alone = load(stream)
    for other in (alone, *(each["x"] for each in found)):
        np.testing.assert_array_equal(other, array)
        assert other.dtype == array.dtype.newbyteorder("=")
        assert other.flags.writeable
    assert [sorted(each) for each in found] == [["x"], ["x"]]


def npy(shape: str, descr: str = "<f8", data: bytes = b"") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def npz(member: bytes, name: str = "x.npy", repeat: int = 1) -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file,
        file.open(name, "w", force_zip64=True) as part,
    ):
        for _ in range(repeat):
            part.write(member)
    return out.getvalue()


def flagged(data: bytes, at: int, bits: int) -> bytes:
    """An archive with some bits set in each entry of its directory."""
    changed = bytearray(data)
    start = data.find(b"PK\x01\x02")
    changed[start + at] |= bits
    return bytes(changed)


MISLEADING = {
    "huge shape": npz(npy("(1000000000000,)")),
    "huge product": npz(npy("(1000000, 1000000, 1000000)")),
    "negative": npz(npy("(-1,)")),
    "wide items": npz(npy("()", "<U1000000000")),
    "nested header": npz(npy("(" * 5000 + ")" * 5000)),
    "header that is no literal": npz(npy("__import__('os')")),
    "long header": npz(npy("(" + "1, " * 15000 + ")")),
    "objects": npz(npy("(1,)", "|O", bytes(8))),
    "cut": npz(npy("(2,)", data=bytes(8))),
    "encrypted": flagged(npz(npy("(1,)", data=bytes(8))), 8, 1),
    "another packing": flagged(npz(npy("(1,)", data=bytes(8))), 10, 64),
    "no header": npz(b"nothing"),
    "no archive": b"PK\x03\x04" + bytes(100),
    "npy with a huge shape": npy("(1000000000000,)"),
    "text": b"1,2,3",
    "nothing": b"",
}


@pytest.mark.parametrize("name", MISLEADING)
def test_misleading_files_are_refused_without_memory(name):
    tracemalloc.start()
    try:
        with pytest.raises(DamagedArray):
            load(io.BytesIO(MISLEADING[name]))["x"]
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_an_archive_that_expands_is_refused_before_it_does():
    """A megabyte that holds a gigabyte of zeros."""
    tracemalloc.start()
    try:
        with pytest.raises(DamagedArray, match=r"claims 1\.07 GB in an archive of 1\.0"):
            load(io.BytesIO(npz(bytes(2**24), repeat=64)))["x"]
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("descr", ["|u1", "|b1", "<f2", "<f8"])
def test_numbers_that_take_more_as_float64_are_refused_before_they_do(monkeypatch, descr):
    """A quarter of a megabyte of bytes became gigabytes. Uncompressed, the same numbers are read."""
    count = 2**20
    array = np.zeros(count, np.dtype(descr))
    whole = npy(f"({count},)", descr, array.tobytes())
    monkeypatch.setattr(arrays, "ALWAYS_ALLOWED", 8 * count + 200)
    assert len(load(io.BytesIO(npz(whole)))["x"]) == count
    monkeypatch.setattr(arrays, "ALWAYS_ALLOWED", 8 * count - 1)
    tracemalloc.start()
    try:
        with pytest.raises(
            DamagedArray, match=r"claims 8\.39 MB in an archive of .*; if that is right, save it with"
        ):
            load(io.BytesIO(npz(whole)))["x"]
        assert tracemalloc.get_traced_memory()[1] < (10e6 if descr == "<f8" else 5e6)
    finally:
        tracemalloc.stop()
    stored = io.BytesIO()
    np.savez(stored, x=array)
    assert len(load(stored)["x"]) == count


def test_whatever_is_written_is_read(monkeypatch, tmp_path):
    """Samples that are all equal compress a thousand times, more than is believed of a stranger."""
    monkeypatch.setattr(arrays, "ALWAYS_ALLOWED", 2**16)
    equal, random = np.ones((2**17, 2), np.float32), np.random.default_rng(0).random((2**14, 2))
    for name, x in (("equal", equal), ("random", random)):
        path = atomic.write_npz(tmp_path / f"{name}.npz", x=x, y=np.zeros(len(x), np.int64))
        found = read_archive(path, ("x", "y"))
        np.testing.assert_array_equal(found["x"], x)
        assert len(found["y"]) == len(x)
    small = atomic.write_npz(tmp_path / "small.npz", x=np.ones(2**13, np.float32))
    assert small.stat().st_size < 1000  # still compressed


def test_a_changed_byte_is_noticed():
    """By the checksum of the archive."""
    out = io.BytesIO()
    np.savez(out, x=np.arange(100.0))
    data = bytearray(out.getvalue())
    data[len(data) // 2] ^= 1
    with pytest.raises(DamagedArray, match="CRC"):
        load(io.BytesIO(data))["x"]
