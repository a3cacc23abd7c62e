"""The directory of plugins says what the plugins of this repository really offer."""

from difrun.api import KINDS
from difrun.plugin import get_registry
from difrun.plugin.known import known_plugins

SEPARATE = "difrun-diffusers"
"""Not installed here; its own tests compare it with the directory."""


def test_the_directory_lists_what_every_plugin_offers():
    registry = get_registry()
    for known in known_plugins():
        if known.repository != "difrun" or known.dist == SEPARATE:
            continue
        (plugin,) = [plugin for plugin in registry.plugins if plugin.dist == known.dist]
        offered = {
            kind: tuple(sorted(entry.name for entry in registry.entries(kind) if entry.plugin is plugin))
            for kind in KINDS
        }
        assert dict(known.offers) == {kind: names for kind, names in offered.items() if names}, known.dist
        assert known.events == registry.listens(plugin), known.dist
