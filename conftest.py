"""What the tests of core, plugins and the whole share: profiles of hypothesis, and a watch on what is written."""

import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:  # not a POSIX system
    resource = None  # type: ignore[assignment]

import pytest
from hypothesis import HealthCheck, settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores Ctrl-C for what it starts in the background; tests of signals, and what they start, must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)

slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile(
    "fixed", derandomize=True, database=None, deadline=None, max_examples=40, suppress_health_check=slow
)
settings.register_profile(
    "long", deadline=None, database=None, max_examples=5000, suppress_health_check=slow, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

LONGEST = 10.0
"""Seconds in which any input is read or refused."""

MORE_MEMORY = 500 * 10**6
"""Bytes beyond those of the process that any input may take."""

_CHANGES = {"os.rename": 2, "os.link": 2, "os.symlink": 2, "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1}
"""Events of Python's audit that change a folder, and how many paths each names."""

_written: list[str] | None = None


def _note(event: str, args: tuple[Any, ...]) -> None:
    """Remember the paths that are written, while somebody asks for them."""
    if _written is None:
        return
    if event == "open":
        path, mode, flags = args
        opens = any(letter in mode for letter in "wax+") if isinstance(mode, str) else False
        if isinstance(path, str | bytes | os.PathLike) and (
            opens or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        ):
            _written.append(os.fsdecode(path))
    elif event in _CHANGES:
        _written.extend(
            os.fsdecode(path)
            for path in args[: _CHANGES[event]]
            if isinstance(path, str | bytes | os.PathLike)
        )


def _own_place(path: str) -> Path:
    """Where a path lies, without following it if it is a link itself."""
    return Path(path).absolute().parent.resolve() / Path(path).name


@contextlib.contextmanager
def memory_bounded() -> Iterator[None]:
    """On Linux what takes `MORE_MEMORY` more than this process has now cannot be made, and ends the test."""
    pages = Path("/proc/self/statm")
    if resource is None or not pages.exists():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(pages.read_text(encoding="utf-8").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + MORE_MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="session")
def contained() -> Callable[..., AbstractContextManager[None]]:
    """Return the maker of blocks that write nothing outside some folders, within `LONGEST` and `MORE_MEMORY`."""
    sys.addaudithook(_note)

    @contextlib.contextmanager
    def block(*folders: Path) -> Iterator[None]:
        global _written
        allowed = [folder.resolve() for folder in folders]
        _written, start = [], time.monotonic()
        try:
            with memory_bounded():
                yield
        finally:
            written, seconds, _written = _written, time.monotonic() - start, None
        outside = {
            path
            for path in written
            if "__pycache__" not in path
            and path != os.devnull
            and not any(_own_place(path).is_relative_to(folder) for folder in allowed)
        }
        assert not outside
        assert seconds < LONGEST

    return block


@pytest.fixture(scope="session")
def peak_memory() -> Callable[[Callable[[], object]], int]:
    """Return what measures the bytes that a call takes at most beyond those of the process, whoever takes them.

    Python, NumPy, torch and Pillow take memory in different ways; the system sees all of it (VmHWM, on Linux).
    """
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux tells the most memory that a process had in a while")

    def most() -> int:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

    def measure(call: Callable[[], object]) -> int:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = most()
        call()
        return most() - before

    return measure


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Allow `MORE_MEMORY` more than this process has now."""
    with memory_bounded():
        yield
