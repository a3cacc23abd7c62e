"""No package of a plugin has a public name that hides one of its modules."""

from pathlib import Path

import pytest
from tests.core.test_module_names import hidden_modules

PLUGINS = sorted(path.name for path in Path(__file__).resolve().parents[2].glob("plugins/*/difrun_*"))


@pytest.mark.parametrize("plugin", PLUGINS)
def test_no_public_name_of_a_plugin_hides_a_module(plugin):
    assert hidden_modules(plugin) == []
