"""The page of the architecture shows the folders of the core as they are: its picture, and its list."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "docs" / "pictures" / "folders.py"))


def test_the_picture_of_the_folders_is_up_to_date(script):
    assert script["redrawn"](PAGE) == PAGE, "the imports have changed: run python docs/pictures/folders.py"


def test_arrows_that_are_left_out_of_the_picture_follow_from_those_that_are_drawn(script):
    graph = {"top": {"left", "right", "ground"}, "left": {"ground"}, "right": {"left"}, "ground": set()}
    drawn = script["without_shortcuts"](graph)
    assert drawn == {"top": {"right"}, "left": {"ground"}, "right": {"left"}, "ground": set()}


def test_imports_for_type_checkers_are_no_arrows(script):
    code = "import difrun.a\nif TYPE_CHECKING:\n    from difrun.b import B\nelse:\n    from difrun import c"
    code += "\ndef late():\n    from difrun.d.e import F"
    assert script["imports"](ast.parse(code)) == {"difrun.a", "difrun.c", "difrun.d.e"}


def test_the_architecture_page_lists_every_folder_of_the_core(script):
    """In the order of the layers, from the top down."""
    table = PAGE.split("| folder | what it holds |\n", 1)[1].split("\n\n", 1)[0]
    names = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    folders = [folder for layer in script["layers"]() for folder in layer]
    assert names == folders
    entries = {path.stem for path in (ROOT / "core" / "difrun").iterdir()} - {"__init__", "__pycache__", "py"}
    assert set(folders) == entries
