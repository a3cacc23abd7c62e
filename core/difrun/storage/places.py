"""Where a run that was opened from its folder may write."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from difrun.storage.regular import resolved

_only: ContextVar[tuple[Path, ...]] = ContextVar("only", default=())


@contextmanager
def writing_only_in(folder: Path, *more: Path) -> Iterator[None]:
    """While the block runs, `allowed` allows nothing outside a folder, and outside others that the user names himself.

    A run.toml names the folder of a cache. If a stranger wrote it, that folder is not one that the user chose.
    """
    token = _only.set((folder, *more))
    try:
        yield
    finally:
        _only.reset(token)


def allowed(path: Path) -> Path:
    """Return `path`, or a file of the same name in the folder of the run if `path` may not be written.

    Whoever writes a file that options name, such as a cache, asks here. A file that exists may be read from anywhere.
    """
    folders = _only.get()
    if not folders or any(resolved(path).is_relative_to(resolved(folder)) for folder in folders):
        return path
    return folders[0] / "cache" / path.name
