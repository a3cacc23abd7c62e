"""SIGINT and SIGTERM stop the command: at any moment, and more than once."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from difrun.errors import StoppedByUser

AGAIN = 5.0
"""Seconds in which one KeyboardInterrupt may do its work, before another signal raises the next."""

Handler = Callable[[int, FrameType | None], Any]

_received: int | None = None
_raised = -AGAIN


def forget() -> None:
    """Forget the signals of an earlier command in this process."""
    global _received, _raised
    _received, _raised = None, -AGAIN


def received() -> int | None:
    """Return the number of the last signal that came; None if there was none."""
    return _received


def notice(number: int) -> None:
    """Remember that a signal came."""
    global _received
    _received = number


def stop_now(number: int, frame: FrameType | None = None) -> None:
    """Raise StoppedByUser, a KeyboardInterrupt: a handler of signals.

    It is raised once. What it sets off, such as removing a half-written file and saying one line, is not interrupted by
    a third signal, unless it has taken `AGAIN` seconds.
    """
    global _raised
    notice(number)
    now = time.monotonic()
    if now - _raised >= AGAIN:
        _raised = now
        raise StoppedByUser


@contextmanager
def handled_by(handler: Handler) -> Iterator[None]:
    """Give SIGINT and SIGTERM a handler while the block runs; outside the main thread they keep theirs."""
    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread
        pass
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def ignore() -> None:
    """Ignore both signals from now on: the exit code is known, and the process ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
