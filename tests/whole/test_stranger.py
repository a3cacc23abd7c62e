"""A stranger writes a plugin from README's recipe: its code blocks, word for word, in a package of their own."""

import json
import re

import numpy as np
import pytest


@pytest.fixture(scope="module")
def recipe(files_of):
    return files_of("README.md", "Write a plugin")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return tmp_path_factory.mktemp("stranger") / "difrun-ab2"


@pytest.fixture(scope="module")
def site(project, recipe, installed):
    return installed(project, recipe)


def test_the_recipe_is_whole_and_short(recipe):
    assert sorted(recipe) == [
        "difrun_ab2/__init__.py",
        "difrun_ab2/sampler.py",
        "pyproject.toml",
        "test_ab2.py",
    ]
    code = "".join(text for name, text in recipe.items() if name.startswith("difrun_ab2/"))
    assert 20 < len([line for line in code.splitlines() if line.strip()]) <= 30


def test_it_is_listed_with_its_plugin(difrun, site, tmp_path):
    listed = difrun("list", "samplers", cwd=tmp_path, path=site).stdout.splitlines()
    (row,) = [line.split() for line in listed if line.split()[:1] == ["ab2"]]
    assert row[-1] == "difrun-ab2"
    rows = [line.split() for line in difrun("plugins", cwd=tmp_path, path=site).stdout.splitlines()]
    assert ["difrun-ab2", "0.1.0", "ok", "sampler", "ab2"] in rows


def test_show_gives_its_formula_and_what_it_works_with(difrun, site, tmp_path):
    text = difrun("show", "ab2", cwd=tmp_path, path=site).stdout
    assert "y_s = y_t + h [u_t + h/(2h') (u_t − u')]" in text
    assert re.search(r"processes +ddpm, edm, flow, ou, tabulated, ve, vp\n", text)


def test_it_runs_by_name(difrun, site, tmp_path):
    """With the exact model of a mixture its samples have the moments of the mixture, within five standard errors."""
    n = 4000
    difrun(
        *("run", "--process", "ou", "--sampler", "ab2", "--model", "exact", "--dataset", "blobs"),
        *("--steps", "60", "--n", str(n), "--metric", "sliced-w2", "--out", "blobs", "--quiet"),
        cwd=tmp_path,
        path=site,
    )
    with np.load(tmp_path / "blobs" / "samples.npz", allow_pickle=False) as file:
        x = file["x"].astype(float)
    # Two blobs at ±(2, 2) of variance 0.1: each coordinate has mean 0, variance 4.1 and E|x| = 2 up to 1e-9.
    assert x.shape == (n, 2)
    assert np.abs(x.mean(0)).max() < 5 * np.sqrt(4.1 / n)
    assert np.abs(np.abs(x).mean(0) - 2).max() < 5 * np.sqrt(0.1 / n)
    facts = json.loads((tmp_path / "blobs" / "metrics.json").read_text(encoding="utf-8"))
    assert facts["samples"]["evaluations"] == 60


def test_it_samples_from_a_network_and_from_an_earlier_run(difrun, site, tmp_path):
    short = ("--train.steps", "30", "--steps", "4", "--n", "50", "--metric", "energy", "--quiet")
    difrun("--process", "vp", "--sampler", "ab2", *short, "--out", "run", cwd=tmp_path, path=site)
    assert 'name = "ab2"' in (tmp_path / "run" / "run.toml").read_text(encoding="utf-8")
    more = ("--sampler", "difrun-ab2:ab2", "--steps", "6", "--out", "more.npz", "--quiet")
    difrun("sample", "run", *more, cwd=tmp_path, path=site)
    with np.load(tmp_path / "run" / "samples.npz") as first, np.load(tmp_path / "more.npz") as second:
        assert first["x"].shape == second["x"].shape == (50, 2)
        assert not np.array_equal(first["x"], second["x"])
        assert np.isfinite(second["x"]).all()


def test_its_conformance_test_passes_and_measures_the_order(python, project, site):
    done = python("-m", "pytest", "-v", "-p", "no:cacheprovider", cwd=project, path=site)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"ab2.*order.*PASSED", done.stdout), done.stdout


def test_the_conformance_test_fails_when_the_order_is_wrong(python, recipe, installed, tmp_path):
    """The same plugin claiming order 3: the kit must say so, and find nothing else."""
    wrong = {name: text.replace("order = 2", "order = 3") for name, text in recipe.items()}
    site = installed(tmp_path / "wrong", wrong)
    done = python("-m", "pytest", "-v", "-p", "no:cacheprovider", cwd=tmp_path / "wrong", path=site)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = re.findall(r"^\S+::(.*) FAILED", done.stdout, re.MULTILINE)
    assert failed
    assert all("order" in name for name in failed), failed


BROKEN = {
    "difrun-clash": """
        from difrun.api import Component, hookimpl

        @hookimpl
        def difrun_samplers():
            return [Component("heun", "nowhere:Heun", "Not that one", requires={"gaussian"})]
        """,
    "difrun-typo": """
        from difrun.api import hookimpl

        @hookimpl
        def difrun_samplerz():
            return []
        """,
}


@pytest.fixture
def troubled(tmp_path):
    """One plugin with a name of the core's and one with a misspelt hook, both installed."""
    site = tmp_path / "troubled"
    for dist, code in BROKEN.items():
        module = dist.replace("-", "_")
        info = site / f"{module}-0.1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(
            "\n".join(line[8:] for line in code.splitlines()), encoding="utf-8"
        )
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[difrun]\n{dist.removeprefix('difrun-')} = {module}\n")
    return site


def test_a_run_and_what_follows_it_work_beside_two_broken_plugins(difrun, troubled, tmp_path):
    short = ("--train.steps", "20", "--steps", "3", "--n", "40", "--metric", "energy")
    for arguments in (
        ("--process", "ou", "--sampler", "difrun:heun", *short, "--out", "run"),
        ("sample", "run", "--sampler", "euler", "--steps", "2"),
        ("evaluate", "run", "--metric", "sliced-w2"),
        ("report", "run"),
    ):
        done = difrun(*arguments, cwd=tmp_path, path=troubled)
        for told in (
            "Plugin difrun-typo is broken: NameError: there is no hook difrun_samplerz.",
            "Several plugins offer sampler 'heun': write difrun-clash:heun or difrun:heun.",
        ):
            assert told in done.stderr, arguments
    refused = difrun("--sampler", "heun", *short, "--out", "bare", code=2, cwd=tmp_path, path=troubled)
    assert "write difrun-clash:heun or difrun:heun" in refused.stderr
    doctor = difrun("doctor", code=1, cwd=tmp_path, path=troubled)
    assert "Did you mean 'difrun_samplers'?" in doctor.stdout + doctor.stderr
