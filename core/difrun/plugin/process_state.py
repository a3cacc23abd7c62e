"""What belongs to the whole process, so that no plugin may change it: how it is read, compared and put back."""

import builtins
import contextlib
import locale
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

UNKNOWN = object()
"""A value that could not be read: it is neither compared nor put back."""

CORE = Path(__file__).resolve().parents[1]


@attrs.frozen
class Kept:
    """One thing that a plugin must leave as it is.

    Attributes:
        what: What it is, for a message.
        read: Returns its value.
        restore: Puts a value back.
        change: (before, after) -> what was changed, for the message; empty if nothing was.
        told: Whether a change is worth a message: it moves numbers or files of others.
    """

    what: str
    read: Callable[[], Any]
    restore: Callable[[Any], Any]
    change: Callable[[Any, Any], str] | None = None
    told: bool = True

    def now(self) -> Any:
        """Return its value; `UNKNOWN` if it cannot be read."""
        try:
            return self.read()
        except Exception:  # a folder that was removed, or a private function of torch that is gone
            return UNKNOWN

    def put_back(self, before: Any) -> str:
        """Restore a value if it is another one now, and return what was changed; empty for nothing to tell."""
        after = self.now()
        if before is UNKNOWN or after is UNKNOWN:
            return ""
        if self.change is not None:
            text = self.change(before, after)
        else:
            text = f"{self.what} to {after}" if after != before else ""
        if text:
            with contextlib.suppress(Exception):
                self.restore(before)
        return text if self.told else ""


def silently_equal(what: str) -> Callable[[Any, Any], str]:
    """Return a comparison whose message does not say the new value, which is pages long or means nothing."""
    return lambda before, after: what if after != before else ""


def _changed_variables(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The variables that were there and are not the same, and new ones that difrun would read."""
    changed = [name for name, value in before.items() if after.get(name) != value]
    return changed + [name for name in after if name.startswith("DIFRUN_") and name not in before]


def _change_of_environment(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    names = sorted(_changed_variables(before, after))
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"the environment ({', '.join(names[:3])}{more})"


def _restore_environment(before: Mapping[str, str]) -> None:
    for name in _changed_variables(before, dict(os.environ)):
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]


def _errors_from_warnings() -> list[Any]:
    return [entry for entry in warnings.filters if entry[0] == "error"]


def _restore_warnings(before: list[Any]) -> None:
    warnings.filters[:] = [  # type: ignore[index]
        entry for entry in warnings.filters if entry[0] != "error" or entry in before
    ]


def _mask() -> int:
    mask = os.umask(0o077)  # it can only be read by setting it; for that moment to the strictest one
    os.umask(mask)
    return mask


def _handlers() -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGPIPE", "SIGCHLD")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return {number: signal.getsignal(number) for number in numbers}


def _restore_handlers(before: Mapping[int, Any]) -> None:
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _alarm_is_set() -> bool:
    return hasattr(signal, "getitimer") and signal.getitimer(signal.ITIMER_REAL)[0] > 0


def _stop_alarm(before: bool) -> None:
    if not before:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _functions_of_python() -> dict[str, Any]:
    return {name: value for name, value in vars(builtins).items() if name != "_"}


def _change_of_python(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    names = [name for name, value in before.items() if after.get(name) is not value]
    return f"Python's own {', '.join(sorted(names)[:3])}" if names else ""


def _change_of_path(before: list[str], after: list[str]) -> str:
    return "the path of modules" if any(place not in after for place in before) else ""


def _restore_path(before: list[str]) -> None:
    sys.path[:] = [*before, *(place for place in sys.path if place not in before)]


def _modules_of_core() -> dict[str, Any]:
    return {name: module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "difrun"}


def _is_of_core(module: Any) -> bool:
    """Whether a module was loaded from the folder of the core, or made by a test in its place."""
    file = getattr(module, "__file__", None)
    return isinstance(module, ModuleType) and file is not None and CORE in Path(file).resolve().parents


def _replaced_modules(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    replaced = [name for name, module in before.items() if after.get(name) is not module]
    return replaced + [name for name in after if name not in before and not _is_of_core(after[name])]


def _change_of_core(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    names = sorted(_replaced_modules(before, after))
    return f"modules of difrun itself ({', '.join(names[:3])})" if names else ""


def _restore_core(before: Mapping[str, Any]) -> None:
    for name in _replaced_modules(before, _modules_of_core()):
        if name in before:
            sys.modules[name] = before[name]
        else:
            del sys.modules[name]


def _root_logger() -> tuple[list[Any], int, int]:
    if "logging" not in sys.modules:
        return [], 30, 0
    root = sys.modules["logging"].getLogger()
    return list(root.handlers), root.level, root.manager.disable


def _restore_root_logger(before: tuple[list[Any], int, int]) -> None:
    root = sys.modules["logging"].getLogger()
    root.handlers[:], root.level, root.manager.disable = list(before[0]), before[1], before[2]
    root.manager._clear_cache()


ALWAYS = (
    Kept("the working folder", os.getcwd, os.chdir),
    Kept("the environment", lambda: dict(os.environ), _restore_environment, _change_of_environment),
    Kept("Python's recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    Kept("Python's limit of digits", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    Kept(
        "the filters of warnings",
        _errors_from_warnings,
        _restore_warnings,
        lambda before, after: (
            "the filters of warnings, which became errors"
            if any(entry not in before for entry in after)
            else ""
        ),
    ),
)
"""What neither an import nor a call may change."""

AT_IMPORT = (
    Kept("the permissions of new files", _mask, os.umask, silently_equal("the permissions of new files")),
    Kept("the handlers of signals", _handlers, _restore_handlers, silently_equal("the handlers of signals")),
    Kept("the alarm clock", _alarm_is_set, _stop_alarm, silently_equal("the alarm clock of the process")),
    Kept(
        "Python's own functions",
        _functions_of_python,
        lambda before: vars(builtins).update(before),
        _change_of_python,
    ),
    Kept("the path of modules", lambda: list(sys.path), _restore_path, _change_of_path),
    Kept("modules of difrun", _modules_of_core, _restore_core, _change_of_core),
    Kept(
        "the locale",
        lambda: locale.setlocale(locale.LC_ALL),
        lambda before: locale.setlocale(locale.LC_ALL, before),
    ),
    Kept(
        "the root logger", _root_logger, _restore_root_logger, silently_equal("the root logger"), told=False
    ),
)
"""What an import may not change either. A component at work may handle signals, and import modules."""
