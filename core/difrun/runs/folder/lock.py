"""One process at a time works on a run folder: a file says which."""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from difrun.errors import DifrunError

NAME = "run.lock"
WRITING = 10.0
"""Seconds after which an empty lock is not one that is being written; without hard links there are such."""

_ours: dict[Path, int] = {}  # lock -> the thread of this process that holds it


@contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder. Raises DifrunError, naming the holder, when another process or thread has it.

    Whoever holds it may ask again: it is given back where it was taken first.
    The lock of a process that is gone is taken over. Where no lock can be written, such as on a full disk, there is
    none: the run's own files then say what is wrong.
    """
    lock = folder.resolve() / NAME
    if _ours.get(lock) == threading.get_ident():
        yield
        return
    taken = _take(lock)
    if taken:
        _ours[lock] = threading.get_ident()
    try:
        yield
    finally:
        if taken:
            _ours.pop(lock, None)
            lock.unlink(missing_ok=True)


def refuse_if_held(folder: Path) -> None:
    """Raise DifrunError when another process works on the run folder."""
    lock = folder.resolve() / NAME
    if lock.is_file() and not _is_stale(lock, _read(lock)):
        raise _refusal(lock)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While one process looks at the lock and takes it, others wait, where the system has a means for that."""
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _take(lock: Path) -> bool:
    with _alone(lock.parent):
        taken = _taken(lock)
        for left in lock.parent.glob(f".{NAME}.*.new.part"):  # of who was killed while it took the lock
            with contextlib.suppress(OSError):
                left.unlink()
        return taken


def _taken(lock: Path) -> bool:
    pid = os.getpid()
    own = {"pid": pid, "host": socket.gethostname(), "born": _born(pid), "since": time.time()}
    for _ in range(3):
        try:
            _put(lock, json.dumps(own))
        except FileExistsError:
            holder = _read(lock)
            if not _is_stale(lock, holder):
                raise _refusal(lock) from None
            _remove(lock, holder)
        except OSError:
            refuse_if_held(lock.parent)
            return False
        else:
            return True
    raise _refusal(lock)


def _put(lock: Path, text: str) -> None:
    """Make the lock, where there are hard links with its text from the first moment on: who is killed leaves none."""
    part = lock.with_name(f".{NAME}.{os.getpid()}.new.part")
    try:
        part.write_text(text, encoding="utf-8")
        try:
            os.link(part, lock)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            _write_new(lock, text)
    finally:
        part.unlink(missing_ok=True)


def _write_new(file: Path, text: str) -> None:
    """Write a file that is not there yet, whole or not at all."""
    with open(file, "x", encoding="utf-8") as opened:
        try:
            opened.write(text)
            opened.flush()
        except BaseException:
            file.unlink(missing_ok=True)
            raise


def _remove(lock: Path, stale: dict[str, Any]) -> None:
    """Remove a stale lock; one that another process has just put in its place is put back."""
    aside = lock.with_name(f".{NAME}.{os.getpid()}.part")
    with contextlib.suppress(FileNotFoundError):
        os.rename(lock, aside)
        if _read(aside) != stale:
            with contextlib.suppress(OSError):
                os.link(aside, lock)
        aside.unlink()


def _read(lock: Path) -> dict[str, Any]:
    """What a lock says; nothing where it is being written or cannot be read."""
    try:
        found = json.loads(lock.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("pid"), int) else {}


def _is_stale(lock: Path, holder: dict[str, Any]) -> bool:
    """Whether the process that made the lock is known to be gone."""
    if not holder:
        with contextlib.suppress(OSError):
            return time.time() - lock.stat().st_mtime > WRITING
        return True
    if holder.get("host") != socket.gethostname():
        return False  # nobody can tell from here
    pid = holder["pid"]
    if pid == os.getpid():
        return lock not in _ours
    # Another process may have got the number since: it was born at another time.
    return not _alive(pid) or (holder.get("born") is not None and holder["born"] != _born(pid))


def _alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # os.kill would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _born(pid: int) -> str | None:
    """When a process began, in the system's own count; None where that cannot be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _refusal(lock: Path) -> DifrunError:
    holder = _read(lock)
    if not holder:
        return DifrunError(f"Another process works on the run in {lock.parent}. Wait for it, or stop it.")
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(holder.get("since", 0))))
    text = (
        f"Process {holder['pid']} on {holder.get('host', '?')} has worked on the run in {lock.parent} since {began}. "
        "Wait for it, or stop it."
    )
    elsewhere = holder.get("host") != socket.gethostname() or os.name == "nt"
    return DifrunError(f"{text} If it is gone, remove {lock}." if elsewhere else text)
