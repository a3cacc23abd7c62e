"""Rules for what listens to events."""

import contextlib
import functools
import itertools
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from difrun.plugin.signatures import misfits
from difrun.testing.events import Event, Told, comparison, later_work, stopped_and_resumed, whole_run
from difrun.testing.rules import check
from difrun.testing.verdict import NotTried, ensure
from difrun.text import listed


@check("logger", declares=True)
def asks_for_what_its_events_offer(package: Any) -> None:
    """Each implementation of an event names only values that this event offers."""
    wrong = _misfits(package)
    ensure(not wrong, "; ".join(wrong), "names of docs/arguments.md")


@check("logger")
def hears_every_event_without_an_error(package: Any) -> None:
    """No event raises: of a run, one that is stopped and resumed, one that fails, later work on it, a comparison."""
    faults, _ = _told(package)
    ensure(not faults, "; ".join(faults), "no error, whatever it is told")


@check("logger")
def writes_only_about_the_run_under_way(package: Any) -> None:
    """What is in the folder of a run stays as it is when another run in the same process is told of."""
    _, changed = _told(package)
    ensure(not changed, f"a second run changed {listed(changed)} of the first", "files as that run left them")


@functools.lru_cache(maxsize=8)
def _told(package: Any) -> tuple[list[str], list[str]]:
    """What raises when a package is told of all events, and which files of the first run change when others follow.

    It is told once for all rules, because a logger may well keep something from one run to the next.

    Raises:
        NotTried: If the signature of an implementation is wrong.
    """
    if _misfits(package):
        raise NotTried("a signature is wrong: see asks_for_what_its_events_offer")
    faults: list[str] = []
    registry = package.registry.for_trial(faults.append)
    settings = {name: cls() for name, cls in registry.settings.items()}

    def tell(*parts: Iterable[Event]) -> None:
        for event, values in itertools.chain(*parts):
            registry.emit(event, settings=settings, **values)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, contextlib.chdir(name):
        place = Path(name)
        first = Told(place / "first")
        tell(whole_run(first), later_work(first))
        before = _contents(first.folder)
        tell(
            whole_run(Told(place / "second")),
            stopped_and_resumed(Told(place / "third")),
            comparison(place / "fourth"),
        )
        after = _contents(first.folder)
    return faults, sorted(file for file in before | after if before.get(file) != after.get(file))


def _misfits(package: Any) -> list[str]:
    """What is wrong with the signatures of the implementations of events."""
    return [
        f"{event}: {fault}"
        for plugin in package.plugins
        for event, function in package.registry.listening(plugin)
        for fault in misfits(event, function)
    ]


def _contents(folder: Path) -> dict[str, bytes]:
    """The files in a folder, by their place in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
