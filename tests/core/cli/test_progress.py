"""What a run tells while it works, and how signals stop it."""

import re
import signal

import pytest

from difrun.cli.output import metrics_table
from difrun.cli.progress import LINE_EVERY, Listener

RUN = """
    import os, signal, sys, types
    from difrun.errors import Interrupted

    class Run:
        path = "runs/x"
        metrics = {{}}

        def __init__(self, listener):
            self.listener = listener

        def execute(self):
            self.listener.stage("train")
            os.kill(os.getpid(), signal.{first})
            if self.listener.stopping():
                {then}
            raise AssertionError("the signal was not heard")

    module = types.ModuleType("difrun.runs")
    module.start = lambda plan, folder, force, listener, **_: Run(listener)
    sys.modules["difrun.runs"] = module

    from difrun.cli import main
    main(["--process", "toy"])
"""
SAVE = 'raise Interrupted("runs/x")'
AGAIN = "os.kill(os.getpid(), signal.SIGINT)"


def test_notes_are_kept_until_nothing_is_refused(capsys):
    """They come before the first stage, or at the end of the block; where it is left by an error, never."""
    listener = Listener(live=False)
    with listener.refusing_first():
        listener.note("one")
        assert capsys.readouterr().err == ""
        listener.stage("train")
        listener.note("two")
        assert capsys.readouterr().err == "Note: one\nTraining ...\nNote: two\n"
    with listener.refusing_first():
        listener.note("three")
    assert capsys.readouterr().err == "Note: three\n"
    with pytest.raises(ValueError), listener.refusing_first():  # noqa: PT011, PT012
        listener.note("four")
        raise ValueError
    listener.note("five")
    assert capsys.readouterr().err == "Note: five\n"


@pytest.mark.parametrize(("first", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_the_first_signal_saves_and_says_how_to_resume(toy, first, code):
    done = toy.python(RUN.format(first=first, then=SAVE), DIFRUN_PLUGINS="toy")
    assert done.returncode == code, done.stderr
    assert done.stderr.endswith("\nInterrupted.\nContinue with: difrun resume runs/x\n")
    assert "Traceback" not in done.stderr


def test_the_second_signal_stops_at_once(toy):
    done = toy.python(RUN.format(first="SIGINT", then=AGAIN), DIFRUN_PLUGINS="toy")
    assert done.returncode == 130, done.stderr
    assert "Stopped at once." in done.stderr
    assert "Traceback" not in done.stderr


def test_signal_handlers_are_given_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Listener(quiet=True).signals():
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_without_a_terminal_there_are_plain_lines_every_few_seconds(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    listener = Listener(live=False)
    listener.stage("train")
    for step in range(1, 101):
        clock[0] += 0.6 * LINE_EVERY
        listener.train(step, 100, 0.25, 42.4, 65.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Training ..."
    assert lines[1] == "  2/100  loss 0.25, 42 steps/s, 1:05 left"
    assert lines[-1].startswith("  100/100")
    assert len(lines) == 1 + 50  # every second report is 1.2 intervals after the last line


def test_a_terminal_gets_one_live_line(capsys):
    listener = Listener(live=True)
    listener.stage("sample")
    for done in range(1, 31):
        listener.sample(done, 30)
    listener.note("all is well")
    listener.close()
    err = capsys.readouterr().err
    assert err.count("\n") == 3  # the stage, the note, the end of the bar
    assert "| 30/30" in err
    assert "Note: all is well\n" in err


def test_quiet_is_silent(capsys):
    listener = Listener(quiet=True, live=True)
    listener.stage("train")
    listener.train(1, 2, 0.5, 1.0, 1.0)
    listener.sample(2, 2)
    listener.note("hm")
    listener.close()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("eta", "text"), [(5.4, "0:05"), (3725, "1:02:05"), (float("nan"), "?"), (float("inf"), "?")]
)
def test_time_left(capsys, eta, text):
    Listener(live=False).train(2, 2, 0.5, 0.123, eta)
    assert re.search(rf"0\.12 steps/s, {re.escape(text)} left", capsys.readouterr().err)


def test_the_table_leaves_out_what_is_not_a_number():
    metrics = {"a": {"value": 1.0, "floor": -0.5}, "b": {"value": float("nan")}}
    assert [line.split() for line in metrics_table(metrics).splitlines()[1:3]] == [
        ["a", "1", "-0.5", "-"],
        ["b", "-", "-", "-"],
    ]


def test_exact_values_have_a_column_where_there_is_one():
    known = {"value": 1.5, "value_sd": 0.25, "exact": 1.25, "floor": 1.3, "floor_sd": 0.25}
    other = {"value": 2.0, "value_sd": 0.25, "floor": 1.0, "floor_sd": 0.25}
    lines = [line.split() for line in metrics_table({"a": known, "b": other}).splitlines()[:3]]
    assert lines[0] == ["metric", "value", "exact", "floor", "value", "/", "floor"]
    assert lines[1] == ["a", "1.5", "±", "0.25", "1.25", "1.3", "±", "0.25", "-"]
    assert lines[2] == ["b", "2", "±", "0.25", "-", "1", "±", "0.25", "2"]
    assert "exact" not in metrics_table({"b": other})
