"""The directory of plugins, known.toml: which package offers a component that is not installed."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

import attrs

from difrun.text import listed

OWN_REPOSITORY = "difrun"
"""What known.toml writes as the repository of a plugin that is developed with the core."""


@attrs.frozen
class KnownPlugin:
    """A plugin in the directory.

    Attributes:
        dist: The name of its distribution.
        summary: What it is for, in one line.
        repository: Where its source is: an address, or `OWN_REPOSITORY`.
        offers: Kind of component -> the names of its components.
        events: Whether it listens to events.
        folder: Where it is in difrun's own repository, if it is an example there, and not published.
    """

    dist: str
    summary: str
    repository: str
    offers: Mapping[str, tuple[str, ...]]
    events: bool = False
    folder: str = ""

    @property
    def place(self) -> str:
        """Where its source is, in words."""
        if self.repository == OWN_REPOSITORY:
            folder = self.folder or f"plugins/{self.dist.removeprefix('difrun-')}"
            return f"difrun's own repository, {folder}"
        return self.repository

    def is_called(self, name: str) -> bool:
        """Return whether a user may mean this plugin by a name: its own, or that without ``difrun-``."""
        return name.lower().replace("_", "-") in (self.dist, self.dist.removeprefix("difrun-"))


@cache
def known_plugins() -> tuple[KnownPlugin, ...]:
    """Return the plugins in the directory, in the order of the alphabet."""
    text = resources.files(__package__).joinpath("known.toml").read_text(encoding="utf-8")
    return tuple(
        KnownPlugin(
            dist,
            entry["summary"],
            entry["repository"],
            {kind: tuple(names) for kind, names in entry.get("offers", {}).items()},
            entry.get("events", False),
            entry.get("folder", ""),
        )
        for dist, entry in tomllib.loads(text).items()
    )


def install(dist: str, version: str = "") -> str:
    """Return the command that installs a plugin of the directory; empty for one that is not in it."""
    for plugin in known_plugins():
        if plugin.dist == dist:
            if plugin.folder:
                return f"pip install ./{plugin.folder}, in a checkout of difrun"
            return f"pip install {dist}{f'=={version}' if version else ''}"
    return ""


def offering(name: str, kind: str | None = None) -> dict[str, str]:
    """Return which plugins of the directory offer a component: the name of each -> what it has, in words.

    Args:
        name: What the user wrote: the name of a component, ``dist:name``, or the name of a plugin.
        kind: The kind of component that was looked for; None: any.
    """
    found = {plugin.dist: _what(plugin, name, kind) for plugin in known_plugins()}
    return {dist: what for dist, what in found.items() if what}


PLUGINS = "plugin"
"""What `similar` takes in the place of a kind, for the names of plugins."""


def similar(name: str, kind: str | None = None) -> dict[str, str]:
    """Return the names that a misspelt one may stand for: each, as the user would write it -> the plugin that has it.

    Args:
        name: What the user wrote: the name of a component, ``dist:name``, or the name of a plugin.
        kind: The kind of component that was looked for; None: any, or a plugin; `PLUGINS`: a plugin.
    """
    dist, colon, _ = name.rpartition(":")
    words: dict[str, str] = {}
    for plugin in known_plugins():
        if kind in (None, PLUGINS) and not colon:
            words |= dict.fromkeys((plugin.dist, plugin.dist.removeprefix("difrun-")), plugin.dist)
        before = f"{dist if plugin.is_called(dist) else plugin.dist}:" if colon else ""
        for each, names in plugin.offers.items():
            if kind in (None, each):
                words |= {f"{before}{component}": plugin.dist for component in names}
    return words


def _what(plugin: KnownPlugin, name: str, kind: str | None) -> str:
    """What a plugin has of a name: ``sampler 'dpmpp-2m' is``, or ``sampler 'edm' and loss 'edm' are``; else empty."""
    dist, colon, component = name.rpartition(":")
    if colon and not plugin.is_called(dist):
        return ""
    kinds = [each for each, names in plugin.offers.items() if component in names and kind in (None, each)]
    if kinds:
        components = listed([f"{each} '{component}'" for each in kinds], " and ")
        return f"{components} {'is' if len(kinds) == 1 else 'are'}"
    return f"what '{name}' offers is" if plugin.is_called(component) else ""
