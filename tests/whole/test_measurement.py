"""Guidance by a measurement from the command line, and a measurement of a stranger's from the README of the plugin."""

import numpy as np
import pytest

from .support import difrun, without_pictures

EXACT = ("--dataset", "gmm", "--model", "exact", "--threads", "1", "--metric", "sliced-w2", "--quiet")
RING = 2.0


def drawn(path):
    with np.load(path, allow_pickle=False) as file:
        return file["x"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Eight modes on a circle of radius 2, with their exact model."""
    folder = tmp_path_factory.mktemp("measurement") / "run"
    with without_pictures():
        difrun("run", "--process", "edm", *EXACT, "--n", "20", "--steps", "3", "--out", folder)
    return folder


@pytest.mark.parametrize("method", ["exact", "mmps", "pigdm", "dps"])
def test_half_of_a_vector_is_measured(run, tmp_path, method):
    """y = 1.4 ± 0.2 for the first coordinate: samples are there, and the second is that of the modes at 45°."""
    np.save(tmp_path / "y.npy", [1.4])
    measured = ("--guidance", method, "--guidance.y", tmp_path / "y.npy", "--guidance.sigma-y", "0.2")
    flags = (*measured, "--sampler", "ancestral", "--steps", "60")
    out = tmp_path / "given.npz"
    difrun("sample", run, *flags, "--n", "400", "--out", out, "--quiet")
    x = drawn(out)
    misfit = np.square((x[:, 0] - 1.4) / 0.2).mean()
    assert 0.2 < misfit < 1.5, misfit
    assert np.abs(np.abs(x[:, 1]) - 2**0.5).mean() < 0.4
    assert 0.3 < (x[:, 1] > 0).mean() < 0.7


def test_the_default_sampler_and_grid_take_a_guided_model(run, tmp_path):
    """`adams` on `pilot`, whose trajectories are those of the guided model; y from held-out example 3."""
    out = tmp_path / "given.npz"
    flags = ("--guidance", "mmps", "--guidance.example", "3", "--n", "200", "--steps", "20")
    said = difrun("sample", run, *flags, "--out", out)
    assert (
        "Measured: 1 of the 2 numbers of an example, of held-out example 3, with noise; σ_y = 0.05." in said
    )
    x = drawn(out)
    assert x[:, 0].std() < 0.1  # the posterior: at most σ_y, about a y that the noise moved by as much
    assert np.abs(np.hypot(*x.T) - RING).mean() < 0.5


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("mmps", "--guidance.sigma-y", "0"), "--guidance.mmps.sigma-y: must be > 0"),
        (
            ("mmps", "--guidance.operator", "blur"),
            "blur works on images; an example here is a vector of 2 numbers",
        ),
        (("dps", "--guidance.seen", "outside", "--guidance.box", "0,0,1,1"), "seen outside works on images"),
        (("pigdm", "--guidance.example", "99999"), "held-out examples, numbered 0 to"),
        (("dps", "--guidance.factor", "3"), "operator mask has no factor"),
        (("mmps", "--guidance.y", "nowhere.npy"), "nowhere.npy' does not exist"),
    ],
)
def test_bad_input_is_told_in_the_words_of_the_user(run, flags, said):
    where = difrun(
        "sample", run, "--guidance", *flags, code=2 if "sigma" in said or "no factor" in said else 1
    )
    assert said in where
    assert "Traceback" not in where


def test_what_cannot_be_is_refused_before_any_work(tmp_path):
    said = difrun("run", "--process", "ising", "--guidance", "mmps", "--out", tmp_path / "no", code=2)
    assert "guidance 'mmps' (difrun-guidance) needs gaussian" in said
    flags = ("--dataset", "checkerboard", "--model", "empirical", "--guidance", "exact", "--threads", "1")
    said = difrun("run", "--process", "edm", *flags, "--out", tmp_path / "none", "--n", "10", code=1)
    assert (
        "guidance 'exact' needs a dataset whose distribution is a Gaussian mixture; 'checkerboard' is not"
        in said
    )


def test_a_measurement_of_a_strangers(run, files_of, installed, python, tmp_path):
    """README's package, y = |x|² − c with c = 1: samples lie on the circle |x|² = 4.2, all around it."""
    files = files_of("plugins/guidance/README.md", "A measurement of your own")
    assert sorted(files) == ["difrun_circle/__init__.py", "difrun_circle/circle.py", "pyproject.toml"]
    site = installed(tmp_path / "difrun-circle", files)
    np.save(tmp_path / "y.npy", [3.2])
    flags = (
        "--guidance",
        "circle",
        "--guidance.y",
        "y.npy",
        "--guidance.offset",
        "1",
        "--guidance.sigma-y",
        "0.1",
    )
    command = (
        "-c",
        "from difrun.cli import main; main()",
        "sample",
        str(run),
        *flags,
        "--sampler",
        "ancestral",
    )
    done = python(*command, "--steps", "60", "--n", "300", "--out", "x.npz", cwd=tmp_path, path=site)
    assert done.returncode == 0, done.stderr
    x = drawn(tmp_path / "x.npz")
    misfit = np.square((np.square(x).sum(1) - 4.2) / 0.1).mean()
    assert 0.5 < misfit < 1.6, misfit
    assert np.abs(x.mean(0)).max() < 0.4
