"""The versions in a run.toml: what is said where another one of a plugin is installed, or none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from difrun.errors import ConfigError
from difrun.options.parsing import shown_briefly
from difrun.plugin.known import install
from difrun.plugin.registry import Registry
from difrun.text import clipped, listed

READABLE = ("samples.npz", "metrics.json", "report.html", "model.safetensors")
"""Files of a run that other programs read."""


def version_notes(versions: Mapping[str, Any], registry: Registry, source: str) -> list[str]:
    """Return a note for each plugin whose installed version is not the one that wrote a file.

    Args:
        versions: The distribution of each plugin -> its version, and those of Python and torch.
        registry: The installed plugins.
        source: What messages call the file.

    Raises:
        ConfigError: If a plugin is absent, disabled or broken.
    """
    installed = {plugin.dist: plugin for plugin in registry.plugins}
    notes = []
    for dist, version in versions.items():
        if dist in ("python", "torch"):
            continue
        plugin = installed.get(dist)
        if plugin is None or plugin.status != "ok":
            status = "" if plugin is None else plugin.status
            raise ConfigError(_unusable(source, clipped(dist), shown_briefly(version), status))
        if plugin.version != version:
            notes.append(
                f"{source} was made with {dist} {shown_briefly(version)}; {plugin.version} is installed. Weights and "
                "samples can be used; what is computed anew may differ."
            )
    return notes


def _unusable(source: str, dist: str, version: str, status: str) -> str:
    """What is said of a file that a plugin has made which is absent (an empty status), disabled or broken."""
    why = {"": "not installed", "disabled": "disabled by DIFRUN_PLUGINS"}.get(status, "broken")
    again = {
        "": f"To use the run: {install(dist, version) or f'install {dist} {version} from where you had it'}",
        "disabled": f"To use the run, name {dist} in DIFRUN_PLUGINS as well, or unset that variable.",
    }
    lines = [
        f"{source} names plugin {dist} {version}, which is {why}.",
        again.get(status, "'difrun doctor' says what is wrong with it."),
    ]
    readable = [name for name in READABLE if (Path(source).parent / name).is_file()]
    if readable:
        lines.append(f"Without it, what the run has written can be read: {listed(readable, ' and ')}.")
    return "\n".join(lines)
