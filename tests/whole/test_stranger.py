"""A stranger writes a plugin from README's recipe: its code blocks, word for word, in a package of their own."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


def recipe():
    """File name -> text, from README's section "Write a plugin": a line that starts with a name, then its block."""
    section = README.read_text(encoding="utf-8").split("\n## Write a plugin\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^`([\w/.]+)`[^`]*?```\w+\n(.*?)^```", section, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory, python):
    """The project in one folder, and installed by pip into another, so that this environment stays as it is."""
    project = tmp_path_factory.mktemp("difrun-ab2")
    for name, text in recipe().items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    site = tmp_path_factory.mktemp("site")
    pip = (
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--target",
        str(site),
    )
    installed = python(*pip, str(project), cwd=project)
    assert installed.returncode == 0, installed.stderr

    def run(*arguments, cwd=project):
        return python(*arguments, cwd=cwd, path=site)

    return run, project


@pytest.fixture(scope="module")
def difrun(stranger):
    """Run the command with the plugin installed; returns what it prints."""
    run, project = stranger

    def command(*arguments, cwd=project):
        done = run("-c", "from difrun.cli import main; main()", *arguments, cwd=cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command


def test_the_recipe_is_whole_and_short():
    files = recipe()
    assert sorted(files) == [
        "difrun_ab2/__init__.py",
        "difrun_ab2/sampler.py",
        "pyproject.toml",
        "test_ab2.py",
    ]
    code = "".join(text for name, text in files.items() if name.startswith("difrun_ab2/"))
    assert 20 < len([line for line in code.splitlines() if line.strip()]) <= 30


def test_it_is_listed_with_its_plugin(difrun):
    (row,) = [line.split() for line in difrun("list", "samplers").splitlines() if line.split()[:1] == ["ab2"]]
    assert row[-1] == "difrun-ab2"
    rows = [line.split() for line in difrun("plugins").splitlines()]
    assert ["difrun-ab2", "0.1.0", "ok", "sampler", "ab2"] in rows


def test_show_gives_its_formula_and_what_it_works_with(difrun):
    text = difrun("show", "ab2")
    assert "y_s = y_t + h [u_t + h/(2h') (u_t − u')]" in text
    assert re.search(r"processes +ou, ve, vp\n", text)


def test_it_runs_by_name(difrun, tmp_path):
    """With the exact model of a mixture its samples have the moments of the mixture, within five standard errors."""
    n = 4000
    difrun(
        *("run", "--process", "ou", "--sampler", "ab2", "--model", "exact", "--dataset", "blobs"),
        *("--steps", "60", "--n", str(n), "--metric", "sliced-w2", "--out", "blobs", "--quiet"),
        cwd=tmp_path,
    )
    with np.load(tmp_path / "blobs" / "samples.npz", allow_pickle=False) as file:
        x = file["x"].astype(float)
    # Two blobs at ±(2, 2) of variance 0.1: each coordinate has mean 0, variance 4.1 and E|x| = 2 up to 1e-9.
    assert x.shape == (n, 2)
    assert np.abs(x.mean(0)).max() < 5 * np.sqrt(4.1 / n)
    assert np.abs(np.abs(x).mean(0) - 2).max() < 5 * np.sqrt(0.1 / n)
    facts = json.loads((tmp_path / "blobs" / "metrics.json").read_text(encoding="utf-8"))
    assert facts["samples"]["evaluations"] == 60


def test_it_samples_from_a_network_and_from_an_earlier_run(difrun, tmp_path):
    short = ("--train.steps", "30", "--steps", "4", "--n", "50", "--metric", "energy", "--quiet")
    difrun("--process", "vp", "--sampler", "ab2", *short, "--out", "run", cwd=tmp_path)
    assert 'name = "ab2"' in (tmp_path / "run" / "run.toml").read_text(encoding="utf-8")
    difrun(
        "sample",
        "run",
        "--sampler",
        "difrun-ab2:ab2",
        "--steps",
        "6",
        "--out",
        "more.npz",
        "--quiet",
        cwd=tmp_path,
    )
    with np.load(tmp_path / "run" / "samples.npz") as first, np.load(tmp_path / "more.npz") as second:
        assert first["x"].shape == second["x"].shape == (50, 2)
        assert not np.array_equal(first["x"], second["x"])
        assert np.isfinite(second["x"]).all()


def test_its_conformance_test_passes_and_measures_the_order(stranger):
    run, project = stranger
    done = run("-m", "pytest", "-v", "-p", "no:cacheprovider", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"ab2.*order.*PASSED", done.stdout), done.stdout


def test_the_conformance_test_fails_when_the_order_is_wrong(stranger, python, tmp_path):
    """The same plugin claiming order 3: the kit must say so."""
    _, project = stranger
    for name, text in recipe().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("order = 2", "order = 3"), encoding="utf-8")
    site = tmp_path / "site"
    pip = (
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--target",
        str(site),
    )
    assert python(*pip, ".", cwd=tmp_path).returncode == 0
    done = python("-m", "pytest", "-v", "-p", "no:cacheprovider", "test_ab2.py", cwd=tmp_path, path=site)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if line.endswith(" FAILED") or " FAILED " in line]
    assert failed
    assert all("order" in line for line in failed), failed
