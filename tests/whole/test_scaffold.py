"""`difrun plugin new`: a package of every kind is made, installed, listed, run by name, and passes its own tests."""

import csv
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from difrun.cli.scaffold.kinds import KINDS

from . import support

# What the data and the model of the run are, where the kind does not bring its own.
SMALL = ("--n", 64, "--steps", 2, "--threads", 1)
EXACT = ("--process", "ou", "--model", "exact", "--dataset", "blobs", "--metric", "energy", *SMALL)
TRAINED = ("--process", "ou", "--dataset", "blobs", "--train.steps", 2, "--metric", "energy", *SMALL)
FROZEN = Path(__file__).with_name("frozen") / "release-0.1"
"""The packages of the plugins old-KIND as `difrun plugin new` of release 0.1 made them. They are never changed."""


def run_of(kind, name):
    """The arguments of a run with the plugin of a kind whose component is called so."""
    if kind in ("model", "loss"):
        return (f"--{kind}", name, *TRAINED)
    if kind in ("sampler", "guidance", "grid"):
        return (f"--{kind}", name, *EXACT)
    return {
        "process": ("--process", name, *EXACT[2:]),
        "dataset": ("--process", "ou", "--model", "exact", "--dataset", name, "--metric", "energy", *SMALL),
        "metric": ("--process", "ou", "--model", "exact", "--dataset", "blobs", "--metric", name, *SMALL),
        "discrete-process": ("--process", name, *SMALL),
        "logger": TRAINED,
    }[kind]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a new package of every kind."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for kind in KINDS:
            support.difrun(
                "plugin", "new", f"my-{kind}", "--kind", kind, "--author", 'Ada "Countess" Lovelace'
            )
    return folder


@pytest.fixture(scope="module")
def site(made):
    """All of them, installed by pip into an empty folder, which is first on the path of this process."""
    from difrun.plugin import registry

    folder = made / "site"
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(folder))
    packages = [str(path) for path in sorted(made.glob("difrun-*"))]
    command = [sys.executable, "-m", "pip", "install", *options, *packages]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_cached", None)
        patch.syspath_prepend(folder)
        yield folder


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_whole(made, kind):
    """What a release needs is there, and names itself rightly; nothing of a template is left."""
    folder, package = made / f"difrun-my-{kind}", f"difrun_my_{kind.replace('-', '_')}"
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    wanted = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "tox.ini",
        ".gitignore",
        ".github/workflows/tests.yml",
    }
    wanted |= {f"{package}/__init__.py", f"{package}/py.typed", "tests/test_conformance.py"}
    assert wanted <= files.keys()
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    project = tomllib.loads(texts["pyproject.toml"])["project"]
    assert project["name"] == f"difrun-my-{kind}"
    assert project["authors"] == [{"name": 'Ada "Countess" Lovelace'}]
    assert project["entry-points"]["difrun"] == {f"my-{kind}": package}
    assert 'Ada "Countess" Lovelace' in texts["LICENSE"]
    assert len(texts["tests/test_conformance.py"].splitlines()) == 3
    for name, text in texts.items():
        assert not re.search(r"\{%|\}\}\w|\{\{ (?!matrix)", text), (name, text)
        if name.endswith(".py"):
            compile(text, name, "exec")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_listed(site, kind):
    listed = support.difrun("plugins", f"difrun-my-{kind}")
    assert f"difrun-my-{kind} 0.1.0  ok" in listed
    if kind != "logger":
        assert f"{kind.split('-')[-1]} my-{kind}\n" in listed


@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_by_name(site, here, kind):
    said = support.difrun("run", *run_of(kind, f"my-{kind}"), "--out", "run")
    assert "failed" not in said
    written = (here / "run" / "run.toml").read_text(encoding="utf-8")
    assert f'difrun-my-{kind} = "0.1.0"' in written or kind == "logger"
    assert support.samples(here / "run").shape[0] == 64
    if kind == "logger":
        with (here / "run" / "my-logger.csv").open(encoding="utf-8") as file:
            rows = list(csv.reader(file))
        value = support.facts(here / "run")["metrics"]["energy"]["value"]
        assert rows[0] == ["what", "step", "value"]
        # A slow machine reports more often than a fast one; the last report is always that of the last step.
        assert [row[1] for row in rows if row[0] == "loss"][-1] == "2"
        assert ["train.batch", "", "512"] in rows
        assert rows[-2:] == [["energy", "2", str(value)], ["finished", "2", ""]]


def test_what_the_discrete_process_samples_is_like_its_data(site, here):
    """In 40 steps with the exact model: the share of alike neighbours is 0.8, within five standard errors."""
    n = 2000
    support.difrun(
        "run", "--process", "my-discrete-process", "--n", n, "--steps", 40, "--threads", 1, "--out", "run"
    )
    found = support.facts(here / "run")["metrics"]["my-discrete-process-bonds"]["value"]
    # 5 bonds in each sample, in training examples (2000) and samples; ancestral steps are not exact.
    assert abs(found - 0.8) < 5 * (0.8 * 0.2 / (5 * n) * 2) ** 0.5 + 0.02


def test_their_own_tests_pass(made, site):
    """The conformance kit and what only this package does, of all packages in one process."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    tests = [str(folder / "tests") for folder in sorted(made.glob("difrun-*"))]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *tests],
        env={**support.environ(), "PYTHONPATH": path},
        cwd=made,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in KINDS:
        assert re.search(rf"^difrun-my-{kind} 0.1.0: \d+ checks", done.stdout, re.MULTILINE), done.stdout


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """The plugins that release 0.1 made, first on the path of this process."""
    from difrun.plugin import registry

    folder = tmp_path_factory.mktemp("frozen")
    for kind in KINDS:
        info = folder / f"difrun_old_{kind.replace('-', '_')}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: difrun-old-{kind}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(
            f"[difrun]\nold-{kind} = difrun_old_{kind.replace('-', '_')}\n"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_cached", None)
        patch.syspath_prepend(FROZEN)
        patch.syspath_prepend(folder)
        yield folder


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_last_release_made_still_works(frozen, here, kind):
    """A change of the contract of plugins would break packages that people have: it needs a new minor version."""
    said = support.difrun("run", *run_of(kind, f"old-{kind}"), "--out", "run")
    assert "failed" not in said
    assert "Warning" not in said
    assert support.samples(here / "run").shape[0] == 64
    assert (here / "run" / "old-logger.csv").is_file()  # its events are called in every run of this process
