"""One process at a time works on a run folder; the lock of one that is gone is no hindrance."""

import contextlib
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from difrun.errors import DifrunError
from difrun.runs.folder import lock

from .support import SMALL, assert_same_result, difrun, paused, without_pictures

STEP = "difrun.training.trainer:Trainer._advance"


def test_a_second_process_is_refused_and_the_first_is_not_disturbed(tmp_path):
    """`resume` and `run --force` while a run trains: both name the process. The lock goes when the run ends."""
    run, alone = tmp_path / "run", tmp_path / "alone"
    with paused(tmp_path, STEP, 31, "run", *SMALL, "--out", run) as child:
        note = json.loads((run / lock.NOTE).read_text("utf-8"))
        assert (note["pid"], note["host"]) == (child.pid, socket.gethostname())
        for command in (("resume", run), ("run", *SMALL, "--out", run, "--force")):
            said = difrun(*command, code=1)
            assert said.startswith("Error: "), said  # and not that training goes on
            assert re.search(rf"Process {child.pid} on \S+ has worked on the run in {run} since 20", said), (
                said
            )
        (tmp_path / "waiting").unlink()
        child.communicate(timeout=120)
        assert child.returncode == 0
    assert lock_files(run) == []
    with without_pictures():
        difrun("run", *SMALL, "--out", alone)
    assert_same_result(run, alone)


def test_the_lock_of_a_killed_run_is_free(tmp_path):
    run = tmp_path / "run"
    with paused(tmp_path, STEP, 31, "run", *SMALL, "--out", run) as child:
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    assert lock_files(run) == [lock.NAME, lock.NOTE]
    lock.refuse_if_held(run)
    with without_pictures():
        difrun("resume", run)
    assert lock_files(run) == []


HOLD = """
import pathlib, sys
from difrun.errors import DifrunError
from difrun.runs.folder import lock

print("ready", flush=True)
sys.stdin.readline()
try:
    with lock.hold_lock(pathlib.Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.readline()
except DifrunError:
    print("refused", flush=True)
"""
"""A process that asks for the lock of a folder when it reads a line, and keeps it until it reads another."""


