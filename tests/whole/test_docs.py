"""What the documents show is what works: README's Python, and the package that docs/plugins.md builds."""

import re
import runpy
import shutil

import numpy as np
import pytest

from . import support
from .documents import PLUGIN_PAGES, ROOT, read


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return tmp_path_factory.mktemp("docs") / "difrun-tour"


@pytest.fixture(scope="module")
def site(project, files_of, installed):
    """Where pip has installed the package that docs/plugins.md and the pages of the kinds build together."""
    files = {}
    for page in PLUGIN_PAGES:
        for name, text in files_of(page).items():
            if not name.startswith("difrun_") or name.startswith("difrun_tour/"):
                assert name not in files, name
                files[name] = text
    return installed(project, files)


def test_every_component_of_the_tour_works_in_one_run(site, difrun, tmp_path):
    named = {
        "process": "ou",
        "loss": "antithetic",
        "sampler": "halfway",
        "dataset": "corners",
        "metric": "energy",
    }
    flags = [part for kind, name in named.items() for part in (f"--{kind}", name)]
    sizes = ["--train.steps", "1500", "--train.lr", "0.005", "--n", "3000", "--out", "tour"]
    difrun("run", *flags, *sizes, "--quiet", cwd=tmp_path, path=site)
    # A sample of the distribution lies within four standard deviations of a corner, but for e^−8 of them.
    with np.load(tmp_path / "tour" / "samples.npz", allow_pickle=False) as file:
        gap = file["x"][:, None, :] - np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    near = (np.square(gap).sum(2) < 0.4**2).mean(0)
    assert near.sum() > 0.7, near
    assert near.min() > 0.15, near
    record = (tmp_path / "tour" / "run.toml").read_text(encoding="utf-8")
    assert 'name = "angle"' in record  # the data prefer this grid, and 40 steps
    assert "\nsteps = 40\n" in record
    assert (tmp_path / "finished.txt").read_text(encoding="utf-8") == "tour ['energy']\n"
    assert (tmp_path / "tour" / "picture-radii.png").is_file()


def test_the_tour_passes_the_conformance_kit(project, site, python):
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_tour.py", cwd=project, path=site)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_on_python_is_one_script_that_runs(tmp_path, monkeypatch):
    """Its blocks are docs/python_page.py, which mypy checks."""
    script = ROOT / "docs" / "python_page.py"
    blocks = re.findall(r"```python\n(.*?)```", read("docs/python.md"), re.DOTALL)
    docstring, *written = _lines(script.read_text("utf-8"))
    assert docstring.startswith('"""')
    assert written == _lines("\n".join(blocks)), (
        "the page has changed: put its blocks into docs/python_page.py"
    )
    monkeypatch.chdir(tmp_path)
    with support.without_pictures():
        found = runpy.run_path(str(script), run_name="python_page")
    run, own = found["run"], found["own"]
    assert run.metrics["sliced-w2"]["value"] < 3
    assert set(own.metrics) == {"width-ratio", "sliced-w2"}
    assert found["varied"].shape == (100, 2)
    np.testing.assert_allclose(
        np.sqrt(np.square(found["returned"] - found["x"][:10]).mean(1)), found["noise"].error, atol=1e-4
    )
    assert (found["drawn"][:, 0] > 0).double().mean() == pytest.approx(0.7, abs=0.1)


def _lines(text):
    """The lines of a script but for the blank ones, which the formatter sets."""
    return [line for line in text.splitlines() if line.strip()]


def test_the_python_of_the_ou_plugin_runs(python, tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", read("plugins/ou/README.md"), re.DOTALL)
    check = "assert path.shape == (101, 1000, 1) and abs(p.sum() * 6 / 199 - 1) < 0.01, p.sum() * 6 / 199\n"
    done = python("-c", block + check, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_commands_of_the_other_pages_are_understood(difrun, tmp_path):
    """On a tiny run in the place of each that a page names, with --help: a flag that does not exist is an error."""
    short = {"DIFRUN_TRAIN_STEPS": "1", "DIFRUN_SAMPLE_N": "50", "DIFRUN_METRIC": "energy"}
    flags = ["--process", "edm", "--dataset", "digits", "--model", "mlp", "--steps", "2", "--threads", "1"]
    difrun("run", *flags, "--out", "digits", cwd=tmp_path, **short)
    shutil.copytree(tmp_path / "digits", tmp_path / "RUN")
    pages = [page for page in ROOT.glob("docs/*.md") if page.name != "plugins.md"]
    blocks = [
        block
        for page in pages
        for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    ]
    lines = [line.split("#")[0].split() for line in "\n".join(blocks).splitlines()]
    ran = [words[1:] for words in lines if words and words[0] == "difrun"]
    assert len(ran) >= 10
    for words in ran:
        of_a_run = words[0] in ("sample", "evaluate", "compare", "tune", "resume", "report")
        if of_a_run and words[1][0] != "-" and not (tmp_path / words[1]).exists():
            shutil.copytree(tmp_path / "RUN", tmp_path / words[1])
        done = difrun(*words, "--help", cwd=tmp_path)
        assert "Error" not in done.stderr, (words, done.stderr)
