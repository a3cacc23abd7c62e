"""No package of the core has a public name that hides one of its modules."""

import importlib
import pkgutil
import sys
from types import ModuleType


def hidden_modules(root: str) -> list[str]:
    """The modules below a package that another object of the same name hides: `import a.b as b` would return it."""
    package = importlib.import_module(root)
    modules = list(pkgutil.walk_packages(package.__path__, f"{root}."))
    places = [(*module.name.rpartition(".")[::2], module.name) for module in modules]
    # A module that has not been imported yet is no attribute of its package, unless something else has its name.
    return [
        name
        for parent, own, name in places
        if not isinstance(getattr(importlib.import_module(parent), own, sys), ModuleType)
    ]


def test_no_public_name_of_the_core_hides_a_module():
    assert hidden_modules("difrun") == []


def test_a_function_that_hides_a_module_is_found(tmp_path, monkeypatch):
    package = tmp_path / "hiding" / "part"
    package.mkdir(parents=True)
    (tmp_path / "hiding" / "__init__.py").touch()
    (package / "__init__.py").write_text("from hiding.part.solve import solve\n")
    (package / "solve.py").write_text("def solve(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert hidden_modules("hiding") == ["hiding.part.solve"]
