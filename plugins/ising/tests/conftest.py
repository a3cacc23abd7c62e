"""The plugin alone with the core, whatever else is installed or was used before."""

import pytest

from difrun.plugin import registry


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setenv("DIFRUN_PLUGINS", "ising")
    monkeypatch.setattr(registry, "_cached", None)
