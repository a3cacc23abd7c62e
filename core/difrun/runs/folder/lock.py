"""A lock for one process at a time on a run folder, and a note of which process holds it."""

import contextlib
import json
import os
import socket
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from difrun.errors import DifrunError
from difrun.runs.folder.contents import LockNote
from difrun.runs.folder.schema import read_json, structure
from difrun.storage.regular import resolved

NAME = "run.lock"
"""The locked file. The system frees it when its process ends, however that ends."""

NOTE = "run.lock.json"
"""The process, host and time of the holder. They appear in the message of a refusal and decide nothing."""


@contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder while the block runs.

    The thread that holds the lock may take it again; the outermost block releases it. On a file system without locks,
    `filelock` falls back to a file that marks the lock. If no lock file can be made, as in a folder that cannot be
    written, the block runs without a lock, and the first file that it writes raises the error.

    Raises:
        DifrunError: If another process or thread holds the lock. The message names it.
    """
    path = resolved(folder) / NAME
    lock = FileLock(path, is_singleton=True)
    if lock.is_locked or not _acquire(lock, path):
        yield
    else:
        note = path.with_name(NOTE)
        try:
            with contextlib.suppress(OSError):
                _write_note(note)
            yield
        finally:
            # Removed while it is locked, so that no other process can take it in between.
            for file in (note, path):
                with contextlib.suppress(OSError):
                    file.unlink()
            lock.release()


def refuse_if_held(folder: Path) -> None:
    """Raise DifrunError if a process works on the run folder.

    The lock is taken for a moment to find out; another process that asks in that moment is refused.
    """
    path = resolved(folder) / NAME
    if path.is_file():
        lock = FileLock(path)
        if _acquire(lock, path):
            lock.release()


def _acquire(lock: BaseFileLock, path: Path) -> bool:
    """Take the lock; False if no lock file can be made. Raises DifrunError if another process holds it."""
    _refuse_what_is_no_lock(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # filelock warns when it falls back to a marker file
            lock.acquire(blocking=False)
    except Timeout:
        raise _refusal(path) from None
    except OSError:
        if path.is_file():  # another user's file, for example: whether it is locked is not known
            raise _refusal(path, unsure=True) from None
        return False
    return True


def _this_process() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}


def _write_note(note: Path) -> None:
    """Write the note into a new file: a link of its name is removed, not followed."""
    note.unlink(missing_ok=True)
    handle = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(_this_process(), file)


def _refuse_what_is_no_lock(path: Path) -> None:
    """Raise DifrunError for a link or a device in the place of the lock, which would be opened and emptied."""
    try:
        found = path.lstat()
    except OSError:
        return
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise DifrunError(f"{path} is a link or a device; expected a file that only difrun makes. Remove it.")


def _read_note(note: Path) -> dict[str, Any]:
    """The process, host and time in a note; empty if it is being written or cannot be read."""
    try:
        return structure(LockNote, read_json(note, most=2**16), note)
    except DifrunError:
        return {}


def _refusal(path: Path, unsure: bool = False) -> DifrunError:
    holder = _read_note(path.with_name(NOTE))
    if holder:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder["since"]))
        text = f"Process {holder['pid']} on {holder['host']} has worked on the run in {path.parent} since {since}."
    else:
        text = f"Another process works on the run in {path.parent}."
    text += " Wait for it, or stop it."
    if unsure or (holder and holder["host"] != socket.gethostname()):
        text += f" If it is gone, remove {path}."
    return DifrunError(text)
