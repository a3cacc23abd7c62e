"""Write docs/directory.md, the directory of plugins, from core/difrun/plugin/known.toml.

Run it as ``python docs/write_directory.py``.
"""

from pathlib import Path

from difrun.plugin.hooks import OFFERED
from difrun.plugin.known import OWN_REPOSITORY, KnownPlugin, install, known_plugins
from difrun.text import plural

PAGE = Path(__file__).with_name("directory.md")

HEAD = """# The directory of plugins

`difrun plugins --known` prints this list, and says which of these plugins are installed. Where a name is not found,
the message says which of them has it. The directory is one file,
[core/difrun/plugin/known.toml](../core/difrun/plugin/known.toml), from which `python docs/write_directory.py` writes
this page. [plugins.md](plugins.md#the-directory) says how to get into it.
"""


def page() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *(_entry(plugin) for plugin in known_plugins())])


def _entry(plugin: KnownPlugin) -> str:
    place = plugin.repository
    if place == OWN_REPOSITORY:
        folder = plugin.place.split(", ")[1]
        place = f"[{folder}](../{folder})"
    command, _, where = install(plugin.dist).partition(", ")
    lines = [
        f"## {plugin.dist}",
        "",
        plugin.summary,
        "",
        f"* install: `{command}`{f', {where}' if where else ''}",
    ]
    lines.append(f"* source: {place}")
    for kind in OFFERED:
        names = plugin.offers.get(kind, ())
        if names:
            called = kind if len(names) == 1 else plural(kind)
            lines.append(f"* {called}: {', '.join(f'`{name}`' for name in names)}")
    if plugin.events:
        lines.append("* listens to [events](plugins.md#events)")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
