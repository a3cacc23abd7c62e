"""The plugin leans on the core and on nothing else: no other plugin, no library that it does not declare.

That no other plugin is installed beside it is asserted by the conformance kit under DIFRUN_ISOLATED=1.
"""

import ast
import sys
from pathlib import Path

import pytest

import difrun_flow

DECLARED = {"difrun", "difrun_flow", "torch", "attrs"}


@pytest.mark.parametrize(
    "path", sorted(Path(difrun_flow.__file__).parent.rglob("*.py")), ids=lambda path: path.name
)
def test_imports_only_what_it_declares(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported - set(sys.stdlib_module_names) <= DECLARED
