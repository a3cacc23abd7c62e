"""Only regular files of bounded size are read, and links only where they stay in their folder."""

import contextlib
import os
import sys
import threading

import pytest

from difrun.errors import DifrunError
from difrun.storage import places
from difrun.storage.regular import open_regular, read_bounded, size

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and devices of POSIX systems")


def refusal(path, **how):
    with pytest.raises(DifrunError) as caught:
        read_bounded(path, **how)
    return str(caught.value)


def test_a_regular_file_is_read(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert read_bounded(tmp_path / "x") == b"abc"
    assert read_bounded(tmp_path / "x", 3, within=tmp_path) == b"abc"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "gone")


@pytest.mark.parametrize(
    ("make", "what"), [("pipe", "a pipe"), ("folder", "a folder"), ("device", "a device")]
)
def test_what_is_no_file_is_refused_at_once(tmp_path, make, what):
    """In a thread that the test does not wait for: a reader of a pipe without a writer would never come back."""
    path, said = tmp_path / "x", []
    {"pipe": lambda: os.mkfifo(path), "folder": path.mkdir, "device": lambda: path.symlink_to("/dev/zero")}[
        make
    ]()
    thread = threading.Thread(target=lambda: said.append(refusal(path)), daemon=True)
    thread.start()
    thread.join(20)
    assert said == [f"{path} is {what}; expected a file."]


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    with open(tmp_path / "x", "wb") as file:
        file.truncate(10**12)
    assert refusal(tmp_path / "x") == f"{tmp_path / 'x'} is 1 TB; expected at most 67.1 MB."
    with pytest.raises(DifrunError, match="expected at most"):  # more than the memory of any machine of today
        open_regular(tmp_path / "x")


def test_a_file_that_grows_while_it_is_read_is_bounded(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"abcdef")
    found = os.stat_result((*os.stat(path)[:6], 2, *os.stat(path)[7:]))
    monkeypatch.setattr(os, "fstat", lambda _: found)
    assert refusal(path, most=3) == f"{path} is more than 3 bytes."


def test_links_may_not_leave_the_folder(tmp_path):
    folder = tmp_path / "run"
    (folder / "inside").mkdir(parents=True)
    (tmp_path / "mine").write_bytes(b"mine")
    (folder / "own").write_bytes(b"own")
    (folder / "out").symlink_to(tmp_path / "mine")
    (folder / "up").symlink_to("..")
    (folder / "within").symlink_to("own")
    assert read_bounded(folder / "within", within=folder) == b"own"
    assert read_bounded(folder / "out") == b"mine"
    for path in (folder / "out", folder / "up" / "mine", folder / ".." / "mine"):
        assert "outside its folder, and is not followed" in refusal(path, within=folder)


def test_a_link_in_a_circle_is_refused(tmp_path):
    """It was a RuntimeError of pathlib, and is an error of the system from Python 3.13 on."""
    (tmp_path / "x").symlink_to("y")
    (tmp_path / "y").symlink_to("x")
    for within in (tmp_path, None):
        with pytest.raises((DifrunError, OSError)) as caught:
            read_bounded(tmp_path / "x", within=within)
        assert str(tmp_path / "x") in str(caught.value)
    with places.writing_only_in(tmp_path), contextlib.suppress(DifrunError):
        places.allowed(tmp_path / "x")


def test_sizes_in_words():
    assert [size(count) for count in (3, 2500, 64 * 2**20, 3 * 10**9)] == [
        "3 bytes",
        "2.5 kB",
        "67.1 MB",
        "3 GB",
    ]


def test_a_run_that_was_opened_writes_in_its_folder_alone(tmp_path):
    inside, outside = tmp_path / "run" / "x.npy", tmp_path / "cache" / "x.npy"
    assert places.allowed(outside) == outside
    with places.writing_only_in(tmp_path / "run"):
        assert places.allowed(inside) == inside
        assert places.allowed(outside) == tmp_path / "run" / "cache" / "x.npy"
    assert places.allowed(outside) == outside
