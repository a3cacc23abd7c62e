"""Plugins must not change the process: what the code of one changes of it is put back and told."""

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from difrun.plugin import number_state
from difrun.plugin.process_state import ALWAYS, AT_IMPORT, Kept


@contextlib.contextmanager
def contained(
    changed: Callable[[str], None] = lambda change: None, *, at_import: bool = False
) -> Iterator[None]:
    """Restore what the block changes of the process, and print on stderr what it prints on stdout.

    Args:
        changed: As for `restored`.
        at_import: As for `restored`.
    """
    # The shell reads stdout as completions, and other programs read it as JSON.
    completing = "_DIFRUN_COMPLETE" in os.environ
    with (
        restored(changed, at_import=at_import),
        contextlib.redirect_stdout(io.StringIO() if completing else sys.stderr),
    ):
        yield


@contextlib.contextmanager
def restored(
    changed: Callable[[str], None] = lambda change: None, *, at_import: bool = False
) -> Iterator[None]:
    """Restore what the block changes of the process.

    Args:
        changed: Called with a sentence part, such as ``torch's default dtype to torch.float64``, for each change that
            moves the numbers or the files of others.
        at_import: Whether the block imports a module, which has even less to change than a component at work.
    """
    watched = (*ALWAYS, *(AT_IMPORT if at_import else ()), *(number_state.seeds() if at_import else ()))
    before: list[tuple[Kept, Any]] = [(kept, kept.now()) for kept in watched]
    numbers = {kept.what: kept.now() for kept, _ in number_state.settings()}
    try:
        with _streams():
            yield
    finally:
        for kept, start in number_state.settings():
            before.append((kept, numbers[kept.what] if kept.what in numbers else start()))
        for kept, old in reversed(before):  # what torch's functions do comes before all that is read by them
            text = kept.put_back(old)
            if text:
                changed(text)


@contextlib.contextmanager
def _streams() -> Iterator[None]:
    """Give the process its streams back after the block, even if that closed or replaced them."""
    streams = sys.stdin, sys.stdout, sys.stderr
    were_open = [not getattr(stream, "closed", True) for stream in streams]
    handles = [_copy(number) for number in range(3)]
    try:
        yield
    finally:
        for number, handle in enumerate(handles):
            _reopen(number, handle)
        again = [
            _open_again(number, stream) if was_open else stream
            for number, (stream, was_open) in enumerate(zip(streams, were_open, strict=True))
        ]
        sys.stdin, sys.stdout, sys.stderr = again


def _copy(number: int) -> tuple[int, tuple[int, int]] | None:
    """A second handle of stdin, stdout or stderr, and what it leads to; None if it is closed."""
    try:
        found = os.fstat(number)
        return os.dup(number), (found.st_dev, found.st_ino)
    except OSError:
        return None


def _reopen(number: int, handle: tuple[int, tuple[int, int]] | None) -> None:
    """Put a handle back that was closed, or that leads elsewhere: a file of the run could get its place."""
    if handle is None:
        return
    copy, was = handle
    with contextlib.suppress(OSError):
        try:
            found = os.fstat(number)
            same = (found.st_dev, found.st_ino) == was
        except OSError:
            same = False
        if not same:
            os.dup2(copy, number)
        os.close(copy)


def _open_again(number: int, stream: Any) -> Any:
    """A stream of the process, opened anew if the block closed it."""
    own = (sys.__stdin__, sys.__stdout__, sys.__stderr__)[number]
    if not getattr(stream, "closed", False) or stream is not own:
        return stream
    try:
        return open(number, "r" if number == 0 else "w", errors="replace", closefd=False)
    except OSError:
        return stream


class TookTooLong(BaseException):
    """What is raised in code of a plugin that does not come to an end. No Exception: few handlers catch it."""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TookTooLong in the block after so many seconds, and again after as many more if it is caught.

    It ends what waits in Python: for a lock, a thread, a socket or a clock. There is no limit outside the main thread,
    on systems without timers, and where another timer of the process runs.
    """
    if not _has_free_timer():
        yield
        return
    over = False

    def stop(number: int, frame: Any) -> None:
        if not over:
            raise TookTooLong

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _has_free_timer() -> bool:
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGALRM) is signal.SIG_DFL and not any(
        signal.getitimer(signal.ITIMER_REAL)
    )


@contextlib.contextmanager
def watching_for_interrupts() -> Iterator[Callable[[], bool]]:
    """Give the block a function that says whether Ctrl-C was pressed meanwhile.

    A plugin may raise KeyboardInterrupt as well, which is then a fault of the plugin like any other.
    """
    came = False
    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous) or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: Any) -> Any:
        nonlocal came
        came = True
        return previous(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGINT, previous)
