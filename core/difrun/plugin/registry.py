"""Find the installed plugins and what they offer, without importing what they implement.

Discovery has two phases. First every entry point of the group ``difrun`` becomes a row in `Registry.plugins`. Then its
module is imported and its hooks are called. Whatever goes wrong there is noted on that row (`status` "broken", `error`,
`trace`) and does not affect any other plugin.
"""

import importlib
import importlib.metadata
import itertools
import os
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
import pluggy

from difrun.api import KINDS, Component
from difrun.errors import ConfigError, DifrunError
from difrun.options.attrs_fields import fields
from difrun.options.parsing import shown_briefly
from difrun.plugin import hooks, own
from difrun.plugin.compatibility import unmet_requirements
from difrun.plugin.containment import contained, watching_for_interrupts
from difrun.plugin.events import Listeners, settings_of
from difrun.plugin.packages import (
    GROUP,
    Plugin,
    installed,
    names_of,
    not_found,
    wanted_names,
)
from difrun.plugin.registered import Registered
from difrun.text import did_you_mean, in_one_line, listed

MOST_COMPONENTS = 1000
"""The most components that one hook of a plugin may offer; further ones are left out."""


@attrs.define
class Registry:
    """The installed plugins and the components they offer. `discover` makes one, and `get_registry` shares it.

    Attributes:
        plugins: A row for each installed plugin.
        report: Called with one line of text when an event hook of a plugin raises.
        given: (kind, name) -> a component of the user's that stands for a name in one run.toml (`with_given`).
        settings: Name of a plugin -> the class of the options of its logger.
    """

    plugins: list[Plugin] = attrs.field(factory=list)
    report: Callable[[str], None] = lambda text: warnings.warn(text, RuntimeWarning, stacklevel=3)
    given: dict[tuple[str, str], Registered] = attrs.field(factory=dict)
    _entries: list[Registered] = attrs.field(factory=list, alias="entries")
    _formats: list[Registered] = attrs.field(factory=list, alias="formats")
    settings: dict[str, type] = attrs.field(factory=dict)
    _listeners: Listeners = attrs.field(factory=Listeners, alias="listeners")

    @classmethod
    def discover(cls, only: str | Iterable[str] | None = None, strict: bool | None = None) -> "Registry":
        """Load the core's own components and every installed plugin.

        Args:
            only: Names of the entry points or distributions to load; a text is split at commas.
                Default: DIFRUN_PLUGINS, else all.
            strict: Raise for a broken plugin, instead of keeping it as a row. Default: DIFRUN_STRICT.

        Raises:
            DifrunError: If a name in `only` is not installed, or, if strict, a plugin is broken.
        """
        if only is None:
            only = os.environ.get("DIFRUN_PLUGINS") or None
        if strict is None:
            strict = os.environ.get("DIFRUN_STRICT", "").lower() not in ("", "0", "false", "no")
        registry = cls()
        core = Plugin("builtin", "difrun", importlib.metadata.version("difrun"), "difrun.builtin")
        loaders: list[tuple[Plugin, Callable[[], Any] | None]] = [
            (core, lambda: importlib.import_module("difrun.builtin"))
        ]
        loaders += [(plugin, point.load if point else None) for plugin, point in installed()]
        wanted = wanted_names(only, [plugin for plugin, _ in loaders])
        for plugin, load in loaders:
            registry.plugins.append(plugin)
            if plugin is not core and wanted is not None and not wanted & names_of(plugin):
                plugin.status = "disabled"
            elif load is not None:
                registry._load(plugin, load, strict)
            elif strict:
                raise _broken(plugin)
        clashing = registry.clashes
        registry._entries = [
            attrs.evolve(entry, ambiguous=(entry.kind, entry.name) in clashing) for entry in registry._entries
        ]
        return registry

    def _load(self, plugin: Plugin, load: Callable[[], Any], strict: bool) -> None:
        """Import a plugin and add what it offers; note on its row what goes wrong."""
        with watching_for_interrupts() as interrupted:
            try:
                with contained(plugin.changes.append, at_import=True):
                    self._add(plugin, load())
            # A plugin may raise anything, SystemExit included; `difrun doctor` must still run.
            except BaseException as error:
                if interrupted():
                    raise
                plugin.status, plugin.error = "broken", in_one_line(error)
                plugin.trace = "".join(traceback.format_exception(error))
                if strict:
                    raise _broken(plugin) from error

    def _add(self, plugin: Plugin, module: Any) -> None:
        """Add what one plugin offers: all of it, or, if anything is wrong, nothing."""
        # One manager per plugin, because pluggy keeps half of a registration that failed.
        manager = pluggy.PluginManager(GROUP)
        manager.add_hookspecs(hooks)
        manager.register(module, plugin.dist)
        kind_of = {hook: kind for kind, hook in KINDS.items()}
        entries: list[Registered] = []
        formats: list[Registered] = []
        listeners: dict[str, list[tuple[Plugin, Any]]] = {}
        settings: dict[str, type] = {}
        for caller in manager.get_hookcallers(module) or []:
            for implementation in caller.get_hookimpls():
                if implementation.wrapper or implementation.hookwrapper:
                    raise TypeError(f"{caller.name} is a hook wrapper; difrun calls each plugin by itself")
                if implementation.optionalhook and not caller.has_spec():
                    continue
                if caller.name in kind_of:
                    entries += _components(
                        plugin, kind_of[caller.name], caller.name, implementation.function()
                    )
                elif caller.name == hooks.FORMATS:
                    formats += _components(plugin, "format", caller.name, implementation.function())
                elif caller.name in hooks.EVENTS:
                    listeners.setdefault(caller.name, []).append((plugin, implementation))
                elif caller.name == hooks.SETTINGS:
                    settings[plugin.name] = settings_of(plugin, implementation.function())
                else:
                    known = [*KINDS.values(), hooks.FORMATS, *hooks.EVENTS, hooks.SETTINGS]
                    raise NameError(f"there is no hook {caller.name}.{did_you_mean(caller.name, known)}")
        taken = {(entry.kind, entry.qualified) for entry in [*self._entries, *self._formats]}
        for entry in [*entries, *formats]:
            if (entry.kind, entry.qualified) in taken:
                raise ValueError(f"{plugin.dist} offers {entry.kind} '{entry.name}' twice")
            taken.add((entry.kind, entry.qualified))
        self._entries += entries
        self._formats += formats
        self.settings |= settings
        self._listeners.add(listeners)

    @property
    def broken(self) -> list[Plugin]:
        """The plugins that could not be loaded."""
        return [plugin for plugin in self.plugins if plugin.status == "broken"]

    @property
    def clashes(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """(kind, name) -> qualified names, for each name that several plugins offer."""
        groups: dict[tuple[str, str], list[str]] = {}
        for entry in self._entries:
            groups.setdefault((entry.kind, entry.name), []).append(entry.qualified)
        return {pair: tuple(sorted(group)) for pair, group in groups.items() if len(group) > 1}

    def listening(self, plugin: Plugin) -> list[tuple[str, Callable[..., Any]]]:
        """The implementations of events of a plugin, each with its event."""
        return self._listeners.functions_of(plugin)

    def listens(self, plugin: Plugin) -> bool:
        """Whether a plugin listens to any event."""
        return self._listeners.of(plugin)

    def entries(self, kind: str | None = None) -> list[Registered]:
        """The components of one kind (of all kinds), by name."""
        entries = [entry for entry in self._entries if kind in (None, entry.kind)]
        return sorted(
            entries, key=lambda entry: (list(KINDS).index(entry.kind), entry.name, entry.plugin.dist)
        )

    def declared(self, kind: str) -> list[Registered]:
        """The components of one kind as they were declared, the core's first: the order in which a run reports them."""
        return [entry for entry in self._entries if entry.kind == kind]

    def names(self, kind: str) -> list[str]:
        """What `get` accepts for one kind: a name, or ``dist:name`` where two plugins offer the name."""
        return [entry.label for entry in self.entries(kind)]

    def get(self, kind: str, name: str) -> Registered:
        """The component called ``name`` or ``dist:name``, or a class of the user's called ``module:Class``.

        Raises:
            ConfigError: If there is no such kind, if no component has the name, or if several have it.
        """
        if kind not in KINDS:
            raise ConfigError(f"There is no kind of component called '{kind}'.{did_you_mean(kind, KINDS)}")
        entries = self.entries(kind)
        named = [entry for entry in entries if name in (entry.name, entry.qualified)]
        if len(named) == 1:
            return named[0]
        if named:
            choices = listed([entry.qualified for entry in named], last=" or ")
            raise ConfigError(f"Several plugins offer {kind} '{name}': write {choices}.")
        if (kind, name) in self.given:
            return self.given[kind, name]
        names = [entry.qualified if ":" in name else entry.label for entry in entries]
        guess, where = not_found(name, names, self.plugins, kind)
        if own.is_path(name) and not where:
            return own.by_path(self, kind, name, guess)
        text = f"No {kind} is called '{shown_briefly(name)}'.{guess}"
        raise ConfigError(f"{text} Installed: {listed(self.names(kind)) or 'none'}.{where}")

    def formats(self) -> list[Registered]:
        """The formats in which the model of a run can be written, by name."""
        return sorted(self._formats, key=lambda entry: (entry.name, entry.plugin.dist))

    def format(self, name: str) -> Registered:
        """The format called ``name`` or ``dist:name``. Raises ConfigError if there is none, or several."""
        named = [entry for entry in self.formats() if name in (entry.name, entry.qualified)]
        if len(named) == 1:
            return named[0]
        if named:
            choices = listed([entry.qualified for entry in named], last=" or ")
            raise ConfigError(f"Several plugins offer format '{name}': write {choices}.")
        known = [entry.name for entry in self.formats()]
        guess, where = not_found(name, known, self.plugins, "format")
        raise ConfigError(
            f"There is no format '{shown_briefly(name)}'.{guess} Installed: {listed(known)}.{where}"
        )

    def compatible(self, kind: str, chosen: Mapping[str, Any]) -> list[str]:
        """Names of the components of one kind that fit with those chosen for the other kinds.

        A capability counts as provided if a component of a kind that is not chosen yet could provide it.

        Args:
            kind: The kind to look for.
            chosen: Kind -> `Registered`, or a sequence of them.
        """
        others = {other: picked for other, picked in chosen.items() if other != kind}
        return [
            entry.label
            for entry in self.entries(kind)
            if not unmet_requirements(self, {**others, kind: entry})
        ]

    def for_trial(self, report: Callable[[str], None]) -> "Registry":
        """The same components and listeners, with another `report`. A listener that raises is dropped there alone."""
        return attrs.evolve(self, report=report, listeners=self._listeners.copy())

    def hears(self, event: str) -> bool:
        """Whether a plugin listens to an event."""
        return self._listeners.hears(event)

    def emit(self, event: str, **values: Any) -> None:
        """Call an event's implementations one by one (`Listeners.emit`); `report` is told of those that raise."""
        self._listeners.emit(event, values, self.report)


def _broken(plugin: Plugin) -> DifrunError:
    return DifrunError(f"Plugin {plugin.name} ({plugin.dist} {plugin.version}) is broken: {plugin.error}")


_cached: Registry | None = None


def get_registry() -> Registry:
    """The registry of this process, discovered on first use."""
    global _cached
    if _cached is None:
        _cached = Registry.discover()
    return _cached


def refresh() -> Registry:
    """Discover again, after a plugin was installed or removed in a running session."""
    global _cached
    importlib.invalidate_caches()
    _cached = None
    return get_registry()


def _components(plugin: Plugin, kind: str, hook: str, items: Any) -> list[Registered]:
    entries = []
    for item in itertools.islice(items, MOST_COMPONENTS):  # a generator may never end
        if not isinstance(item, Component):
            raise TypeError(f"{hook} returned {item!r}; each item must be a difrun.api.Component")
        if not attrs.has(item.options):
            raise TypeError(f"the options of {kind} '{item.name}' are {item.options!r}, not an attrs class")
        # These two keys of a component's TOML table are the core's.
        for reserved in ("name", "predicts") if kind == "model" else ("name",):
            if reserved in [field.name for field in fields(item.options)]:
                raise ValueError(
                    f"{kind} '{item.name}' has an option called '{reserved}', which the core reserves"
                )
        entries.append(Registered(kind, item, plugin))
    return entries
