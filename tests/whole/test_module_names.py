"""No package of a plugin has a public name that hides one of its modules."""

import importlib.util
from pathlib import Path

import pytest
from tests.core.test_module_names import hidden_modules

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path for path in ROOT.glob("plugins/*/difrun_*") if path.is_dir())
# Those with large dependencies are not in requirements.txt, and may be absent.
PLUGINS = [path.name for path in PACKAGES if importlib.util.find_spec(path.name) is not None]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_no_public_name_of_a_plugin_hides_a_module(plugin):
    assert hidden_modules(plugin) == []


def test_every_plugin_of_the_requirements_is_checked():
    required = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    expected = {path.name for path in PACKAGES if f"-e plugins/{path.parent.name}" in required}
    assert len(expected) >= 7
    assert expected <= set(PLUGINS)
