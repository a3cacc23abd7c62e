"""Every file is written whole or not at all, and what went wrong is said with what to do."""

import errno
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

from difrun import draw
from difrun.errors import DifrunError
from difrun.report import html
from difrun.storage import atomic
from difrun.storage.tensors import write_tensors

WRITERS = {
    "bytes": lambda path: atomic.write_bytes(path, b"new" * 100_000),
    "text": lambda path: atomic.write_text(path, "new" * 100_000),
    "npz": lambda path: atomic.write_npz(path, x=np.random.default_rng(0).random(40_000)),
    "tensors": lambda path: write_tensors(path, {"a": torch.ones(75_000)}),
}


def child(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *arguments]


def test_text_bytes_and_arrays(tmp_path):
    assert atomic.write_text(tmp_path / "run.toml", "θ = 1\n") == tmp_path / "run.toml"
    assert (tmp_path / "run.toml").read_bytes() == "θ = 1\n".encode()
    atomic.write_bytes(str(tmp_path / "x.png"), b"\x89PNG")
    assert (tmp_path / "x.png").read_bytes() == b"\x89PNG"
    atomic.write_npz(tmp_path / "samples.npz", samples=torch.arange(4.0).view(2, 2), n=np.int64(3))
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as file:
        assert file["samples"].tolist() == [[0, 1], [2, 3]]
        assert file["n"] == 3
    with pytest.raises(ValueError, match=r"[Oo]bject arrays cannot be saved"):
        atomic.write_npz(tmp_path / "objects.npz", bad=np.array([{}], dtype=object))
    assert not (tmp_path / "objects.npz").exists()


def test_writing_text_needs_neither_numpy_nor_torch(tmp_path):
    code = """
        import sys
        from difrun.storage import atomic
        atomic.write_text(sys.argv[1], "text")
        print([name for name in ("numpy", "torch", "matplotlib") if name in sys.modules])
    """
    done = subprocess.run(child(code, str(tmp_path / "x")), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert (tmp_path / "x").read_text() == "text"


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, writer, failing):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        with pytest.raises(DifrunError) as caught:
            WRITERS[writer](path)
    assert str(caught.value) == (
        f"Cannot write {path} (0.3 MB): No space left on device. The earlier file is intact. "
        "Free some space, or choose another folder."
    )
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
    WRITERS[writer](path)
    assert path.read_bytes() != b"old"


def test_pictures_and_reports_are_written_in_the_same_way(tmp_path, monkeypatch):
    """One writer: the same temporary name and the same message, whatever the file is."""
    seen = []

    def fail(source, target):
        seen.append(source)
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "replace", fail)
    figure = draw.loss_curve([1, 2], [2.0, 1.0])
    for name, write in {
        "loss.png": lambda: draw.save(figure, tmp_path / "loss.png"),
        "report.html": lambda: html.write(tmp_path, html.ReportContext(title="x")),
        "run.toml": lambda: atomic.write_text(tmp_path / "run.toml", "x"),
    }.items():
        with pytest.raises(DifrunError) as caught:
            write()
        assert str(caught.value).startswith(f"Cannot write {tmp_path / name} (0.")
        assert str(caught.value).endswith("Read-only file system. " + atomic.advice(OSError(errno.EROFS, "")))
    names = [atomic.name_of_leftover(path) for path in seen]
    assert names == ["loss.png", "report.html", "run.toml"]
    assert all(map(atomic.is_leftover, seen))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["x.part", ".part", "..part", ".run.toml", ".x.tmp", "run.toml"])
def test_other_files_are_not_leftovers(name):
    assert not atomic.is_leftover(name)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Free some space"),
        (errno.EACCES, "change its permissions"),
        (errno.EPERM, "change its permissions"),
        (errno.EROFS, "read-only"),
        (errno.EFBIG, "no larger file"),
    ],
)
def test_the_advice_fits_the_error(tmp_path, monkeypatch, number, words):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(DifrunError) as caught:
        atomic.write_text(tmp_path / "x", "text")
    assert f"{os.strerror(number)}. " in str(caught.value)
    assert words in str(caught.value)
    assert "--out" not in str(caught.value)  # from Python there are no flags
    assert "earlier file" not in str(caught.value)


def test_an_error_without_advice_has_the_words_of_the_system(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(DifrunError, match=r"\(0\.0 MB\): Input/output error\.$"):
        atomic.write_text(tmp_path / "x", "text")


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    """Ctrl-C in the middle of a write is passed on, and nothing is left behind."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_no_folder(tmp_path):
    with pytest.raises(DifrunError) as caught:
        atomic.write_text(tmp_path / "missing" / "x", "text")
    said = str(caught.value)
    assert "No such file or directory." in said
    assert f"Make the folder {tmp_path / 'missing'} first" in said
    assert "earlier file" not in said
    assert "space" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, where not even root may write, is of Linux")
def test_no_permission():
    with pytest.raises(DifrunError, match=r"Cannot write /proc/x"):
        atomic.write_text("/proc/x", "text")


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is of POSIX systems")
def test_a_file_that_may_not_grow(tmp_path):
    """The system refuses the write in its middle (EFBIG), as a full disk would."""
    path = tmp_path / "state"
    code = """
        import resource, sys
        from difrun.storage import atomic
        from difrun.errors import DifrunError
        atomic.write_bytes(sys.argv[1], b"old")
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            atomic.write_bytes(sys.argv[1], bytes(4_000_000))
        except DifrunError as error:
            print(error)
        else:
            print("written?")
    """
    done = subprocess.run(child(code, str(path)), capture_output=True, text=True, timeout=120, check=True)
    assert "(4.0 MB): File too large. The earlier file is intact. The system allows no larger" in done.stdout
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX systems")
def test_kill_in_the_middle_of_writing(tmp_path):
    """A process killed at random moments while it does nothing but write always leaves a whole file."""
    path = tmp_path / "state"
    code = """
        import sys
        from difrun.storage import atomic
        k = 0
        while True:
            atomic.write_bytes(sys.argv[1], k.to_bytes(4, "little") * 500_000)
            k += 1
            print(k, flush=True)
    """
    moments = random.Random(0)
    for _ in range(6):
        process = subprocess.Popen(child(code, str(path)), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        found = path.read_bytes()
        assert found == found[:4] * 500_000
    # What the last one may have left behind goes with the next write.
    atomic.write_bytes(path, b"")
    assert os.listdir(tmp_path) == [path.name]
