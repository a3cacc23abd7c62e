"""Every file of a run is checked before it is used: a changed one is refused in words that name it, or it works."""

import copy
import io
import json
import os
import random
import shutil
import struct
import tomllib
import zipfile

import numpy as np
import pytest
import tomli_w
from safetensors import safe_open
from safetensors.numpy import save

from .support import attempt, difrun, without_pictures

TINY = ("--train.batch", "16", "--n", "40", "--steps", "4", "--threads", "1")
RUNS = {
    "points": (
        "--train.steps",
        "6",
        "--model.width",
        "8",
        "--metric",
        "sliced-w2",
        "--dataset",
        "points.npz",
    ),
    "spins": (
        "--process",
        "ising",
        "--dataset.size",
        "4,4",
        "--dataset.n",
        "200",
        "--dataset.held-out",
        "100",
        "--model.width",
        "8",
        "--train.steps",
        "2",
        "--metric",
        "lattice",
    ),
}
READERS = {
    "run.toml": ("sample", "resume", "evaluate", "compare"),
    "data.safetensors": ("resume", "evaluate"),
    "model.safetensors": ("sample", "compare", "tune", "report"),
    "samples.npz": ("evaluate", "report", "resume"),
    "metrics.json": ("report", "evaluate", "resume"),
    "tuning.json": ("sample", "tune"),
}
"""The commands that read a file."""

OPTIONS = {
    "sample": ("--n", "8", "--force"),
    "compare": ("--sampler", "all", "--steps", "2", "--n", "20", "--out", "compared", "--force"),
    "tune": ("--steps", "2", "--iterations", "1"),
}
VALUES = (
    *(None, True, "", "x", -1, 0, 3.5, 1e308, -1e308, float("nan"), float("inf"), 2**62, -(2**62)),
    *([], {}, [[]], [1, "x"], {"a": {}}, [float("nan")] * 3, "\ud800", "x" * 10_000, [[1.0], [1.0, 2.0]]),
)
TEXTS = (
    *(b"", b"[", b"{", b"\xff\xfe{}", b"\x00" * 100, b"<html></html>", b"null", b"3", b'"x"', b"[]"),
    *(b"[" * 100_000, b"a = " + b"[" * 100_000, b'{"a":' * 100_000, b'{"metrics": ' + b"9" * 5000 + b"}"),
    *(b"seed = " + b"9" * 5000, b"seed" + b".a" * 50_000 + b" = 1", b'{"metrics": {"w2": {"value": 1e999}}}'),
)
"""Files of text that are no JSON or TOML, or are more than a parser can take."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Finished runs of points with two classes, and of spins."""
    folder = tmp_path_factory.mktemp("finished")
    rng = np.random.default_rng(0)
    here = os.getcwd()
    os.chdir(folder)
    np.savez(folder / "points.npz", x=rng.normal(size=(60, 2)), y=np.array(["a", "²"] * 30))
    try:
        with without_pictures():
            for name, options in RUNS.items():
                difrun("run", *options, *TINY, "--out", name)
            difrun("tune", "points", "--steps", "2", "--iterations", "1")
            difrun("evaluate", "points", "--likelihood.n", "5", "--likelihood.steps", "3")
    finally:
        os.chdir(here)
    return folder


