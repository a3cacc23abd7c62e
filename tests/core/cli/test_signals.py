"""Signals raise one KeyboardInterrupt, however many come."""

import os
import signal
import threading

import pytest

from difrun.cli import signals


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
