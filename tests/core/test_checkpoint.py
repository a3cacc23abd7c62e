"""Files are whole or not at all, and hold what was put in."""

import errno
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

from difrun import checkpoint
from difrun.errors import DifrunError

TENSORS = {
    "network.weight": torch.randn((5, 3), generator=torch.Generator().manual_seed(0)),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "double": torch.tensor(3.25, dtype=torch.float64),
    "step": torch.tensor(12345678901),
    "empty": torch.empty(0),
}


def test_round_trip(tmp_path):
    path = tmp_path / "state.safetensors"
    checkpoint.write(path, TENSORS, {"note": "σ = 1", "step": "7"})
    tensors, metadata = checkpoint.read(path)
    assert metadata == {"note": "σ = 1", "step": "7"}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert os.listdir(tmp_path) == ["state.safetensors"]


def test_views_of_one_tensor_and_transposes(tmp_path):
    """Flat parameters share their memory, and weights may lie in any order of strides."""
    flat = torch.arange(12.0)
    given = {"a": flat[:6].view(2, 3), "b": flat[4:].view(2, 4), "t": flat.view(3, 4).T}
    checkpoint.write(tmp_path / "x", given)
    tensors, metadata = checkpoint.read(tmp_path / "x")
    assert metadata == {}
    assert all(torch.equal(tensors[name], tensor) for name, tensor in given.items())


def test_what_was_read_does_not_change_with_the_file(tmp_path):
    path = tmp_path / "x"
    checkpoint.write(path, {"a": torch.ones(1000)})
    tensors, _ = checkpoint.read(path)
    path.write_bytes(bytes(len(path.read_bytes())))
    assert torch.equal(tensors["a"], torch.ones(1000))


def test_text_bytes_and_arrays(tmp_path):
    checkpoint.write_text(tmp_path / "run.toml", "θ = 1\n")
    assert (tmp_path / "run.toml").read_bytes() == "θ = 1\n".encode()
    checkpoint.write_bytes(str(tmp_path / "x.png"), b"\x89PNG")
    assert (tmp_path / "x.png").read_bytes() == b"\x89PNG"
    checkpoint.write_npz(tmp_path / "samples.npz", samples=torch.arange(4.0).view(2, 2), n=np.int64(3))
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as file:
        assert file["samples"].tolist() == [[0, 1], [2, 3]]
        assert file["n"] == 3
    with pytest.raises(ValueError, match=r"[Oo]bject arrays cannot be saved"):
        checkpoint.write_npz(tmp_path / "objects.npz", bad=np.array([{}], dtype=object))
    assert not (tmp_path / "objects.npz").exists()


WRITERS = {
    "bytes": lambda path: checkpoint.write_bytes(path, b"new" * 100_000),
    "text": lambda path: checkpoint.write_text(path, "new" * 100_000),
    "npz": lambda path: checkpoint.write_npz(path, x=np.random.default_rng(0).random(40_000)),
    "tensors": lambda path: checkpoint.write(path, {"a": torch.ones(75_000)}),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, writer, failing):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, failing, fail)
        with pytest.raises(DifrunError) as caught:
            WRITERS[writer](path)
    text = str(caught.value)
    assert str(path) in text
    assert re.search(r"\(0\.3 MB\): No space left on device\. The earlier file is intact\.", text), text
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
    WRITERS[writer](path)
    assert path.read_bytes() != b"old"


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    """Ctrl-C in the middle of a write is passed on, and nothing is left behind."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_no_folder(tmp_path):
    with pytest.raises(DifrunError, match="No such file or directory") as caught:
        checkpoint.write_text(tmp_path / "missing" / "x", "text")
    assert "earlier file" not in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, where not even root may write, is of Linux")
def test_no_permission():
    with pytest.raises(DifrunError, match=r"Cannot write /proc/x"):
        checkpoint.write_text("/proc/x", "text")


def child(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *arguments]


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is of POSIX systems")
def test_a_file_that_may_not_grow(tmp_path):
    """The system refuses the write in its middle (EFBIG), as a full disk would."""
    path = tmp_path / "state.safetensors"
    code = """
        import resource, sys, torch
        from difrun import checkpoint
        from difrun.errors import DifrunError
        checkpoint.write(sys.argv[1], {"a": torch.ones(1000)})
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            checkpoint.write(sys.argv[1], {"a": torch.zeros(1_000_000)})
        except DifrunError as error:
            print(error)
        else:
            print("written?")
    """
    done = subprocess.run(child(code, str(path)), capture_output=True, text=True, timeout=120, check=True)
    assert "File too large. The earlier file is intact." in done.stdout
    assert "(4.0 MB)" in done.stdout
    assert os.listdir(tmp_path) == [path.name]
    assert torch.equal(checkpoint.read(path)[0]["a"], torch.ones(1000))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX systems")
def test_kill_in_the_middle_of_writing(tmp_path):
    """A process killed at random moments while it does nothing but write always leaves a whole file."""
    path = tmp_path / "state.safetensors"
    code = """
        import sys, torch
        from difrun import checkpoint
        k = 0
        while True:
            checkpoint.write(sys.argv[1], {"a": torch.full((500_000,), float(k)), "k": torch.tensor(k)}, {"k": str(k)})
            k += 1
            print(k, flush=True)
    """
    moments = random.Random(0)
    for _ in range(3):
        process = subprocess.Popen(child(code, str(path)), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        tensors, metadata = checkpoint.read(path)
        k = int(metadata["k"])
        assert int(tensors["k"]) == k
        assert torch.equal(tensors["a"], torch.full((500_000,), float(k)))
    # What the last one may have left behind goes with the next write.
    checkpoint.write(path, {"a": torch.ones(1)})
    assert os.listdir(tmp_path) == [path.name]


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DifrunError, match=r"There is no file .*nothing"):
        checkpoint.read(tmp_path / "nothing")
    with pytest.raises(DifrunError, match="is a folder"):
        checkpoint.read(tmp_path)


def test_truncated_files(tmp_path):
    path = tmp_path / "x"
    checkpoint.write(path, TENSORS, {"note": "cut"})
    whole = path.read_bytes()
    for length in (9, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DifrunError, match="is cut short"):
            checkpoint.read(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        b"[train]\nsteps = 4000\n",
        pickle.dumps({"weights": [1.0, 2.0]}),
        b"PK\x03\x04" + bytes(100),
    ],
    ids=["empty", "short", "toml", "pickle", "zip"],
)
def test_foreign_files(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(DifrunError, match="is not a safetensors file"):
        checkpoint.read(path)
