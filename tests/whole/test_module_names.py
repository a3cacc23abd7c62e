"""No package of a plugin has a public name that hides one of its modules."""

import importlib.util
from pathlib import Path

import pytest
from tests.core.test_module_names import hidden_modules

FOUND = sorted(path.name for path in Path(__file__).resolve().parents[2].glob("plugins/*/difrun_*"))
# One with large dependencies may not be installed.
PLUGINS = [name for name in FOUND if importlib.util.find_spec(name) is not None]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_no_public_name_of_a_plugin_hides_a_module(plugin):
    assert hidden_modules(plugin) == []


def test_there_are_plugins_to_check():
    assert len(PLUGINS) >= len(FOUND) - 1
