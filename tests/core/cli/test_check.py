"""`difrun check`: the kit without pytest, on a folder that is not installed."""

import json
import subprocess
import sys
from collections import Counter

import pytest
from click.testing import CliRunner

from difrun.cli import main
from difrun.cli.app import app
from difrun.cli.commands.check import check
from difrun.cli.commands.new_plugin import new
from difrun.cli.scaffold.kinds import KINDS
from difrun.errors import ConfigError
from difrun.testing.rules import CHECKS

PYPROJECT = """
[project]
name = "difrun-small"
version = "0.3"
dependencies = ["attrs>=23.2", {core}"torch"]

[project.entry-points.difrun]
small = "difrun_small"
"""

HOOKS = '''
"""Two grids."""
from difrun.api import Component, hookimpl


@hookimpl
def difrun_grids():
    return [
        Component("even", "difrun_small.grids:even", "Equal steps in time"),
        Component("short", "difrun_small.grids:short", "Equal steps, one too few"),
    ]
'''

GRIDS = '''
"""Grids."""
from difrun.grid import linear


def even(process, steps):
    """Equal steps."""
    return linear(process, steps)


def short(process, steps):
    """One time is missing."""
    return linear(process, steps)[:-1]
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Make the package in a folder; `root` is the folder of its modules."""
    monkeypatch.delenv("DIFRUN_PLUGINS", raising=False)
    # Other plugins may be installed beside it, whatever the environment of these tests says of itself.
    monkeypatch.delenv("DIFRUN_ISOLATED", raising=False)

    def make(root=".", core='"difrun>=0.1,<0.2", '):
        folder = tmp_path / "small"
        (folder / root / "difrun_small").mkdir(parents=True)
        (folder / "pyproject.toml").write_text(PYPROJECT.format(core=core), "utf-8")
        (folder / root / "difrun_small" / "__init__.py").write_text(HOOKS, "utf-8")
        (folder / root / "difrun_small" / "grids.py").write_text(GRIDS, "utf-8")
        return folder

    return make


def run(*arguments):
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def test_a_folder_is_checked_without_installing(package):
    """Human words: a line per component, the failure in full, what was not tried, times, the verdict; exit code 1."""
    folder = package("src")
    result = run(folder)
    assert result.exit_code == 1, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("difrun-small 0.3: ")
    assert lines[0].endswith("checks of 2 components")
    assert "grid 'short' (difrun-small) breaks the rule runs_from_the_horizon_to_t_min:" in lines
    assert "  expected: 2" in lines
    assert any(
        line.startswith("  measured: the number of times for 1 steps on ReferenceVP") for line in lines
    )
    assert "Time of the slowest rules:" in lines
    assert lines[-1].startswith("It does not pass. ")
    assert ", 1 failed," in lines[-1]
    assert "difrun_small" not in sys.modules


def test_parts_are_chosen_by_kind_and_name(package):
    """`--name even` passes with exit code 0; a name that is not there is refused with those that are."""
    folder = package()
    result = run(folder, "--kind", "grid", "--name", "even", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert (told["distribution"], told["version"], told["failed"]) == ("difrun-small", "0.3", 0)
    assert {(each["kind"], each["name"]) for each in told["checks"]} == {("grid", "even")}
    assert all(each["seconds"] >= 0 and each["says"] for each in told["checks"])
    assert told["passed"] == sum(each["status"] == "passed" for each in told["checks"]) > 8
    for arguments, words in (
        (("--name", "evn"), "offers no component called 'evn'. Did you mean 'even'?"),
        (("--kind", "sampler"), "difrun-small offers no sampler. It offers grid 'even', grid 'short'."),
        (("--kind", "loggers"), "difrun-small offers no logger. It offers grid 'even', grid 'short'."),
        (("--kind", "discrete-process"), "difrun-small offers no discrete-process."),
        (("--name", "quite-other"), "called 'quite-other'. It offers grid 'even', grid 'short'."),
    ):
        error = run(folder, *arguments).exception
        assert isinstance(error, ConfigError)
        assert words in str(error)


def test_the_kinds_are_those_of_a_new_plugin(package):
    """`--kind` takes the same words as `difrun plugin new`, in the singular and the plural."""
    kinds = {command: parameter.type.kinds for command, parameter in _kind_parameters()}
    assert kinds["check"] == kinds["new"] == KINDS
    result = run(package("src") / "pyproject.toml", "--kind", "grids", "--name", "even", "--json")
    assert json.loads(result.output)["failed"] == 0


def _kind_parameters():
    for command in (check, new):
        yield from ((command.name, each) for each in command.params if each.name == "kind")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("check", "difrun-nowhere"), 2, "The plugin 'difrun-nowhere' is not installed."),
        (
            ("check", "no/where"),
            2,
            "There is no package in no/where: expected a folder with a pyproject.toml.",
        ),
        (("check", "x", "--kind", "grd"), 2, "there is no kind 'grd'. Did you mean 'grid'?"),
        (("check",), 2, "Missing argument 'DIST_OR_PATH'."),
        (("plugins", "nowhere"), 2, "No plugin is called 'nowhere'."),
        (("plugins", "nowhere", "--strange"), 2, "No such option"),
    ],
)
def test_an_error_is_json_where_json_is_asked_for(arguments, code, said, capsys):
    """On stdout, with the exit code that the command ends with; nothing on stderr."""
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--json"])
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert stopped.value.code == told["exit_code"] == code
    assert said in told["error"]
    assert err == ""


def test_an_empty_folder_with_the_name_of_no_plugin_is_no_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    assert "There is no package in small: expected a folder with a pyproject.toml." in str(
        run("small").exception
    )


def test_every_entry_of_the_json_has_the_same_form(package):
    """Numbers that add up; for each rule its sentence and time, for a failure what was measured, else the reason."""
    told = json.loads(run(package(), "--json").output)
    assert told.keys() == {
        "distribution",
        "version",
        "seconds",
        "notes",
        "passed",
        "failed",
        "not_tried",
        "checks",
    }
    of_status = Counter(each["status"] for each in told["checks"])
    assert of_status == {
        "passed": told["passed"],
        "failed": told["failed"],
        "not tried": told["not_tried"],
    }
    assert told["failed"] == 1
    of_component, extra = (
        {"kind", "name", "variant"},
        {"failed": {"measured", "expected"}, "not tried": {"reason"}},
    )
    packages = 0
    for each in told["checks"]:
        rest = each.keys() - {"rule", "says", "status", "seconds"} - extra.get(each["status"], set())
        assert rest in (of_component, set()), each
        packages += not rest
        assert all(isinstance(value, str) for key, value in each.items() if key != "seconds")
        assert all(each[key] for key in each if key not in ("variant", "seconds"))
        assert 0 <= each["seconds"] <= told["seconds"]
    assert (
        packages == sum(check.kind == "distribution" for check in CHECKS) - 1
    )  # one is for isolated environments


ODD = """
from difrun.api import Component, hookimpl

@hookimpl
def difrun_processes():
    return [Component("odd", "difrun_odd_parts:Odd", "A process that ends at seven",
                      provides={"continuous", "gaussian", "sde", "ode"})]
"""

ODD_PARTS = """
from difrun.testing import ReferenceVP

class Odd(ReferenceVP):
    horizon = 7.0
"""

PICKY = """

def short(process, steps):
    \"\"\"Is short by a time where the process ends at seven.\"\"\"
    return linear(process, steps)[: -1 if process.horizon == 7 else None]
"""


def test_components_are_tried_with_the_processes_of_another_plugin(package, site):
    """Right on the kit's own processes, wrong on that of difrun-odd; a plugin that is not there is refused."""
    folder = package()
    site.module("difrun_odd_parts", ODD_PARTS)
    site.add("difrun-odd", ODD)
    grids = folder / "difrun_small" / "grids.py"
    grids.write_text(GRIDS[: GRIDS.index("\n\ndef short")] + PICKY, "utf-8")
    alone = run(folder, "--name", "short")
    assert alone.exit_code == 0, alone.output
    for name in ("difrun-odd", "odd"):
        result = run(folder, "--name", "short", "--against", name)
        assert result.exit_code == 1
        assert "measured: the number of times for 1 steps on Odd: 1" in result.output
    error = run(folder, "--against", "od").exception
    assert isinstance(error, ConfigError)
    assert "The plugin 'od' is not installed." in str(error)


def test_folders_without_a_package_are_refused(tmp_path):
    """The message says what was expected."""
    folder = tmp_path / "empty"
    folder.mkdir()
    assert "expected a folder with a pyproject.toml" in str(run(folder).exception)
    for text, words in (
        ("[project", "cannot be read"),
        ("[project]\nversion = '1'", "names no package"),
        ("[project]\nname = 'x'", "has no entry point of difrun"),
        ("[project]\nname = 'x'\n[project.entry-points.difrun]\nx = 'absent'", "There is no absent in"),
    ):
        (folder / "pyproject.toml").write_text(text, "utf-8")
        error = run(folder).exception
        assert isinstance(error, ConfigError)
        assert words in str(error)
    assert "not installed" in str(run("difrun-nowhere").exception)


def test_neither_pytest_nor_an_installation_is_needed(package):
    """In a process where pytest cannot be imported; a dependency on difrun that is missing is found in pyproject."""
    folder = package(core="")
    code = (
        "import sys; sys.modules['pytest'] = None; from difrun.cli import main; "
        f"sys.argv[1:] = ['check', {str(folder)!r}, '--json']; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert result.returncode == 1, result.stderr
    failed = {each["rule"] for each in json.loads(result.stdout)["checks"] if each["status"] == "failed"}
    assert failed == {
        "depends_on_a_range_of_difrun",
        "imports_only_what_it_declares",
        "runs_from_the_horizon_to_t_min",
    }
