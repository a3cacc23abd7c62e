"""The plugins that listen to the events of a run: how they are called, and the class of their options."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from difrun.api import KINDS
from difrun.options.attrs_fields import fields
from difrun.plugin import hooks, signatures
from difrun.plugin.arguments import RUNS
from difrun.plugin.containment import TookTooLong, contained, limited, watching_for_interrupts
from difrun.plugin.packages import Plugin
from difrun.text import did_you_mean, in_one_line

RESERVED = (*KINDS, "metrics", "train", "sample", "data", "versions", "yours")
"""Names that no plugin may have whose logger has options, because they stand for parts of every run."""


MOST_SECONDS = 120.0
"""How long a plugin may take for one event, before it is taken to hang."""


@attrs.define
class Listeners:
    """The implementations of events, in the order in which the plugins were loaded."""

    _pairs: dict[str, list[tuple[Plugin, Any]]] = attrs.field(factory=dict, alias="pairs")

    def add(self, implementations: Mapping[str, list[tuple[Plugin, Any]]]) -> None:
        """Add what one plugin implements: event -> (plugin, implementation)."""
        for event, pairs in implementations.items():
            self._pairs.setdefault(event, []).extend(pairs)

    def copy(self) -> "Listeners":
        """Return the same listeners: one that raises in the copy is dropped there alone."""
        return Listeners({event: list(pairs) for event, pairs in self._pairs.items()})

    def of(self, plugin: Plugin) -> bool:
        """Whether a plugin listens to any event."""
        return bool(self.functions_of(plugin))

    def functions_of(self, plugin: Plugin) -> list[tuple[str, Callable[..., Any]]]:
        """Return the implementations of a plugin, each with its event, in the order of a run."""
        return [
            (event, implementation.function)
            for event in hooks.EVENTS
            for listener, implementation in self._pairs.get(event, ())
            if listener is plugin
        ]

    def hears(self, event: str) -> bool:
        """Whether any plugin listens to an event."""
        return bool(self._pairs.get(event))

    def emit(self, event: str, values: Mapping[str, Any], report: Callable[[str], Any]) -> None:
        """Call the implementations of an event one by one, whatever they do.

        One that raises is reported and not called again. One that does not come to an end is stopped after
        `MOST_SECONDS`, and its plugin hears no more events. What one changes of the process, such as torch's defaults,
        is put back. If the user presses Ctrl-C meanwhile, the others hear the event all the same; KeyboardInterrupt is
        raised after that.

        Args:
            event: The name of its hook.
            values: Its values on offer, by name; ``settings`` maps the name of a plugin to the options of its logger.
            report: Called with a sentence for each implementation that raises.
        """
        if event not in hooks.EVENTS:
            raise NameError(f"there is no event {event}.{did_you_mean(event, hooks.EVENTS)}")
        stop: BaseException | None = None
        for pair in list(self._pairs.get(event, ())):
            plugin, implementation = pair
            if pair not in self._pairs[event]:  # its plugin was left out meanwhile
                continue
            if _is_of_no_concern(implementation.function, values):
                continue
            # Copies: what one listener writes into them is no matter of the others, or of the run.
            copies = {name: _copied(value) for name, value in values.items()}
            offered = {**copies, "settings": values.get("settings", {}).get(plugin.name)}
            with watching_for_interrupts() as interrupted:
                try:
                    with contained(), limited(MOST_SECONDS):
                        signatures.call(event, implementation.function, offered)
                except TookTooLong:
                    self._leave_out(plugin)
                    took = f"was stopped after {MOST_SECONDS:g} s"
                    report(f"{event} of {plugin.dist} {took}; the plugin hears no more events")
                except BaseException as error:
                    if interrupted():
                        stop = error
                        continue
                    self._pairs[event].remove(pair)
                    report(f"{event} of {plugin.dist} failed and is not called again: {in_one_line(error)}")
        if stop is not None:
            raise stop

    def _leave_out(self, plugin: Plugin) -> None:
        for event, pairs in self._pairs.items():
            self._pairs[event] = [pair for pair in pairs if pair[0] is not plugin]


def _copied(value: Any) -> Any:
    """A copy of a mapping and of all in it; anything else as it is."""
    if isinstance(value, signatures.Lazy):
        return signatures.Lazy(lambda: _copied(value.make()))
    return copy.deepcopy(value) if isinstance(value, dict) else value


def settings_of(plugin: Plugin, settings: Any) -> type:
    """Return the class of the options of a logger.

    Raises:
        TypeError: If it is no class of options.
        ValueError: If the name of the plugin stands for a part of every run.
    """
    if not isinstance(settings, type) or not attrs.has(settings):
        raise TypeError(f"{hooks.SETTINGS} returns an attrs class of options, not {settings!r}")
    fields(settings)
    if plugin.name in RESERVED:
        raise ValueError(
            f"the options of {plugin.dist} would be those of '{plugin.name}', a part of every run"
        )
    return settings


def _is_of_no_concern(target: Callable[..., Any], values: Mapping[str, Any]) -> bool:
    """Whether an event is about work that is no whole run, and a listener does not ask which work it is."""
    return values.get("work", RUNS[0]) not in RUNS and not signatures.asks_for(target, "work")
