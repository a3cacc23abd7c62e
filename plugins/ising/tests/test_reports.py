"""Reports of whole runs: their pictures, exact values and notes; and the README's Python."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from .test_runs import SMALL, difrun


def drawn(folder):
    return {path.name for path in folder.iterdir() if path.suffix in (".png", ".gif")}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setenv("DIFRUN_PLUGINS", "ising")


PICTURES = {"samples.png", "picture-raster.png", "reverse.gif", "loss.png"}
STATISTICS = {"picture-distributions.png", "picture-correlation.png"}


def test_a_wide_torus_tells_its_autocorrelation_and_its_exact_energy(tmp_path, capsys):
    few = ("--dataset.n", "40", "--dataset.held-out", "40")
    difrun("--process", "ising", "--dataset.size", "13", *few, *SMALL, "--out", tmp_path / "run")
    printed = capsys.readouterr()
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    for text in (" ".join(printed.err.split()), page):
        assert "integrated autocorrelation times of" in text
    assert drawn(tmp_path / "run") == PICTURES | STATISTICS
    facts = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))["metrics"]
    assert {name for name, number in facts.items() if "exact" in number} == {
        "lattice.energy",
        "lattice.heat-capacity",
    }
    assert re.search(r"^metric +value +exact +floor", printed.out, re.MULTILINE)


def test_spins_of_a_file_keep_their_pictures_when_the_run_is_reopened(tmp_path, capsys):
    """Their examples come from the folder then, not from the component."""
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).choice([-1.0, 1.0], size=(60, 3, 4)))
    flags = (
        "--process",
        "ising",
        "--dataset",
        "spin-file",
        "--dataset.path",
        tmp_path / "mine.npy",
    )
    difrun("--process", "ising", "--dataset", tmp_path / "mine.npy", "--out", tmp_path / "run", code=2)
    assert "For a file: --dataset spin-file --dataset.path FILE." in capsys.readouterr().err
    difrun(*flags, *SMALL, "--out", tmp_path / "run")
    (tmp_path / "mine.npy").unlink()
    facts = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))["metrics"]
    assert "lattice.energy-ks" in facts
    assert drawn(tmp_path / "run") == PICTURES | STATISTICS
    for name in STATISTICS:
        (tmp_path / "run" / name).unlink()
    difrun("report", tmp_path / "run")
    assert drawn(tmp_path / "run") == PICTURES | STATISTICS


def test_strings_have_pictures_of_their_own(tmp_path):
    few = (
        "--dataset.n",
        "60",
        "--dataset.length",
        "5",
        "--process.mixing",
        "absorbing",
    )
    difrun("--process", "categorical", *few, *SMALL, "--out", tmp_path / "run")
    assert drawn(tmp_path / "run") == PICTURES | {"picture-transitions.png"}


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    assert (tmp_path / "distributions.png").stat().st_size > 10_000
