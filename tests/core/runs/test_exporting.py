"""A format of a plugin that fails leaves no half of a folder, whatever it raises, and is named."""

import pytest

from difrun.errors import DifrunError
from difrun.plugin import Registry
from difrun.runs import exporting

PARTS = """
from pathlib import Path

def fine(run, folder):
    folder.mkdir()
    (folder / "weights").write_text("all")

def nothing(run, folder):
    pass

def half(run, folder):
    folder.mkdir()
    (folder / "weights").write_text("half")
    raise SystemExit(0)

async def later(run, folder):
    pass
"""


@pytest.fixture
def write(site, tmp_path):
    site.add(
        "difrun-paper",
        """
        from difrun.api import Component, hookimpl

        @hookimpl
        def difrun_formats():
            names = "fine", "nothing", "half", "later"
            return [Component(name, f"difrun_paper_parts:{name}", "On paper.") for name in names]
        """,
    )
    site.module("difrun_paper_parts", PARTS)
    registry = Registry.discover(only="paper")
    return lambda name: exporting._write(registry.format(name), None, tmp_path / "out")


def test_a_format_that_works_keeps_what_it_wrote(write, tmp_path):
    write("fine")
    assert (tmp_path / "out" / "weights").read_text() == "all"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "format 'nothing' (difrun-paper) wrote nothing into "),
        ("half", "format 'half' (difrun-paper) failed: SystemExit in half (difrun_paper_parts.py:14): 0"),
        ("later", "`later` is an async function, and a format is none."),
    ],
)
def test_a_format_that_fails_is_named_and_leaves_nothing(write, tmp_path, name, said):
    with pytest.raises(DifrunError) as failed:
        write(name)
    assert said in str(failed.value)
    assert not (tmp_path / "out").exists()
