"""Installed distributions that contain plugins: how to find them, which to load, and which plugin is missing."""

import email
import importlib.metadata
import re
from collections.abc import Iterable
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path

import attrs

from difrun.errors import ConfigError, DifrunError
from difrun.plugin.known import PLUGINS, install, offering, similar
from difrun.storage.regular import read_bounded
from difrun.text import clipped, closest, did_you_mean, in_one_line, listed

GROUP = "difrun"
_GROUP_LINE = re.compile(rf"^\s*\[\s*{GROUP}\s*\]", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9.!+_-]{1,100}")
_VALUE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(\s*:\s*[^\W\d]\w*(\.[^\W\d]\w*)*)?\s*(\[[\w, .-]*\])?")

MOST_OF_METADATA = 2**22
"""The most bytes of a file of metadata that is read."""

MOST_PLUGINS = 20
"""The most plugins of one distribution."""


@attrs.define
class Plugin:
    """One installed plugin.

    Attributes:
        name: The name of its entry point.
        dist: The distribution it comes from.
        version: The version of the distribution.
        module: The module that the entry point names.
        status: "ok", "broken" or "disabled" (by DIFRUN_PLUGINS).
        error: Why it is broken, in one line.
        trace: The traceback of that error.
        changes: What it changed of the process when it was imported; all of it was restored.
    """

    name: str
    dist: str
    version: str
    module: str
    status: str = "ok"
    error: str = ""
    trace: str = ""
    changes: list[str] = attrs.field(factory=list, eq=False)


def installed() -> list[tuple[Plugin, EntryPoint | None]]:
    """The installed plugins before they are loaded, sorted by distribution and name, each with its entry point.

    A distribution that is on the path twice counts once. One whose metadata cannot be read is broken, and has None.
    """
    plugins: dict[tuple[str, str], tuple[Plugin, EntryPoint | None]] = {}
    for distribution in importlib.metadata.distributions():
        for plugin, point in _plugins_in(distribution):
            plugins.setdefault((plugin.dist, plugin.name), (plugin, point))
    return [plugins[key] for key in sorted(plugins)]


def _plugins_in(distribution: Distribution) -> list[tuple[Plugin, EntryPoint | None]]:
    """The plugins of a distribution; none, without reading its metadata, if it has no entry point of difrun."""
    text = _text_of(distribution, "entry_points.txt")
    if text is None or not _GROUP_LINE.search(text):
        return []
    name, version = _name_and_version(distribution)
    points, fault = _points(distribution)
    fault = _fault_of_metadata(name, version) or fault
    dist = canonical(name) if _NAME.fullmatch(name) else (points[0].name if points else "?")
    if points and not fault:
        return [(Plugin(point.name, dist, version, point.value), point) for point in points]
    module = points[0].value if points else "?"
    shown = clipped(dist)
    return [(Plugin(shown, shown, clipped(version) or "?", clipped(module), "broken", fault, fault), None)]


def _text_of(distribution: Distribution, name: str) -> str | None:
    """The text of a file of the metadata; None if it has none, or what is there is no file of text."""
    try:
        folder = getattr(distribution, "_path", None)
        if isinstance(folder, Path):
            return read_bounded(folder / name, MOST_OF_METADATA).decode("utf-8")
        return distribution.read_text(name)
    except (UnicodeDecodeError, OSError, DifrunError):
        return None


def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    # Old distributions, and those that are installed from a folder, have PKG-INFO.
    text = _text_of(distribution, "METADATA") or _text_of(distribution, "PKG-INFO")
    if not text:
        return "", ""
    found = email.message_from_string(text)
    return str(found["Name"] or ""), str(found["Version"] or "")


def _fault_of_metadata(name: str, version: str) -> str:
    """What is wrong with the name or the version of a distribution; empty if nothing is."""
    if not name or not version:
        return "the metadata of its distribution have no name or no version"
    if not _NAME.fullmatch(name):
        return f"its distribution is called {name!a:.100}; expected letters, digits, '.', '-' and '_'"
    if not _VERSION.fullmatch(version):
        return f"the version of its distribution is {version!a:.100}; expected one such as 1.0"
    if canonical(name) == "difrun":
        return "its distribution is called difrun, which is the name of the core"
    return ""


