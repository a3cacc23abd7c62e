"""One process at a time works on a run folder; the lock of one that is gone is no hindrance."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from difrun.errors import DifrunError
from difrun.runs.folder import lock

from .support import SMALL, assert_same_result, difrun, paused, without_pictures

STEP = "difrun.training.trainer:Trainer._advance"


def test_a_second_process_is_refused_and_the_first_is_not_disturbed(tmp_path):
    """`resume` and `run --force` while the run is trained; both name who is at work. The lock goes with the run."""
    run, alone = tmp_path / "run", tmp_path / "alone"
    with paused(tmp_path, STEP, 31, "run", *SMALL, "--out", run) as child:
        there = json.loads((run / "run.lock").read_text("utf-8"))
        assert (there["pid"], there["host"]) == (child.pid, socket.gethostname())
        for command in (("resume", run), ("run", *SMALL, "--out", run, "--force")):
            said = difrun(*command, code=1)
            assert said.startswith("Error: "), said  # and not that training goes on
            assert re.search(rf"Process {child.pid} on \S+ has worked on the run in {run} since 20", said), (
                said
            )
        (tmp_path / "waiting").unlink()
        child.communicate(timeout=120)
        assert child.returncode == 0
    assert not (run / "run.lock").exists()
    with without_pictures():
        difrun("run", *SMALL, "--out", alone)
    assert_same_result(run, alone)


def test_a_killed_run_leaves_a_lock_that_the_next_takes_over(tmp_path):
    run = tmp_path / "run"
    with paused(tmp_path, STEP, 31, "run", *SMALL, "--out", run) as child:
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    assert (run / "run.lock").exists()
    with without_pictures():
        difrun("resume", run)
    assert not (run / "run.lock").exists()


def holder(folder, **changes):
    own = {"pid": os.getppid(), "host": socket.gethostname(), "born": lock._born(os.getppid()), "since": 0.0}
    (folder / lock.NAME).write_text(json.dumps({**own, **changes}), encoding="utf-8")


def test_who_is_alive_holds_and_who_is_gone_does_not(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for stale in (
        {"pid": gone.pid},
        {"born": "1"},
        {"pid": os.getpid()},
    ):  # ended; a later bearer of the number
        holder(tmp_path, **stale)
        with lock.hold_lock(tmp_path):
            assert json.loads((tmp_path / lock.NAME).read_text("utf-8"))["pid"] == os.getpid()
        assert list(tmp_path.iterdir()) == []
    holder(tmp_path)
    with pytest.raises(DifrunError, match=f"Process {os.getppid()} on"), lock.hold_lock(tmp_path):
        pass
    holder(tmp_path, host="elsewhere", pid=gone.pid)  # nobody can tell from here
    with (
        pytest.raises(DifrunError, match=r"on elsewhere .* If it is gone, remove .*run\.lock\."),
        lock.hold_lock(tmp_path),
    ):
        pass
    assert (tmp_path / lock.NAME).exists()


def test_a_lock_that_is_being_written_holds_for_a_moment(tmp_path):
    (tmp_path / lock.NAME).touch()
    with pytest.raises(DifrunError, match="Another process works on the run"), lock.hold_lock(tmp_path):
        pass
    old = time.time() - 60
    os.utime(tmp_path / lock.NAME, (old, old))
    with lock.hold_lock(tmp_path):
        pass


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_a_lock_is_whole_from_the_start(tmp_path, monkeypatch, links):
    """Whoever is killed before the lock is there leaves nothing that the next minds; a lock that is there stays."""
    text = json.dumps({"pid": os.getppid(), "host": "here"})
    asked = []

    def link(source, target):
        asked.append(Path(source).read_text("utf-8"))
        if not links:
            raise PermissionError
        real(source, target)

    real = os.link
    monkeypatch.setattr(os, "link", link)
    lock._put(tmp_path / lock.NAME, text)
    assert asked == [text]
    assert (tmp_path / lock.NAME).read_text("utf-8") == text
    with pytest.raises(FileExistsError):
        lock._put(tmp_path / lock.NAME, "other")
    assert (tmp_path / lock.NAME).read_text("utf-8") == text
    assert list(tmp_path.iterdir()) == [tmp_path / lock.NAME]
    (tmp_path / lock.NAME).unlink()
    (tmp_path / f".{lock.NAME}.12345.new.part").touch()
    with lock.hold_lock(tmp_path):
        assert [file.name for file in tmp_path.iterdir()] == [lock.NAME]
    assert list(tmp_path.iterdir()) == []


def test_where_no_lock_can_be_written_one_that_is_there_holds(tmp_path, monkeypatch):
    """As on a full disk. Without hard links nothing is left of a lock that could not be written."""

    def full(lock, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UnicodeEncodeError):
        lock._write_new(tmp_path / lock.NAME, "\ud800")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(lock, "_put", full)
    with lock.hold_lock(tmp_path):
        assert list(tmp_path.iterdir()) == []
    holder(tmp_path)
    with pytest.raises(DifrunError, match=f"Process {os.getppid()} on"), lock.hold_lock(tmp_path):
        pass


def test_a_lock_is_held_by_one_thread_and_given_back_after_an_error(tmp_path):
    """Its holder may ask again, and keeps it until the first `held` ends; another thread is refused as a process is."""
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
        holder(run)
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
            assert (
                f"Process {os.getppid()} on {socket.gethostname()} has worked on the run in {run}" in said
            ), said
        assert {file.name: file.read_bytes() for file in run.iterdir()} == before
        difrun("sample", run, "--n", 20, "--out", tmp_path / "elsewhere.npz")
        difrun("evaluate", run, "--samples", tmp_path / "elsewhere.npz", "--metric", "sliced-w2")
    assert (tmp_path / "elsewhere.metrics.json").is_file()
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before


def test_a_lock_that_was_put_in_place_of_a_stale_one_is_put_back(tmp_path):
    """Between the look at a stale lock and its removal another process takes it over: its lock stays, untouched."""
    holder(tmp_path, born="1")
    stale = lock._read(tmp_path / lock.NAME)
    assert lock._is_stale(tmp_path / lock.NAME, stale)
    (tmp_path / lock.NAME).unlink()
    holder(tmp_path, since=5.0)
    fresh = lock._read(tmp_path / lock.NAME)
    lock._remove(tmp_path / lock.NAME, stale)
    assert lock._read(tmp_path / lock.NAME) == fresh
    assert [file.name for file in tmp_path.iterdir()] == [lock.NAME]
    with pytest.raises(DifrunError, match=f"Process {os.getppid()} on"), lock.hold_lock(tmp_path):
        pass
    lock._remove(tmp_path / lock.NAME, fresh)  # that one is what was looked at
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_ask_at_once_for_a_stale_lock_one_gets_it(tmp_path):
    """Four processes start at the same instant; whoever has the lock keeps it until all have asked."""
    holder(tmp_path, born="1")
    code = """
        import pathlib, sys, time
        from difrun.errors import DifrunError
        from difrun.runs.folder import lock
        folder = pathlib.Path(sys.argv[1])
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            with lock.held(folder):
                print("held", flush=True)
                sys.stdin.readline()
        except DifrunError:
            print("refused", flush=True)
    """.replace("\n        ", "\n")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    answers = sorted(child.stdout.readline() for child in children)
    for child in children:
        child.communicate("end\n")
    assert answers == ["held\n"] + ["refused\n"] * 3
