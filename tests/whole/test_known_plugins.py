"""The directory of plugins says what the plugins of this repository really offer, whether they are installed or not."""

import importlib
from pathlib import Path

from difrun.plugin.hooks import EVENTS, OFFERED
from difrun.plugin.known import known_plugins

FOLDERS = Path(__file__).resolve().parents[2] / "plugins"


def test_the_directory_lists_what_every_plugin_offers(monkeypatch):
    own = {
        known.dist.removeprefix("difrun-"): known for known in known_plugins() if known.repository == "difrun"
    }
    assert own.keys() == {path.parent.name for path in FOLDERS.glob("*/pyproject.toml")}
    for name, known in own.items():
        monkeypatch.syspath_prepend(FOLDERS / name)
        module = importlib.import_module(f"difrun_{name}")
        offered = {
            kind: tuple(sorted(component.name for component in getattr(module, hook)()))
            for kind, hook in OFFERED.items()
            if hasattr(module, hook)
        }
        assert dict(known.offers) == offered, f"change {name} in core/difrun/plugin/known.toml"
        assert known.events == any(hasattr(module, event) for event in EVENTS), name
