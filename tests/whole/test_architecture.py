"""The page of the architecture shows the house as it is: its picture, and its list of folders."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def house():
    return runpy.run_path(str(ROOT / "docs" / "pictures" / "house.py"))


def test_the_picture_of_the_house_is_up_to_date(house):
    assert house["redrawn"](PAGE) == PAGE, "the imports have changed: run python docs/pictures/house.py"


def test_arrows_that_are_left_out_of_the_picture_follow_from_those_that_are_drawn(house):
    graph = {"top": {"left", "right", "ground"}, "left": {"ground"}, "right": {"left"}, "ground": set()}
    drawn = house["without_shortcuts"](graph)
    assert drawn == {"top": {"right"}, "left": {"ground"}, "right": {"left"}, "ground": set()}


def test_imports_for_type_checkers_are_no_arrows(house):
    code = "import difrun.a\nif TYPE_CHECKING:\n    from difrun.b import B\nelse:\n    from difrun import c"
    code += "\ndef late():\n    from difrun.d.e import F"
    assert house["imports"](ast.parse(code)) == {"difrun.a", "difrun.c", "difrun.d.e"}


def test_the_architecture_page_lists_every_folder_of_the_core(house):
    """In the order of the layers, from the top down."""
    table = PAGE.split("| folder | what it holds |\n", 1)[1].split("\n\n", 1)[0]
    names = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    rooms = [room for layer in house["layers"]() for room in layer]
    assert names == rooms
    entries = {path.stem for path in (ROOT / "core" / "difrun").iterdir()} - {"__init__", "__pycache__", "py"}
    assert set(rooms) == entries
