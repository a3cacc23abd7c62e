"""A logger for tests: it hears every event with all of its values."""

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from difrun.api import hookimpl
from difrun.plugin import get_registry
from difrun.plugin.arguments import EVENT_ARGUMENTS
from difrun.plugin.events import Listeners
from difrun.plugin.packages import Plugin

Heard = list[tuple[str, dict[str, Any]]]


def logger(heard: Heard, do: Callable[[str, dict[str, Any]], Any] = lambda event, values: None) -> Any:
    """A module that listens to every event and asks for all: it notes each in `heard`, then calls `do`."""

    def hear(event: str, values: dict[str, Any]) -> None:
        heard.append((event.removeprefix("difrun_"), values))
        do(event, values)

    module = types.ModuleType("recorder")
    for event, arguments in EVENT_ARGUMENTS.items():
        names = ", ".join(argument.name for argument in arguments)
        scope = {"hear": hear}
        exec(f"def {event}({names}): hear('{event}', locals())", scope)
        setattr(module, event, hookimpl(scope[event]))
    return module


@contextmanager
def listening(*modules: Any) -> Iterator[list[str]]:
    """These modules alone listen in this process, as plugins log1, log2, ...; gives what is reported of them."""
    registry, reported = get_registry(), []
    with (
        mock.patch.object(registry, "_listeners", Listeners()),
        mock.patch.object(registry, "settings", {}),
        mock.patch.object(registry, "report", reported.append),
    ):
        for number, module in enumerate(modules, start=1):
            registry._add(Plugin(f"log{number}", f"difrun-log{number}", "0", "recorder"), module)
        yield reported


def events(heard: Heard) -> list[str]:
    """The names of events, each once where it came several times in a row."""
    names = [event for event, _ in heard]
    return [name for name, before in zip(names, ["", *names], strict=False) if name != before]


def values(heard: Heard, event: str) -> list[dict[str, Any]]:
    """The values of every event of one name."""
    return [found for name, found in heard if name == event]