def asking(folder):
    """A process that is ready to ask for the lock of a folder."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "ready\n"
    return child


def ask(child):
    child.stdin.write("go\n")
    child.stdin.flush()


@contextlib.contextmanager
def held_elsewhere(folder):
    """A process that holds the lock of a folder."""
    child = asking(folder)
    ask(child)
    try:
        assert child.stdout.readline() == "held\n"
        yield child
    finally:
        child.communicate("end\n")


def lock_files(folder):
    return sorted(file.name for file in folder.iterdir() if "lock" in file.name)


def write_note(folder, **changes):
    note = {"pid": os.getppid(), "host": socket.gethostname(), "since": 0.0}
    (folder / lock.NOTE).write_text(json.dumps(note | changes), encoding="utf-8")


def test_the_lock_decides_and_the_note_only_names_the_holder(tmp_path):
    write_note(tmp_path)
    (tmp_path / lock.NAME).touch()
    with lock.hold_lock(tmp_path):  # left by a process that is gone
        assert json.loads((tmp_path / lock.NOTE).read_text("utf-8"))["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []
    with held_elsewhere(tmp_path) as child:
        with pytest.raises(DifrunError, match=f"Process {child.pid} on .*Wait for it, or stop it.$"):
            lock.refuse_if_held(tmp_path)
        write_note(tmp_path, host="elsewhere")  # nobody can look there whether it is gone
        with (
            pytest.raises(DifrunError, match=r"on elsewhere .* If it is gone, remove .*run\.lock\."),
            lock.hold_lock(tmp_path),
        ):
            pass
        for text in ("", "[]", '{"pid": 3}'):
            (tmp_path / lock.NOTE).write_text(text, encoding="utf-8")
            with (
                pytest.raises(DifrunError, match="Another process works on the run"),
                lock.hold_lock(tmp_path),
            ):
                pass


def test_a_note_that_cannot_be_written_leaves_the_lock_in_force(tmp_path, monkeypatch):
    """As on a full disk."""

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lock, "_write_note", full)
    with lock.hold_lock(tmp_path):
        assert lock_files(tmp_path) == [lock.NAME]
        with pytest.raises(DifrunError, match="Another process works on the run"):
            lock.refuse_if_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_no_lock_can_be_written_one_that_is_there_holds(tmp_path, monkeypatch):
    def forbidden(self, blocking):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(lock.FileLock, "acquire", forbidden)
    with lock.hold_lock(tmp_path):
        assert list(tmp_path.iterdir()) == []
    (tmp_path / lock.NAME).touch()
    write_note(tmp_path)
    with (
        pytest.raises(
            DifrunError, match=rf"Process {os.getppid()} on .* If it is gone, remove .*run\.lock\."
        ),
        lock.hold_lock(tmp_path),
    ):
        pass
    with pytest.raises(DifrunError, match=f"Process {os.getppid()} on"):
        lock.refuse_if_held(tmp_path)


@pytest.mark.filterwarnings("error")
def test_a_file_system_without_locks_has_a_file_that_marks_one(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def unsupported(*args):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with lock.hold_lock(tmp_path):
        with lock.hold_lock(tmp_path):
            pass
        assert lock_files(tmp_path) == [lock.NAME, lock.NOTE]
        with pytest.raises(DifrunError, match=f"Process {os.getpid()} on"):
            lock.refuse_if_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_held_by_one_thread_and_given_back_after_an_error(tmp_path):
    """Its holder may ask again, and keeps it until the first block ends; another thread is refused as a process is."""
    answers = []

    def other():
        try:
            with lock.hold_lock(tmp_path):
                answers.append("held")
        except DifrunError as error:
            answers.append(str(error))

    def work():
        with lock.hold_lock(tmp_path):
            with lock.hold_lock(tmp_path):
                pass
            assert (tmp_path / lock.NAME).exists()
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            with pytest.raises(DifrunError):
                lock.refuse_if_held(tmp_path)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert list(tmp_path.iterdir()) == []
    assert len(answers) == 1
    assert answers[0].startswith(f"Process {os.getpid()} on")
    other()
    assert answers[1:] == ["held"]


def test_whatever_writes_into_a_folder_at_work_is_refused(tmp_path):
    """Every command leaves every file as it was and names the holder; samples that go elsewhere disturb nobody."""
    run = tmp_path / "run"
    with without_pictures():
        difrun("run", *SMALL, "--out", run)
    with without_pictures(), held_elsewhere(run) as child:
        before = {file.name: file.read_bytes() for file in run.iterdir()}
        for command in (
            ("resume", run),
            ("sample", run, "--n", 20),
            ("sample", run, "--n", 20, "--out", run / "own.npz"),
            ("evaluate", run),
            ("evaluate", run, "--likelihood"),
            ("evaluate", run, "--samples", run / "samples.npz"),
            ("tune", run, "--steps", 3),
            ("report", run),
        ):
            said = difrun(*command, code=1)
            assert f"Process {child.pid} on {socket.gethostname()} has worked on the run in {run}" in said, (
                said
            )
        assert {file.name: file.read_bytes() for file in run.iterdir()} == before
        difrun("sample", run, "--n", 20, "--out", tmp_path / "elsewhere.npz")
        difrun("evaluate", run, "--samples", tmp_path / "elsewhere.npz", "--metric", "sliced-w2")
        assert {file.name: file.read_bytes() for file in run.iterdir()} == before
    assert (tmp_path / "elsewhere.metrics.json").is_file()


def test_of_many_that_ask_at_once_one_gets_the_lock(tmp_path):
    """Four processes ask at the same instant for a lock that a killed one left; the first keeps it until all asked."""
    with held_elsewhere(tmp_path) as killed:
        killed.kill()
        killed.wait(30)
    assert lock_files(tmp_path) == [lock.NAME, lock.NOTE]
    children = [asking(tmp_path) for _ in range(4)]
    for child in children:
        ask(child)
    answers = sorted(child.stdout.readline() for child in children)
    for child in children:
        child.communicate("end\n")
    assert answers == ["held\n"] + ["refused\n"] * 3
    assert list(tmp_path.iterdir()) == []


def test_the_lock_passes_between_processes_one_at_a_time(tmp_path):
    """Two processes take and release the lock as fast as they can: they never hold it together."""
    code = """
import os, pathlib, sys
from difrun.errors import DifrunError
from difrun.runs.folder import lock

folder, held = pathlib.Path(sys.argv[1]), 0
while held < 25:
    try:
        with lock.hold_lock(folder):
            os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))
            (folder / "inside").unlink()
            held += 1
    except DifrunError:
        pass
"""
    children = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [child.wait(120) for child in children] == [0, 0]
    assert list(tmp_path.iterdir()) == []
