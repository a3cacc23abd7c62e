"""Errors in the code of a plugin: which component failed, and where."""

import signal
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from difrun.config.plan import Plan
from difrun.errors import DifrunError, Interrupted, StoppedByUser, out_of_memory
from difrun.plugin.own_component import Own
from difrun.plugin.registry import Registered
from difrun.storage.atomic import advice
from difrun.text import in_one_line, quoted


@contextmanager
def blame_plugin(plan: Plan) -> Iterator[None]:
    """Turn an unexpected error in a plugin's code into a DifrunError that names the component."""
    try:
        yield
    except DifrunError:
        raise
    except BaseException as error:
        named = named_fault(error, [chosen.entry for chosen in plan.components()])
        if named is None:
            raise
        raise named from error


def named_fault(error: BaseException, entries: Iterable[Registered]) -> DifrunError | None:
    """Return what a component raised as an error that names it; None if it is the user's, the core's or the memory's.

    A file that cannot be read or written may be the user's: then the component is named, and not blamed.
    """
    if is_by_user(error) or out_of_memory(error):
        return None
    entry = culprit(error, entries)
    if entry is None:
        return None
    if isinstance(error, OSError) and error.filename is None and not _raised_in(error, entry):
        return None  # a stream of the command, for example
    if isinstance(error, OSError) and error.filename is not None:
        reason = f"{entry}: {error.filename}: {error.strerror or type(error).__name__}."
        return DifrunError(f"{reason} {advice(error)}".rstrip())
    if isinstance(entry, Own):
        return DifrunError(f"{entry} failed: {where(error)}.")
    return DifrunError(
        f"{entry} failed: {where(error)}.\nThis is a fault of {entry.plugin.dist} {entry.plugin.version}: "
        "'difrun doctor --load' looks for more of them, and DIFRUN_DEBUG=1 shows the traceback."
    )


@contextmanager
def keeping_what_is_finished(folder: Path) -> Iterator[None]:
    """If the report of a finished run fails, say that nothing else is lost. An interruption passes through."""
    try:
        yield
    except Interrupted:
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, DifrunError | OSError) else where(error)
        raise DifrunError(
            f"the report cannot be written: {reason}\nThe run is finished, and its samples and metrics are saved. "
            f"'difrun report {quoted(folder)}' writes the report."
        ) from error


def is_by_user(error: BaseException) -> bool:
    """Return whether the user may have stopped the work with Ctrl-C: then it is no fault of any code.

    Where the command line answers signals, they raise `StoppedByUser`, and a plain KeyboardInterrupt is raised by code.
    """
    if not isinstance(error, KeyboardInterrupt):
        return False
    return isinstance(error, StoppedByUser) or signal.getsignal(signal.SIGINT) is signal.default_int_handler


def culprit(error: BaseException, entries: Iterable[Registered]) -> Registered | None:
    """Return the component of a plugin whose code raised an error; None if it was none of `entries`.

    The innermost function that is defined in a plugin's package decides. If there is none, the innermost method of an
    object of that package decides: if a plugin lacks a method, the traceback ends in the core's base class.
    """
    plugins = [entry for entry in entries if entry.plugin.dist != "difrun"]
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]
    for module_of in (_module_of_code, _module_of_object):
        for frame in frames:
            module = module_of(frame)
            suspects = [entry for entry in plugins if _package(entry.component.target) == _package(module)]
            # If the package has several components, the one that is defined in this module comes first.
            suspects.sort(key=lambda entry: entry.component.target.partition(":")[0] != module)
            if suspects:
                return suspects[0]
    return None


def _raised_in(error: BaseException, entry: Registered) -> bool:
    """Whether the innermost function is defined in the package of a component."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and _package(_module_of_code(frames[-1])) == _package(entry.component.target)


def where(error: BaseException) -> str:
    """Describe an error and its place: ``NotImplementedError in variance (schedule.py:118): text``."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{type(error).__name__} in {last.name} ({Path(last.filename).name}:{last.lineno})"
    return f"{text}: {in_one_line(error).partition(': ')[2]}".rstrip(": .\n")


def _module_of_code(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _module_of_object(frame: FrameType) -> str:
    return type(frame.f_locals.get("self")).__module__


def _package(name: str) -> str:
    return name.partition(":")[0].partition(".")[0]
