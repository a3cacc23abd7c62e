"""The directory of plugins, as `difrun plugins --known` prints it."""

import json
from collections.abc import Mapping

from difrun.cli.output import paragraph, width
from difrun.plugin.hooks import OFFERED
from difrun.plugin.known import KnownPlugin, install, known_plugins
from difrun.plugin.registry import Registry
from difrun.text import listed, plural


def directory(registry: Registry) -> str:
    """The plugins that are known, a block for each: whether it is installed, what it offers, where its source is."""
    return "\n\n".join(_block(plugin, _installed(registry, plugin)) for plugin in known_plugins())


def directory_json(registry: Registry) -> str:
    """The same as JSON."""
    records = [
        {
            "dist": plugin.dist,
            "summary": plugin.summary,
            "repository": plugin.repository,
            "offers": {kind: list(names) for kind, names in plugin.offers.items()},
            "events": plugin.events,
            "installed": _installed(registry, plugin),
            "install": install(plugin.dist),
        }
        for plugin in known_plugins()
    ]
    return json.dumps(records, indent=2, ensure_ascii=False)


def offers_in_words(offers: Mapping[str, tuple[str, ...]], listens: bool = False) -> str:
    """Return ``process edm; samplers dpmpp-2m, edm``; listens: of a plugin that listens to events."""
    parts = []
    for kind in OFFERED:
        names = offers.get(kind, ())
        if names:
            parts.append(f"{kind if len(names) == 1 else plural(kind)} {listed(names)}")
    return "; ".join([*parts, "listens to events"] if listens else parts)


def _installed(registry: Registry, known: KnownPlugin) -> str | None:
    return next((plugin.version for plugin in registry.plugins if plugin.dist == known.dist), None)


def _block(known: KnownPlugin, version: str | None) -> str:
    state = f"{version} is installed" if version else install(known.dist)
    lines = [known.summary, offers_in_words(known.offers, known.events), f"source: {known.place}"]
    indented = [f"  {line}" for text in lines for line in paragraph(text, width() - 2)]
    return "\n".join([f"{known.dist}  {state}", *indented])
