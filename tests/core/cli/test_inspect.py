"""`difrun list`, `show` and `plugins`."""

import json
import re

import pytest

from difrun.cli.source import find_source
from difrun.plugin import known


def test_list_shows_names_summaries_and_distributions(toy, call):
    _, out, _ = call("list")
    assert re.search(r"^  toy +The toy\. +difrun-toy$", out, re.MULTILINE)
    # A run that names nothing takes the first process that is installed, coin, and what works with it.
    assert re.search(r"^\* ancestral .* difrun$", out, re.MULTILINE)
    assert re.search(r"^  heun .* difrun$", out, re.MULTILINE)
    for kind in ("process", "processes"):
        _, out, _ = call("list", kind)
        assert out == (
            "Processes\n* coin  The coin.  difrun-toy\n  toy   The toy.   difrun-toy\n\n"
            "*: the defaults; 'difrun --process NAME --help' shows those of another process.\n"
        )


def test_show_reads_the_docstring_without_importing(toy, call):
    toy.module(
        "toy_parts",
        'import never_installed\n\nclass Toy:\n    """dX = −θX dt + dW.\n\n    A source.\n    """\n',
    )
    code, out, _ = call("show", "toy")
    assert code == 0
    assert "dX = −θX dt + dW.\n\nA source." in out
    assert "toy_parts.py:3" in out
    assert re.search(r"--process\.theta +NUMBER +Rate\. +\[default: 1\.0; > 0, <= 10\]", out)
    assert "provides  gaussian, ode, sde" in out
    assert re.search(r"samplers +.*heun.*toy-step", out)
    assert "leap" not in out
    assert call("show", "difrun-toy:toy")[1] == out


def test_the_source_of_a_name_imported_from_elsewhere_is_found(toy):
    package = toy.folder / "toy_pack"
    package.mkdir()
    toy.modules.append("toy_pack")
    (package / "__init__.py").write_text("import never_installed\nfrom .deep import Thing as Renamed\n")
    (package / "deep.py").write_text('\n\nclass Thing:\n    """Deep."""\n')
    source = find_source("toy_pack:Renamed")
    assert (source.path, source.line, source.docstring) == (package / "deep.py", 3, "Deep.")
    assert find_source("toy_pack.deep:Nothing") is None
    assert find_source("not_there.at_all:Nothing") is None


def test_plugins_as_table_json_and_matrix(toy, call):
    toy.add("difrun-gone", "import nothing_like_it")
    _, out, _ = call("plugins")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert "ok" in rows["difrun-toy"]
    assert "disabled" in rows["difrun-gone"]
    assert "processes coin, toy" in rows["difrun-toy"]
    listed = {plugin["dist"]: plugin for plugin in json.loads(call("plugins", "--json")[1])}
    toy_json = next(item for item in listed["difrun-toy"]["components"] if item["name"] == "toy")
    assert toy_json["provides"] == ["gaussian", "ode", "sde"]
    assert toy_json["options"][0] == {
        "name": "theta",
        "type": "NUMBER",
        "default": 1.0,
        "help": "Rate.",
        "range": "> 0, <= 10",
    }
    _, out, _ = call("plugins", "--matrix")
    head, *body = [line.split() for line in out.splitlines()]
    cells = {(process, row[0]): cell for row in body for process, cell in zip(head[1:], row[1:], strict=True)}
    assert (cells["toy", "heun"], cells["toy", "leap"]) == ("yes", "-")
    assert (cells["coin", "heun"], cells["coin", "leap"]) == ("-", "yes")
    code, out, _ = call("plugins", "difrun-toy")
    assert code == 0
    assert "process coin" in out
    assert "difrun.builtin" not in out


def test_a_matrix_too_wide_for_the_terminal_becomes_several(toy, call, monkeypatch):
    _, wide, _ = call("plugins", "--matrix")
    rows = [line.split() for line in wide.splitlines()]
    monkeypatch.setenv("COLUMNS", "21")
    _, out, _ = call("plugins", "--matrix")
    blocks = [[line.split() for line in block.splitlines()] for block in out.split("\n\n")]
    assert [block[0] for block in blocks] == [["sampler", "coin"], ["sampler", "toy"]]
    for i, block in enumerate(blocks, start=1):
        assert block == [[row[0], row[i]] for row in rows]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_what_is_listed_keeps_to_the_width_of_the_terminal(toy, call, monkeypatch, columns):
    """Words are moved to other lines; none is lost."""
    toy.module(
        "toy_parts",
        f'class Toy:\n    """One {"word " * 50}\n    more.\n\n        x = {"y + " * 40}z\n    """\n',
    )
    commands = (("list",), ("plugins",), ("plugins", "--matrix"), ("show", "toy"), ("show", "adaptive"))
    monkeypatch.setenv("COLUMNS", "10000")
    whole = {command: call(*command)[1] for command in commands}
    assert max(len(line) for line in whole["show", "toy"].splitlines()) > 150
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in commands:
        out = call(*command)[1]
        lines = [line for line in out.splitlines() if not line.startswith("source ")]  # a path is one word
        assert max(map(len, lines)) <= columns, command
        assert sorted(out.split()) == sorted(whole[command].split()), command


def test_the_known_plugins_are_listed_whether_installed_or_not(toy, call, monkeypatch):
    here = known.KnownPlugin("difrun-toy", "Toys.", "https://toys.example", {"process": ("coin", "toy")})
    gone = known.KnownPlugin("difrun-gone", "Logs.", "difrun", {}, events=True)
    monkeypatch.setattr("difrun.cli.directory.known_plugins", lambda: (here, gone))
    monkeypatch.setattr(known, "known_plugins", lambda: (here, gone))
    code, out, _ = call("plugins", "--known")
    assert code == 0
    assert out == (
        "difrun-toy  0.1.0 is installed\n  Toys.\n  processes coin, toy\n  source: https://toys.example\n\n"
        "difrun-gone  pip install difrun-gone\n  Logs.\n  listens to events\n"
        "  source: difrun's own repository, plugins/gone\n"
    )
    records = json.loads(call("plugins", "--known", "--json")[1])
    assert [record["installed"] for record in records] == ["0.1.0", None]
    assert records[0]["offers"] == {"process": ["coin", "toy"]}
    assert "leave --matrix out" in call("plugins", "--known", "--matrix")[2]
    assert "leave NAME out" in call("plugins", "toy", "--known")[2]
