"""How much memory a reader takes at most, against the size of a file that claims more than it holds.

The most that any of them takes for each byte of its file is told in benchmarks/robustness.md.
"""

import contextlib
import io
import json
import struct
import zipfile

import numpy as np
import pytest

from difrun.config.settings import read_file
from difrun.data.files import file
from difrun.errors import DifrunError
from difrun.runs.folder.schema import read_json
from difrun.storage import arrays
from difrun.storage.tensors import read_tensors

FIXED, PER_BYTE = 16 * 10**6, 300
"""Bytes for any file, and for each of its bytes: a cell of a table is an object of Python."""


def npy(shape: str, kind: str, data: bytes = b"") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def npz(*members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, member in enumerate(members):
            archive.writestr(f"{'x' if number == 0 else number}.npy", member)
    return out.getvalue()


def safetensors(header: object, length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


FILES = {
    "claims.npy": npy("(1000000000, 100)", "<f8", bytes(1000)),
    "text.npy": npy("(1000,)", "<U100000000", bytes(1000)),
    "expands.npz": npz(npy("(67108864,)", "|u1", bytes(2**26))),
    "members.npz": npz(*[b""] * 5000),
    "claims.npz": npz(npy("(1000000000, 100)", "<f8", bytes(1000))),
    "rows.csv": b"1\n" * 20_000,
    "wide.csv": b"1," * 20_000,
    "text.csv": b"ab\n" * 20_000,
    "quotes.csv": b'"' * 100_000,
    "lines.csv": b'"' + b"\n" * 100_000,
    "claims.safetensors": safetensors(
        {"x": {"dtype": "F32", "shape": [10**9, 100], "data_offsets": [0, 4 * 10**11]}}
    ),
    "header.safetensors": safetensors({}, 2**62),
    "tensors.safetensors": safetensors(
        {str(k): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for k in range(3000)}
    ),
    "metadata.safetensors": safetensors({"__metadata__": {str(k): "x" for k in range(10_000)}}),
    "lists.toml": b"a = [" + b"[]," * 20_000 + b"]",
    "keys.toml": b"".join(b"a%d = 1\n" % k for k in range(10_000)),
    "lists.json": b"[" + b"[]," * 100_000 + b"[]]",
    "long.json": b'"' + b"x" * 10**6 + b'"',
}
READERS = {
    "npy": lambda path: file(seed=0, path=path),
    "npz": lambda path: file(seed=0, path=path),
    "csv": lambda path: file(seed=0, path=path),
    "safetensors": read_tensors,
    "toml": read_file,
    "json": read_json,
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_takes_no_more_memory_than_it_deserves(peak_memory, tmp_path, name):
    """Whether it is read or refused. The archive of 67 million zeros, 0.07 MB, took 1.4 GB."""
    path = tmp_path / name
    path.write_bytes(FILES[name])

    def read():
        with contextlib.suppress(DifrunError):
            READERS[path.suffix[1:]](path)

    taken, allowed = peak_memory(read), FIXED + PER_BYTE * len(FILES[name])
    print(f"{name}: {len(FILES[name])} bytes, {taken} taken, {taken / len(FILES[name]):.0f} for each")
    assert taken < allowed


def test_what_an_archive_is_believed_bounds_what_it_takes(peak_memory, tmp_path, monkeypatch):
    """Bytes that are read as float64, copied, standardised and split: at most 8 times what they are as float64."""
    monkeypatch.setattr(arrays, "ALWAYS_ALLOWED", 2**23)
    numbers = np.random.default_rng(0).integers(0, 2, (2**19 - 50, 2), dtype=np.uint8)
    np.savez_compressed(tmp_path / "x.npz", x=numbers)
    assert peak_memory(lambda: file(seed=0, path=tmp_path / "x.npz")) < FIXED + 8 * 2**23


def test_the_measure_sees_memory_of_any_kind(peak_memory):
    """So that the bounds above can be broken."""
    assert peak_memory(lambda: np.ones(5 * 10**6)) > 39e6
    assert peak_memory(lambda: bytearray(b"x") * 40_000_000) > 39e6
    assert peak_memory(lambda: None) < 1e6
