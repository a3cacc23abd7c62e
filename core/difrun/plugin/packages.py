"""Installed distributions that contain plugins: how to find them, which to load, and which plugin is missing."""

import importlib.metadata
import re
from collections.abc import Iterable
from importlib.metadata import EntryPoint

import attrs

from difrun.errors import ConfigError
from difrun.text import did_you_mean, listed

GROUP = "difrun"

# Components by which a user may know each of difrun's own plugins, for messages about one that is not installed.
# No message says how to install it: only its author can promise what a package index holds under its name.
KNOWN_PLUGINS: dict[str, tuple[str, ...]] = {
    "difrun-ou": ("ou", "vp", "ve", "score", "euler-maruyama", "pc"),
    "difrun-ddpm": ("ddpm", "ddim", "noise", "vlb", "integer"),
    "difrun-edm": ("edm",),
    "difrun-flow": ("flow", "sde", "reflow"),
    "difrun-ising": ("ising", "tau-leap", "heat-bath"),
    "difrun-guidance": ("guidance", "cfg", "classifier", "dps", "pigdm", "mmps"),
    "difrun-images": ("images", "unet", "digits", "mnist", "image-folder"),
}


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
    """

    name: str
    dist: str
    version: str
    module: str
    status: str = "ok"
    error: str = ""
    trace: str = ""


def entry_points() -> list[EntryPoint]:
    """Entry points sorted by distribution and name. A distribution that is on the path twice counts once."""
    points: dict[tuple[str, str], EntryPoint] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        points.setdefault((canonical(point.dist.name if point.dist else "?"), point.name), point)
    return [points[key] for key in sorted(points)]


def plugin_of(point: EntryPoint) -> Plugin:
    """The plugin of an entry point, before it is loaded."""
    if point.dist is None:
        return Plugin(point.name, "?", "?", point.value)
    return Plugin(point.name, canonical(point.dist.name), point.dist.version, point.value)


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
        text = f"DIFRUN_PLUGINS names '{name}', which is not installed.{did_you_mean(name, known)}"
        raise ConfigError(f"{text} Installed: {listed(sorted(plugin.dist for plugin in plugins))}.")
    return wanted


def where_from(name: str, plugins: Iterable[Plugin]) -> str:
    """One line that says which plugin offers a component that was not found; empty if none is known."""
    plugins = list(plugins)
    for plugin in plugins:
        if plugin.status != "ok" and name in (*KNOWN_PLUGINS.get(plugin.dist, ()), *names_of(plugin)):
            why = "broken: see 'difrun doctor'" if plugin.status == "broken" else "disabled by DIFRUN_PLUGINS"
            return f"\nThe plugin {plugin.dist} is {why}."
    installed = {plugin.dist for plugin in plugins}
    for dist, names in KNOWN_PLUGINS.items():
        if dist not in installed and (name in names or name.partition(":")[0] == dist):
            return f"\nIt is offered by the plugin {dist}, which is not installed."
    return ""
