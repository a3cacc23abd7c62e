"""`difrun plugin new`: which names it takes, and what it says of those that it does not."""

import ast
import errno
import functools
import json
import keyword
import re
import tomllib
from pathlib import Path

import pytest

from difrun.cli.scaffold.kinds import KINDS
from difrun.cli.scaffold.names import Names, names_for
from difrun.cli.scaffold.package import files_of
from difrun.plugin.registry import Registry


def _written(folder: Path) -> list[Path]:
    """All that is in a folder, besides what Python writes when it imports a module."""
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Leap", "--kind", "sampler"), "'Leap' cannot be the name of a plugin: write lower-case words"),
        (("my_leap", "--kind", "sampler"), "such as my-sampler"),
        (("2nd", "--kind", "grid"), "start with a letter"),
        (("a" * 41, "--kind", "grid"), "at most 40 characters"),
        (("../leap", "--kind", "grid"), "cannot be the name of a plugin"),
        (("none", "--kind", "grid"), "'none' has a meaning of its own"),
        (("heun", "--kind", "sampler"), "sampler 'heun' (difrun) exists already: choose another name."),
        (("difrun-toy", "--kind", "sampler"), "The plugin difrun-toy is installed already"),
        (("edm", "--kind", "metric"), "difrun-edm is the name of another plugin"),
        (("coin", "--kind", "discrete-process"), "process 'coin' (difrun-toy) exists already"),
        (("hop", "--kind", "samplr"), "there is no kind 'samplr'. Did you mean 'sampler'?"),
        (("hop",), "Missing option '--kind'"),
        (("hop", "--kind", "loss", "--out", "here"), "here exists already: choose another folder with --out"),
        (("hop", "--kind", "loss", "--out", "no/where"), "There is no folder no to put where into"),
        (("hop", "--kind", "loss", "--author", "a\nb"), "The author is one line"),
        (
            ("hop", "--kind", "loss", "--summary", "Hop"),
            "The summary is one line of 8 to 110 printable characters",
        ),
        (("hop", "--kind", "loss", "--summary", "a line\nand another"), "The summary is one line"),
    ],
)
def test_what_cannot_be_made_is_refused_in_words(toy, call, in_folder, tmp_path, arguments, message):
    (tmp_path / "here").mkdir()
    before = _written(tmp_path)
    code, out, err = call("plugin", "new", *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert _written(tmp_path) == before


def test_a_package_of_the_name_that_is_no_plugin_is_not_hidden(toy, call, in_folder):
    toy.module("difrun_hop", "")
    code, _, err = call("plugin", "new", "hop", "--kind", "sampler")
    assert code == 2
    assert "A Python package difrun_hop exists already" in err


def test_one_kind_may_have_the_name_of_another_kind(toy, call, in_folder):
    code, out, _ = call("plugin", "new", "heun", "--kind", "grid", "--out", "mine")
    assert code == 0
    assert "mine is a plugin with the grid 'heun':" in out
    assert Path("mine/difrun_heun/grid.py").is_file()


def test_the_prefix_may_be_written(toy, call, in_folder):
    code, _, _ = call("plugin", "new", "difrun-hop", "--kind", "sampler")
    assert code == 0
    assert Path("difrun-hop/difrun_hop/sampler.py").is_file()


def test_a_disk_that_is_full_leaves_nothing(toy, call, in_folder, tmp_path, monkeypatch):
    def full(self, *arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = _written(tmp_path)
    monkeypatch.setattr(Path, "write_text", full)
    code, _, err = call("plugin", "new", "hop", "--kind", "sampler")
    assert code == 1
    assert "Cannot write difrun-hop: No space left on device. Free some space" in err
    assert _written(tmp_path) == before


@functools.cache
def words_of(kind):
    """Every word in the modules of a package of another name."""
    texts = files_of(names_for("quux", kind, Registry()))
    return {word for path, text in texts.items() if path.endswith(".py") for word in re.findall(r"\w+", text)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name",
    [
        "lambda",
        "list",
        "check",
        "sampler",
        "tensor",
        "any",
        "option",
        "path",
        "torch",
        "chain",
        "generator",
        "weight",
        "power",
        "bound",
        "steps",
        "x2-y",
    ],
)
def test_no_name_hides_what_the_package_uses(kind, name):
    """Every file is valid Python, and the class or function has no name that the file imports or Python reserves."""
    names = names_for(name, kind, Registry())
    assert not keyword.iskeyword(names.object)
    assert names.object not in words_of(kind), "a local name of a template, such as `weight`, would hide it"
    for path, text in files_of(names).items():
        if path.endswith(".py"):
            compile(text, path, "exec")
            imported = {
                word.strip()
                for line in text.splitlines()
                if line.startswith(("from ", "import ")) and names.package not in line
                for word in line.split("import ", 1)[1].split(",")
            }
            assert not {names.object, names.options} & imported, path
            starts = (f"class {names.object}(", f"def {names.object}(")
            defined = [line for line in text.splitlines() if line.startswith(starts)]
            assert len(defined) <= 1, path


SUMMARY = 'Steps of "equal" weight, as \\ and ü'


@pytest.mark.parametrize("kind", KINDS)
def test_the_summary_stands_wherever_that_of_the_template_would(kind):
    """And is text there, whatever characters it has; a full stop at its end is left out."""
    files = files_of(names_for("quux", kind, Registry()), summary=f" {SUMMARY}. ")
    plain = files_of(names_for("quux", kind, Registry()))
    told = KINDS[kind].summary
    assert [path for path, text in plain.items() if told in text] == [
        path for path in plain if plain[path] != files[path]
    ]
    assert tomllib.loads(files["pyproject.toml"])["project"]["description"] == SUMMARY
    assert f"{SUMMARY}, for difrun." in files["README.md"]
    declared = ast.parse(files["difrun_quux/__init__.py"])
    assert ast.get_docstring(declared).startswith(SUMMARY)
    texts = [node.value for node in ast.walk(declared) if isinstance(node, ast.Constant)]
    assert (SUMMARY in texts) == (kind != "logger")


def test_a_summary_that_is_still_that_of_the_template_is_told(toy, call, in_folder):
    """In `difrun check`; of one's own, nothing is said."""
    for name, summary in (("hop", ""), ("skip", "A grid of my own")):
        _, out, _ = call("plugin", "new", name, "--kind", "grid", "--summary", summary)
        assert ("say what it does in place of: Equal steps in a root of t" in out) == (not summary)
        _, out, _ = call("check", f"difrun-{name}", "--name", name, "--json")
        (note,) = json.loads(out)["notes"] or [""]
        assert note.startswith("The summary of grid 'hop' (difrun-hop) is still that of the template") == (
            not summary
        )


def test_the_requirement_of_the_core_ends_at_the_next_minor_version(monkeypatch):
    monkeypatch.setattr("difrun.cli.scaffold.package.__version__", "0.9.3")
    text = files_of(Names("hop", "grid", "hop"))["pyproject.toml"]
    assert 'dependencies = ["attrs>=23.2", "difrun>=0.9,<0.10"]' in text
