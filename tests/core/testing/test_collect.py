"""How the kit collects its tests from a distribution."""

import contextlib

import pytest

from difrun.testing import conformance
from difrun.testing.cases import attempt, collect

from .faulty.declaration import PARTS, declare


def test_there_must_be_something_to_check(site):
    """No component, a broken plugin, an unknown distribution or expected failure: an error while collecting."""
    declare(site, "difrun-empty", "", "")
    site.add("difrun-torn", "import not_installed_anywhere")
    declare(
        site,
        "difrun-grids",
        "@hookimpl\ndef difrun_grids():\n    return [component('short', 'short')]\n",
        PARTS,
    )
    for dist, message in (
        ("difrun-empty", "offers no component"),
        ("difrun-torn", "not_installed_anywhere"),
        ("difrun-nowhere", "not installed"),
    ):
        with pytest.raises(pytest.UsageError, match=message):
            conformance(dist)
    with pytest.raises(pytest.UsageError, match="tests that do not exist: grid:short-no_such_rule"):
        conformance("difrun-grids", {"grid:short-no_such_rule": "why"})


def test_one_line_makes_named_tests_and_strict_xfails(site):
    """The parametrised test has one readable, unique id per rule and component, and says how many there are."""
    declare(
        site,
        "difrun-grids",
        "@hookimpl\ndef difrun_grids():\n    return [component('short', 'short')]\n",
        PARTS,
    )
    expected = {"grid:short-runs_from_the_horizon_to_t_min": "one time is missing"}
    (site.folder / "test_it.py").write_text(
        "from difrun.testing import conformance\n"
        f"test_conformance = conformance('difrun_grids', expected_failures={expected!r})\n"
    )
    result = site.python(
        "import sys, pytest; sys.exit(pytest.main(['-q', '-rx', '-p', 'no:cacheprovider', 'test_it.py']))"
    )
    assert "difrun-grids 0.1.0: 16 checks of 1 component\n" in result.stdout, result.stdout + result.stderr
    assert "2 failed, 12 passed, 1 skipped, 1 xfailed" in result.stdout, result.stdout
    assert "depends_on_a_range_of_difrun" in result.stdout
    assert "difrun_grids.py imports attrs, difrun_grids.py imports difrun" in result.stdout
    ids = [case.id for case in collect("difrun-grids")[0]]
    assert len(set(ids)) == len(ids) == 16


def test_a_distribution_that_only_listens_is_checked_as_a_package(site):
    """One that imports torch with its hooks is found, although it has no component."""
    hook = "from difrun.api import hookimpl\n@hookimpl\ndef difrun_train_step(step, loss):\n    pass\n"
    for dist, code, heavy in (("difrun-log", hook, False), ("difrun-heavy", f"import torch\n{hook}", True)):
        site.add(dist, code)
        cases, count = collect(dist)
        assert count == 1
        rules = {case.check.name: case for case in cases}
        assert {"depends_on_a_range_of_difrun", "imports_only_what_it_declares"} <= rules.keys()
        case = rules["declares_itself_without_torch"]
        with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
            patch.setenv("PYTHONPATH", site.environ()["PYTHONPATH"])
            if heavy:
                stack.enter_context(pytest.raises(AssertionError, match="torch"))
            case.check.run(case.subject)


NEEDY = """
from difrun.errors import ConfigError
from difrun.testing import ReferenceVP

class OfFolder(ReferenceVP):
    \"\"\"The schedule of a folder.\"\"\"

    def __init__(self, folder=None):
        raise ConfigError("process 'needy' needs --process.folder")
"""

NEEDED = """
import attrs
from difrun.api import option

@attrs.frozen
class FolderOptions:
    folder: str | None = option(None, "A folder with a schedule.")
"""


def test_what_needs_an_option_is_told_and_not_failed(site):
    """A process that is made of a folder: the kit has none, and says so for each rule that it leaves."""
    site.module("needed_options", NEEDED)
    declare(
        site,
        "difrun-needy",
        "@hookimpl\ndef difrun_processes():\n"
        "    return [component('needy', 'OfFolder', FolderOptions, "
        "provides={'continuous', 'gaussian', 'ode', 'sde'}, requires={'real'})]\n",
        NEEDY,
        imports="from needed_options import FolderOptions",
    )
    outcomes = [attempt(case) for case in collect("difrun-needy")[0] if case.id.startswith("process")]
    assert [outcome.text for outcome in outcomes if outcome.status == "failed"] == []
    left = [outcome for outcome in outcomes if "needs --process.folder" in outcome.text]
    assert len(left) > 20
    assert {outcome.status for outcome in left} == {"not tried"}
