"""Where a run that was opened from its folder may write."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_only: ContextVar[Path | None] = ContextVar("only", default=None)


@contextmanager
def writing_only_in(folder: Path) -> Iterator[None]:
    """While the block runs, `allowed` allows nothing outside a folder.

    A run.toml names the folder of a cache. If a stranger wrote it, that folder is not one that the user chose.
    """
    token = _only.set(folder)
    try:
        yield
    finally:
        _only.reset(token)


def allowed(path: Path) -> Path:
    """Return `path`, or a file of the same name in the folder of the run if `path` may not be written.

    Whoever writes a file that options name, such as a cache, asks here. A file that exists may be read from anywhere.
    """
    folder = _only.get()
    if folder is None or path.resolve().is_relative_to(folder.resolve()):
        return path
    return folder / "cache" / path.name