def places(value, place=()):
    """The keys that lead to every value inside a parsed file."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*place, key)
        yield from places(part, (*place, key))


def changed(parsed, rng):
    """A parsed file with one value replaced or removed."""
    parsed = copy.deepcopy(parsed)
    *way, last = rng.choice(list(places(parsed)))
    owner = parsed
    for key in way:
        owner = owner[key]
    if rng.random() < 0.2:
        del owner[last]
    else:
        owner[last] = rng.choice(VALUES)
    return parsed


def tampered_text(data, rng):
    if rng.random() < 0.3:
        return rng.choice(TEXTS)
    is_json = data.startswith(b"{")
    for _ in range(20):
        try:
            if is_json:
                return json.dumps(changed(json.loads(data), rng)).encode()
            return tomli_w.dumps(changed(tomllib.loads(data.decode()), rng)).encode()
        except (TypeError, ValueError):  # a value that TOML does not have
            continue
    return b""


def tampered_bytes(data, rng):
    """Cut short, or with some bytes replaced."""
    if rng.random() < 0.3:
        return data[: rng.randrange(len(data))]
    bytes_ = bytearray(data)
    for _ in range(rng.choice((1, 8, 64))):
        bytes_[rng.randrange(min(len(bytes_), rng.choice((16, 400, len(bytes_)))))] = rng.randrange(256)
    return bytes(bytes_)


def tampered_array(array, rng):
    return rng.choice(
        (
            lambda: np.array(3.0),
            lambda: np.zeros(0),
            lambda: np.full_like(array, np.nan) if array.dtype.kind == "f" else array.astype(np.float16),
            lambda: array.astype(np.int8) if array.dtype.kind in "if" else array,
            lambda: array[..., None],
            lambda: array[: len(array) // 2] if array.ndim else array,
            lambda: array.astype(np.float64) * 1e300 if array.dtype.kind == "f" else array,
        )
    )()


def tampered_tensors(path, rng):
    with safe_open(path, framework="np") as file:
        tensors, names = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    kind = rng.random()
    if names and kind < 0.4:
        name = rng.choice(sorted(names))
        names[name] = rng.choice(
            ("", "[", "3", "null", '["a"]', "{}", "[" * 100_000, "9" * 5000, "[1, 2]", "[[]]")
        )
    else:
        name = rng.choice(sorted(tensors))
        if kind < 0.5:
            del tensors[name]
        else:
            tensors[name] = np.ascontiguousarray(tampered_array(tensors[name], rng))
    return save(tensors, names)


def tampered_archive(data, rng):
    """An .npz file with one array changed, encrypted, packed in another way, or with a header that claims too much."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = dict(file)
    name, kind = rng.choice(sorted(arrays)), rng.randrange(6)
    out = io.BytesIO()
    if kind == 0:
        arrays[name] = tampered_array(arrays[name], rng) if name != "drawn" else np.array("[" * 100_000)
    elif kind == 1:
        arrays[name] = np.array(rng.choice(("{}", '{"steps": "x"}', "null", '{"guidance": 3}', "{", "³")))
    np.savez(out, **arrays)
    data = bytearray(out.getvalue())
    if kind == 2:  # encrypted, or packed by a method that does not exist
        for at in range(len(data) - 4):
            if data[at : at + 4] == b"PK\x01\x02":
                data[at + rng.choice((8, 10))] |= 1
    elif kind == 3:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 2), }\n"
            file.writestr("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        return out.getvalue()
    elif kind == 4:
        out = io.BytesIO()
        np.savez(out, allow_pickle=True, **{**arrays, name: np.array([{}], dtype=object)})
        return out.getvalue()
    return bytes(data)


def tamper(path, rng):
    """Change a file."""
    data = path.read_bytes()
    if path.suffix in (".json", ".toml"):
        path.write_bytes(tampered_text(data, rng))
    elif rng.random() < 0.3:
        path.write_bytes(tampered_bytes(data, rng))
    elif path.suffix == ".npz":
        path.write_bytes(tampered_archive(data, rng))
    else:
        path.write_bytes(tampered_tensors(path, rng))


def says(folder, name, *arguments):
    """Run a command on a folder with a changed file; what it says if it refuses, else nothing."""
    code, said = attempt(*arguments)
    assert code in (0, 1, 2), said
    if code == 0:
        return ""
    error = said[said.index("Error: ") :]
    # What is well formed in a file may still not fit the rest of the run; then the rest is named.
    assert name in error or str(folder) in error or name == "run.toml", said
    return error


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("name", READERS)
def test_a_changed_file_is_refused_in_words_or_works(finished, tmp_path, monkeypatch, kind, name):
    """Dozens of changes of each file by a generator with a fixed seed, each read by one command: never a traceback."""
    if not (finished / kind / name).exists():
        pytest.skip("this run has no such file")
    monkeypatch.chdir(tmp_path)
    rng, refused = random.Random(f"{kind} {name}"), 0
    with without_pictures():
        for number in range(10):
            folder = shutil.copytree(finished / kind, tmp_path / f"{kind}-{number}")
            tamper(folder / name, rng)
            command = rng.choice(READERS[name])
            kept = (folder / name).read_bytes()
            if says(folder, name, command, folder, *OPTIONS.get(command, ())):
                refused += 1
                assert (folder / name).read_bytes() == kept  # left for the user to look at
            shutil.rmtree(folder)
    assert refused
