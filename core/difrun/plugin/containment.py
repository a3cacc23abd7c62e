"""What a plugin must not change while it is imported: the streams, signals, and torch's defaults of this process."""

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

Snapshot = dict[str, tuple[Any, Callable[[Any], Any]]]
"""What is watched -> its value, and the function that sets it."""


@contextlib.contextmanager
def contained(changed: Callable[[str], None] = lambda change: None) -> Iterator[None]:
    """Restore what the block changes of the process, and print on stderr what it prints on stdout.

    Args:
        changed: Called with a sentence part, such as ``torch's default dtype to torch.float64``, for each change that
            moves the numbers of other components.
    """
    streams = sys.stdout, sys.stderr, sys.stdin
    had_torch = _has_torch()
    before = _torch_defaults() if had_torch else {}
    # The shell reads stdout as completions, and other programs read it as JSON.
    completing = "_DIFRUN_COMPLETE" in os.environ
    try:
        with contextlib.redirect_stdout(io.StringIO() if completing else sys.stderr):
            yield
    finally:
        sys.stdout, sys.stderr, sys.stdin = streams
        if _has_torch() and not had_torch:
            before = _as_torch_starts()
        for name, (value, _) in _torch_defaults().items() if _has_torch() else ():
            old, restore = before[name]
            if value != old:
                restore(old)
                changed(f"{name} to {value}")


def _has_torch() -> bool:
    """Whether torch is imported; not if its import failed half-way."""
    return hasattr(sys.modules.get("torch"), "get_default_device")


def _torch_defaults() -> Snapshot:
    import torch

    return {
        "torch's default dtype": (torch.get_default_dtype(), torch.set_default_dtype),
        "torch's default device": (torch.get_default_device(), _set_device),
        "torch's switch of gradients": (torch.is_grad_enabled(), torch.set_grad_enabled),
        "torch's switch of deterministic algorithms": (
            torch.are_deterministic_algorithms_enabled(),
            torch.use_deterministic_algorithms,
        ),
    }


def _as_torch_starts() -> Snapshot:
    """The defaults of a torch that nobody has changed."""
    import torch

    start = (torch.float32, torch.device("cpu"), True, False)
    return {
        name: (value, restore)
        for (name, (_, restore)), value in zip(_torch_defaults().items(), start, strict=True)
    }


def _set_device(device: Any) -> None:
    import torch

    # None, not "cpu": a default device slows every call that makes a tensor.
    torch.set_default_device(None if str(device) == "cpu" else device)


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
