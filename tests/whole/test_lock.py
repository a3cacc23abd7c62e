"""One process at a time works on a run folder; the lock of one that is gone is no hindrance."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from difrun.errors import DifrunError
from difrun.run import lock

from .support import SMALL, assert_same_result, difrun, paused, without_pictures

STEP = "difrun.train:Trainer._advance"


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
        with lock.held(tmp_path):
            assert json.loads((tmp_path / lock.NAME).read_text("utf-8"))["pid"] == os.getpid()
        assert list(tmp_path.iterdir()) == []
    holder(tmp_path)
    with pytest.raises(DifrunError, match=f"Process {os.getppid()} on"), lock.held(tmp_path):
        pass
    holder(tmp_path, host="elsewhere", pid=gone.pid)  # nobody can tell from here
    with (
        pytest.raises(DifrunError, match=r"on elsewhere .* If it is gone, remove .*run\.lock\."),
        lock.held(tmp_path),
    ):
        pass
    assert (tmp_path / lock.NAME).exists()


def test_a_lock_that_is_being_written_holds_for_a_moment(tmp_path):
    (tmp_path / lock.NAME).touch()
    with pytest.raises(DifrunError, match="Another process works on the run"), lock.held(tmp_path):
        pass
    old = time.time() - 60
    os.utime(tmp_path / lock.NAME, (old, old))
    with lock.held(tmp_path):
        pass


def test_a_lock_is_held_once_and_given_back_after_an_error(tmp_path):
    def work():
        with lock.held(tmp_path):
            with pytest.raises(DifrunError), lock.held(tmp_path):
                pass
            with pytest.raises(DifrunError):
                lock.refuse_if_held(tmp_path)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_ask_at_once_for_a_stale_lock_one_gets_it(tmp_path):
    """Four processes start at the same instant; whoever has the lock keeps it until all have asked."""
    holder(tmp_path, born="1")
    code = """
        import pathlib, sys, time
        from difrun.errors import DifrunError
        from difrun.run import lock
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
