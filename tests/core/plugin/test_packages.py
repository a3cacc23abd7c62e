"""The metadata of installed distributions: what is malformed is one broken row, and is never waited for."""

import importlib.metadata
import os

import pytest

from difrun.plugin import Registry
from difrun.plugin.packages import MOST_OF_METADATA, MOST_PLUGINS

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


@pytest.fixture
def row(site, monkeypatch):
    """Installs a plugin whose metadata are replaced; returns its row, or None if it is taken for no plugin."""

    def found(file, text):
        site.add("difrun-odd", "from difrun.api import hookimpl")
        place = site.folder / "difrun_odd-0.1.0.dist-info" / file
        place.unlink()
        place.write_text(text) if isinstance(text, str) else text(place)
        found_here = list(importlib.metadata.distributions(path=[str(site.folder)]))
        monkeypatch.setattr(importlib.metadata, "distributions", lambda: found_here)
        rows = [plugin for plugin in Registry.discover(strict=False).plugins if plugin.name != "builtin"]
        return rows[0] if rows else None

    return found


@pytest.mark.parametrize(
    ("name", "version", "reason"),
    [
        ("difrun", "1", "is called difrun, which is the name of the core"),
        ("Difrun", "1", "is called difrun, which is the name of the core"),
        ("difrun-\x1b[31mred", "1", r"is called 'difrun-\x1b[31mred'; expected letters, digits"),
        ("difrun-" + "a" * 100_000, "1", "expected letters, digits"),
        ("difrun-odd", "9" * 5000, "the version of its distribution is '999"),
        ("difrun-odd", "1 2", "the version of its distribution is '1 2'; expected one such as 1.0"),
    ],
)
def test_names_and_versions_that_cannot_be_written(row, name, version, reason):
    found = row("METADATA", METADATA.format(name=name, version=version))
    assert found.status == "broken"
    assert reason in found.error
    assert len(found.error) < 300
    assert len(found.dist) < 130


@pytest.mark.parametrize(
    "point",
    [
        "odd = difrun_odd\0",
        "odd = ..difrun_odd",
        "odd = 3",
        "odd = ",
        "odd plugin, x = difrun_odd",
        " = difrun_odd",
        "odd = a b c:::",
    ],
)
def test_entry_points_of_another_form(row, point):
    found = row("entry_points.txt", f"[difrun]\n{point}\n")
    assert found.status == "broken"
    assert "is not of the form 'name = package.module'" in found.error


@pytest.mark.parametrize("point", ["odd = difrun_odd", "odd=difrun_odd [x,y]", "my.odd-one_2 = difrun_odd"])
def test_entry_points_as_they_are_written(row, point):
    assert row("entry_points.txt", f"[difrun]\n{point}\n").status == "ok"


def test_thousands_of_entry_points_are_one_row(row):
    found = row("entry_points.txt", "[difrun]\n" + "".join(f"odd{k} = difrun_odd\n" for k in range(3000)))
    assert found.status == "broken"
    assert found.error == f"its entry_points.txt has 3000 entries for difrun; at most {MOST_PLUGINS} are read"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_in_the_place_of_metadata_is_not_waited_for(row):
    assert "have no name or no version" in row("METADATA", os.mkfifo).error


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_in_the_place_of_entry_points_is_not_waited_for(row):
    assert row("entry_points.txt", os.mkfifo) is None


def test_metadata_of_any_length_are_not_read(row):
    def sparse(place):
        with place.open("wb") as file:
            file.truncate(MOST_OF_METADATA + 1)

    assert "have no name or no version" in row("METADATA", sparse).error
