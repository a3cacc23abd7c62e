"""Errors in the code of a plugin: whose it is, and where."""

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from difrun.config.plan import Plan
from difrun.errors import DifrunError, out_of_memory
from difrun.plugin.registry import Registered


@contextmanager
def blame_plugin(plan: Plan) -> Iterator[None]:
    """Turn what a component of a plugin raises by mistake into a DifrunError that names it, caused by the error."""
    try:
        yield
    except (DifrunError, OSError):
        raise
    except Exception as error:
        entry = culprit(error, [chosen.entry for chosen in plan.components()])
        if entry is None or out_of_memory(error):
            raise
        raise DifrunError(
            f"{entry} failed: {where(error)}.\nThis is a fault of {entry.plugin.dist} {entry.plugin.version}: "
            "'difrun doctor --load' looks for more of them, and DIFRUN_DEBUG=1 shows the traceback."
        ) from error


def culprit(error: BaseException, entries: Iterable[Registered]) -> Registered | None:
    """Return the component of a plugin in whose code an error arose; None where it was none of `entries`.

    The innermost function of a plugin's package decides. If there is none, the innermost method of one of its objects
    does: for a method that the plugin should have written, the traceback shows the one of the core.
    """
    plugins = [entry for entry in entries if entry.plugin.dist != "difrun"]
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]
    for module_of in (_module_of_code, _module_of_object):
        for frame in frames:
            module = module_of(frame)
            found = [entry for entry in plugins if _package(entry.component.target) == _package(module)]
            # Of several components of one package the one that is defined there.
            found.sort(key=lambda entry: entry.component.target.partition(":")[0] != module)
            if found:
                return found[0]
    return None


def where(error: BaseException) -> str:
    """Describe an error and its place: ``NotImplementedError in variance (schedule.py:118): text``."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{type(error).__name__} in {last.name} ({Path(last.filename).name}:{last.lineno})"
    return f"{text}: {error}".rstrip(": .\n")


def _module_of_code(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _module_of_object(frame: FrameType) -> str:
    return type(frame.f_locals.get("self")).__module__


def _package(name: str) -> str:
    return name.partition(":")[0].partition(".")[0]
