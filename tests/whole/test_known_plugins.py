"""The directory of plugins says what the plugins of this repository really offer, whether they are installed or not."""

import importlib
from pathlib import Path

from difrun.plugin.hooks import EVENTS, OFFERED
from difrun.plugin.known import known_plugins

ROOT = Path(__file__).resolve().parents[2]


def test_the_directory_lists_what_every_plugin_offers(monkeypatch):
    own = {
        ROOT / known.place.split(", ")[1]: known for known in known_plugins() if known.repository == "difrun"
    }
    assert own.keys() == {
        path.parent for place in ("plugins", "examples") for path in ROOT.glob(f"{place}/*/pyproject.toml")
    }
    for folder, known in own.items():
        name = known.dist
        monkeypatch.syspath_prepend(folder)
        module = importlib.import_module(name.replace("-", "_"))
        offered = {
            kind: tuple(sorted(component.name for component in getattr(module, hook)()))
            for kind, hook in OFFERED.items()
            if hasattr(module, hook)
        }
        assert dict(known.offers) == offered, f"change {name} in core/difrun/plugin/known.toml"
        assert known.events == any(hasattr(module, event) for event in EVENTS), name
