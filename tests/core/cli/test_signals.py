"""Signals raise one KeyboardInterrupt, however many come."""

import os
import signal
import sys
import threading

import pytest

from difrun.cli import main, signals


@pytest.fixture(autouse=True)
def fresh():
    signals.forget()
    yield
    signals.forget()


def test_the_signals_that_follow_do_not_interrupt_what_the_first_set_off():
    cleaned = []
    with signals.handled_by(signals.stop_now):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)
    assert cleaned == [True]
    assert signals.received() == signal.SIGTERM


def test_a_command_that_does_not_stop_is_asked_again(monkeypatch):
    monkeypatch.setattr(signals, "AGAIN", 0.0)
    for _ in range(2):
        with signals.handled_by(signals.stop_now), pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_put_back_and_other_threads_keep_theirs():
    before = signal.getsignal(signal.SIGTERM)
    with signals.handled_by(signals.stop_now):
        assert signal.getsignal(signal.SIGTERM) is signals.stop_now
        done = []

        def other():
            with signals.handled_by(lambda *_: None):
                done.append(signal.getsignal(signal.SIGTERM))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert done == [signals.stop_now]
    assert signal.getsignal(signal.SIGTERM) is before


class _Interrupting:
    """A finder of modules that is interrupted where it looks for one of them."""

    def find_spec(self, name, path=None, target=None):
        if name == "difrun.cli.entry_point":
            raise KeyboardInterrupt


def test_ctrl_c_while_the_command_is_imported_is_one_line(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "difrun.cli.entry_point", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "Stopped before anything was done.\n"


@pytest.mark.parametrize("raised", [KeyboardInterrupt, EOFError])
def test_what_code_raises_is_not_taken_for_ctrl_c(monkeypatch, capsys, raised):
    """click turns both into an Abort, as if somebody had pressed Ctrl-C."""

    def broken():
        raise raised

    monkeypatch.setattr("difrun.cli.app.warn_of_plugins", broken)
    if raised is EOFError:
        with pytest.raises(EOFError):  # an unknown error keeps its traceback
            main(["list"])
        return
    with pytest.raises(SystemExit) as stopped:
        main(["list"])
    assert stopped.value.code == 1
    assert "raised KeyboardInterrupt, although nobody asked to stop" in capsys.readouterr().err