def _points(distribution: Distribution) -> tuple[list[EntryPoint], str]:
    """The entry points of a distribution for difrun, and what is wrong with them."""
    try:
        points = [point for point in distribution.entry_points if point.group == GROUP]
    except Exception as error:  # what it raises depends on the version of Python
        return [], f"its entry_points.txt cannot be read: {in_one_line(error)}"
    if not points:
        return [], "its entry_points.txt has no entry in the group difrun"
    if len(points) > MOST_PLUGINS:
        return points[
            :1
        ], f"its entry_points.txt has {len(points)} entries for difrun; at most {MOST_PLUGINS} are read"
    for point in points:
        if not _NAME.fullmatch(point.name) or not _VALUE.fullmatch(point.value):
            return points, (
                f"its entry point {f'{point.name} = {point.value}'!a:.100} is not of the form 'name = package.module'"
            )
    return points, ""


def canonical(dist: str) -> str:
    """The name of a distribution as pip compares it: lower case, hyphens."""
    return re.sub(r"[-_.]+", "-", dist).lower()


def names_of(plugin: Plugin) -> set[str]:
    """The names by which DIFRUN_PLUGINS may call a plugin."""
    return {canonical(plugin.name), plugin.dist}


def wanted_names(only: str | Iterable[str] | None, plugins: list[Plugin]) -> set[str] | None:
    """The names of the plugins to load; None for all.

    Raises:
        ConfigError: If a named plugin is not installed.
    """
    if only is None:
        return None
    names = only.split(",") if isinstance(only, str) else only
    wanted = {canonical(name.strip()) for name in names if name.strip()}
    known = {name for plugin in plugins for name in names_of(plugin)}
    for name in sorted(wanted - known):
        raise ConfigError(
            f"DIFRUN_PLUGINS names '{name}', which is not installed.{not_installed(name, plugins)}"
        )
    return wanted


def not_installed(name: str, plugins: Iterable[Plugin]) -> str:
    """Return what a message says of a plugin that is not installed: a guess, what is, and how to install it."""
    plugins = list(plugins)
    known = [word for plugin in plugins for word in sorted(names_of(plugin))]
    commands = [command for command in map(install, (name, f"difrun-{name}")) if command]
    guess = "" if commands else _guess(name, known, plugins, PLUGINS)
    dists = listed(sorted({plugin.dist for plugin in plugins}))
    return f"{guess} Installed: {dists}." + "".join(f"\nTo install it: {command}" for command in commands)


def not_found(
    name: str, names: Iterable[str], plugins: Iterable[Plugin], kind: str | None = None
) -> tuple[str, str]:
    """Return what a message says of a name that nothing loaded has: a guess what is meant, and where it is to be had.

    Args:
        name: What the user wrote: the name of a component, ``dist:name``, or the name of a plugin.
        names: The names that there are.
        plugins: The installed plugins.
        kind: The kind of component that was looked for; None: any.

    Returns:
        `` Did you mean 'heun'?``, or with a plugin that is not loaded `` Did you mean 'dpmpp-2m' of difrun-edm (pip
        install difrun-edm)?``; and `where_from`. At least one of the two is empty.
    """
    plugins = list(plugins)
    where = where_from(name, plugins, kind)
    return ("", where) if where else (_guess(name, names, plugins, kind), "")


def _guess(name: str, names: Iterable[str], plugins: list[Plugin], kind: str | None) -> str:
    loaded = {plugin.dist for plugin in plugins if plugin.status == "ok"}
    elsewhere = {word: dist for word, dist in similar(name, kind).items() if dist not in loaded}
    names = list(names)
    guess = closest(name, [*(word for word in elsewhere if word not in names), *names])
    if guess is None or guess in names:
        return did_you_mean(name, names)
    dist = elsewhere[guess]
    status = next((plugin.status for plugin in plugins if plugin.dist == dist), "")
    of = "" if guess == dist else f" of {dist}"
    how = f", which is {_why(status)}" if status else f" ({install(dist)})"
    return f" Did you mean '{guess}'{of}{how}?"


def _why(status: str) -> str:
    return "broken: see 'difrun doctor'" if status == "broken" else "disabled by DIFRUN_PLUGINS"


def where_from(name: str, plugins: Iterable[Plugin], kind: str | None = None) -> str:
    """Return which plugin offers a component that was not found, each in a line; empty if none is known.

    Args:
        name: What the user wrote: the name of a component, ``dist:name``, or the name of a plugin.
        plugins: The installed plugins.
        kind: The kind of component that was looked for; None: any.
    """
    plugins, known = list(plugins), offering(name, kind)
    for plugin in plugins:
        if plugin.status != "ok" and (plugin.dist in known or name in names_of(plugin)):
            return f"\nThe plugin {plugin.dist} is {_why(plugin.status)}."
    present = {plugin.dist for plugin in plugins}
    lines = [f"{what} in {dist}: {install(dist)}" for dist, what in known.items() if dist not in present]
    return "".join(f"\n{line[0].upper()}{line[1:]}" for line in lines)
