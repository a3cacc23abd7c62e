"""The directory of plugins, and which package a message names."""

import tomllib
from importlib import resources
from pathlib import Path

import pytest

from difrun.plugin.hooks import OFFERED
from difrun.plugin.known import install, known_plugins, offering
from difrun.plugin.packages import Plugin, not_found, where_from

ROOT = Path(__file__).resolve().parents[3]


def test_the_directory_is_well_formed():
    text = resources.files("difrun.plugin").joinpath("known.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    assert list(tables) == sorted(tables)
    for dist, table in tables.items():
        assert table.keys() <= {"summary", "repository", "folder", "offers", "events"}, dist
        assert "folder" not in table or table["repository"] == "difrun", dist
        assert table["repository"] == "difrun" or table["repository"].startswith("https://"), dist
        assert table["summary"].strip(), dist
        assert "\n" not in table["summary"], dist
        assert table.get("offers") or table.get("events"), dist
        for kind, names in table.get("offers", {}).items():
            assert kind in OFFERED, dist
            assert names == sorted(set(names)), (dist, kind)


def test_the_plugins_of_this_repository_are_in_it_with_their_summary():
    files = [*ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("examples/*/pyproject.toml")]
    projects = {path: tomllib.loads(path.read_text(encoding="utf-8"))["project"] for path in files}
    folders = {project["name"]: path for path, project in projects.items()}
    own = {plugin.dist: plugin for plugin in known_plugins() if plugin.repository == "difrun"}
    assert own.keys() == folders.keys()
    for dist, path in folders.items():
        assert own[dist].summary == projects[path]["description"]
        assert own[dist].place == f"difrun's own repository, {path.parent.relative_to(ROOT).as_posix()}"


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("dpmpp-2m", "sampler", "\nSampler 'dpmpp-2m' is in difrun-edm: pip install difrun-edm"),
        ("dpmpp-2m", "process", ""),
        ("dpmpp-2m", None, "\nSampler 'dpmpp-2m' is in difrun-edm: pip install difrun-edm"),
        ("edm", "loss", "\nLoss 'edm' is in difrun-edm: pip install difrun-edm"),
        (
            "edm",
            None,
            "\nProcess 'edm', loss 'edm' and sampler 'edm' are in difrun-edm: pip install difrun-edm",
        ),
        ("difrun-edm:edm", "loss", "\nLoss 'edm' is in difrun-edm: pip install difrun-edm"),
        ("difrun-ou:edm", "loss", ""),
        ("difrun_edm", None, "\nWhat 'difrun_edm' offers is in difrun-edm: pip install difrun-edm"),
        (
            "sscs",
            "sampler",
            "\nSampler 'sscs' is in difrun-cld: pip install ./examples/critically-damped-langevin, in a checkout of "
            "difrun",
        ),
        ("no-such", None, ""),
    ],
)
def test_a_name_leads_to_the_package_that_offers_it(name, kind, said):
    assert where_from(name, [], kind) == said


def test_an_installed_plugin_is_not_to_be_installed():
    edm = Plugin("edm", "difrun-edm", "0.1.0", "difrun_edm")
    assert where_from("dpmpp-2m", [edm], "sampler") == ""
    edm.status = "broken"
    assert (
        where_from("dpmpp-2m", [edm], "sampler") == "\nThe plugin difrun-edm is broken: see 'difrun doctor'."
    )


def test_only_what_is_in_the_directory_has_a_command():
    assert install("difrun-edm") == "pip install difrun-edm"
    assert install("difrun-edm", "0.1.0") == "pip install difrun-edm==0.1.0"
    assert install("difrun-nowhere") == ""
    assert offering("no-such") == {}


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("dpmpp-2n", "sampler", " Did you mean 'dpmpp-2m' of difrun-edm (pip install difrun-edm)?"),
        (
            "difrun-edm:dpmpp-2n",
            "sampler",
            " Did you mean 'difrun-edm:dpmpp-2m' of difrun-edm (pip install difrun-edm)?",
        ),
        ("edm:dpmpp-2n", "sampler", " Did you mean 'edm:dpmpp-2m' of difrun-edm (pip install difrun-edm)?"),
        ("difrun-edn:edm", "loss", " Did you mean 'difrun-edm:edm' of difrun-edm (pip install difrun-edm)?"),
        (
            "tensorbord",
            None,
            " Did you mean 'tensorboard' of difrun-tensorboard (pip install difrun-tensorboard)?",
        ),
        ("difrun-tensorbord", None, " Did you mean 'difrun-tensorboard' (pip install difrun-tensorboard)?"),
        ("heunn", "sampler", " Did you mean 'heun'?"),
        ("dpmpp-2n", "grid", ""),
        ("no-such-thing", None, ""),
    ],
)
def test_a_misspelt_name_of_an_absent_plugin_is_guessed(name, kind, said):
    assert not_found(name, ["heun", "euler"], [], kind) == (said, "")


def test_what_is_installed_is_guessed_without_a_command():
    edm = Plugin("edm", "difrun-edm", "0.1.0", "difrun_edm")
    assert not_found("dpmpp-2n", ["heun", "dpmpp-2m"], [edm], "sampler") == (" Did you mean 'dpmpp-2m'?", "")
    edm.status = "disabled"
    assert not_found("dpmpp-2n", ["heun"], [edm], "sampler") == (
        " Did you mean 'dpmpp-2m' of difrun-edm, which is disabled by DIFRUN_PLUGINS?",
        "",
    )
    assert not_found("dpmpp-2m", ["heun"], [edm], "sampler") == (
        "",
        "\nThe plugin difrun-edm is disabled by DIFRUN_PLUGINS.",
    )
