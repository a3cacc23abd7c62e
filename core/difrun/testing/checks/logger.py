"""Rules for what listens to events."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from difrun.plugin.signatures import misfits
from difrun.testing.events import Event, Told, comparison, later_work, stopped_and_resumed, whole_run
from difrun.testing.rules import check
from difrun.testing.verdict import ensure
from difrun.text import listed


@check("logger", declares=True)
def asks_for_what_its_events_offer(package: Any) -> None:
    """Each implementation of an event names only values that this event offers."""
    wrong = [
        fault
        for plugin in package.plugins
        for event, function in package.registry.listening(plugin)
        for fault in misfits(event, function)
    ]
    ensure(not wrong, "; ".join(wrong), "names of docs/arguments.md")


@check("logger")
def hears_every_event_without_an_error(package: Any) -> None:
    """No event raises: of a run, one that is stopped and resumed, one that fails, later work on it, a comparison."""
    with _in_an_empty_folder() as place:
        first, second = Told(place / "first"), Told(place / "second")
        _tell(
            package,
            whole_run(first),
            later_work(first),
            stopped_and_resumed(second),
            comparison(place / "third"),
        )


@check("logger")
def writes_only_about_the_run_under_way(package: Any) -> None:
    """Two runs in one process: what is in the folder of the first stays as it is when the second is told of."""
    with _in_an_empty_folder() as place:
        first, second = Told(place / "first"), Told(place / "second")
        _tell(package, whole_run(first))
        before = _contents(first.folder)
        _tell(package, whole_run(second))
        after = _contents(first.folder)
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    ensure(
        not changed,
        f"the second run changed {listed(changed)} of the first",
        "files as the first run left them",
    )


def _tell(package: Any, *parts: Iterable[Event]) -> None:
    """Tell a package of events, with the default options of its loggers; any that raises breaks the rule."""
    faults: list[str] = []
    registry = package.registry.for_trial(faults.append)
    settings = {name: cls() for name, cls in registry.settings.items()}
    for part in parts:
        for event, values in part:
            registry.emit(event, settings=settings, **values)
    ensure(not faults, "; ".join(faults), "no error, whatever it is told")


@contextlib.contextmanager
def _in_an_empty_folder() -> Iterator[Path]:
    """Work in a new folder, which is removed afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, contextlib.chdir(place):
        yield Path(place)


def _contents(folder: Path) -> dict[str, bytes]:
    """The files in a folder, by their place in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
