"""What is wrong with a command, its data or its training is said in the user's words, with the right exit code."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from .support import (
    SMALL,
    difrun,
    plugin,
    samples,
    weights,
    without_pictures,
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The temporary folder as the working one; nothing is drawn."""
    monkeypatch.chdir(tmp_path)
    with without_pictures():
        yield tmp_path


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--process", "uo"), "Invalid value for --process: no process is called 'uo'. Did you mean 'ou'?"),
        (
            ("--sampler", "huen"),
            "Invalid value for --sampler: no sampler is called 'huen'. Did you mean 'heun'?",
        ),
        (
            ("--process.tehta", "1"),
            "process 'ou' has no option 'tehta' (--process.tehta). Did you mean '--process.theta'?",
        ),
        (("--process.theta", "-1"), "Invalid value for --process.theta: must be >= 1e-09, <= 1e+06; got -1"),
        (("--steps", "0"), "Invalid value for --steps: must be >= 1, <= 100000; got 0"),
        (("--n", "0"), "Invalid value for --n: must be >= 1, <= 1000000000; got 0"),
        (("--train.steps", "-1"), "Invalid value for --train.steps: must be >= 0, <= 1000000000; got -1"),
        (
            ("--train.steps", "many"),
            "Invalid value for --train.steps: expected a whole number, >= 0, <= 1000000000; got many",
        ),
        (("--config", "gone.toml"), "The file gone.toml does not exist."),
    ],
)
def test_wrong_usage(here, flags, message):
    assert message in difrun(*flags, "--out", "x", code=2)
    assert list(here.iterdir()) == []


def test_zero_training_steps_leave_the_network_as_it_was_drawn(here):
    """Not an error: the reference that a trained network is compared with."""
    for steps in (0, 1):
        difrun(*SMALL[2:], "--train.steps", steps, "--out", str(steps))
    untrained, after = weights(here / "0"), weights(here / "1")
    assert untrained["step"] == 0
    assert any(
        not np.array_equal(after[name], untrained[name]) for name in after if name.startswith("network.")
    )
    assert np.isfinite(samples(here / "0")).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.csv", None, "file '{path}' does not exist (looked in {folder})."),
        (
            "points.csv",
            "height,mass\n" + "1,2\n" * 30 + "3,nan\n" + "5,6\n" * 9,
            "file '{path}', line 32, column 'mass': nan. Remove or fill that row.",
        ),
        (
            "points.csv",
            "1,2\n" * 30 + "1,2,3\n",
            "file '{path}', line 31: 3 values, but 2 in line 1.",
        ),
        (
            "points.npy",
            np.where(np.arange(80).reshape(40, 2) == 15, np.nan, 1.0),
            "file '{path}': nan in row 8, column 2 (1 of 40 rows hold NaN or infinity).",
        ),
        ("points.npy", np.ones((5, 2)), "file '{path}' has 5 rows; at least 20 are needed to train on."),
        ("points.npy", np.float64(3), "expected an array of shape (N, columns)"),
        ("points.npy", np.ones((0, 2)), "file '{path}' is empty (shape (0, 2))."),
        ("points.npy", np.ones((40, 2)), "column 1, column 2: constant, so it cannot be scaled"),
        (
            "points.npy",
            np.array([None] * 40),
            "holds Python objects, not numbers; difrun never unpickles data.",
        ),
        ("points.parquet", "PAR1", "cannot be read as .parquet"),
        ("points.xlsx", "PK", "expected a file that ends in .npy, .npz, .csv, .parquet"),
    ],
)
def test_bad_data(here, name, content, message):
    path = here / name
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif content is not None:
        np.save(path, content)
    said = difrun("--dataset", path, *SMALL, "--out", "x", code=1)
    assert message.format(path=path, folder=here) in said
    assert not (here / "x").exists()


def test_the_mean_of_the_process_must_fit_the_data(here):
    said = difrun(*SMALL, "--process.mu", "1,2,3", "--out", "x", code=1)
    expected = "process 'ou' has a mean of 3 coordinates; the examples of dataset 'rings' have shape (2,)."
    assert expected in said
    assert list(here.iterdir()) == []


SPINS = '''
"""A world of spins, beside the Gaussian ones."""
from difrun.api import Component, hookimpl

@hookimpl
def difrun_processes():
    return [Component("flips", "difrun_magnet:F", "Spins.", provides={"discrete"}, requires={"spins"})]

@hookimpl
def difrun_datasets():
    return [Component("lattice", "difrun_magnet:L", "Spins.", provides={"spins"})]

@hookimpl
def difrun_samplers():
    return [Component("hop", "difrun_magnet:T", "Spins.", requires={"discrete"})]
'''


@pytest.mark.parametrize(
    ("flags", "message", "fitting"),
    [
        (
            ("--process", "flips", "--sampler", "heun"),
            "sampler 'heun' (difrun) needs gaussian, which process 'flips' (difrun-magnet) does not offer "
            "(it offers discrete).\n",
            (
                ("Samplers that work with process 'flips': ", {"ancestral", "hop"}),
                ("Processes that work with sampler 'heun': ", {"ddpm", "edm", "flow", "ou", "ve", "vp"}),
            ),
        ),
        (
            ("--process", "ou", "--dataset", "lattice"),
            "process 'ou' (difrun-ou) needs real, which dataset 'lattice' (difrun-magnet) does not offer "
            "(it offers spins).\n",
            (("Processes that work with dataset 'lattice': ", {"flips"}),),
        ),
    ],
)
def test_pairs_that_cannot_work_are_refused_with_those_that_can(here, monkeypatch, flags, message, fitting):
    from difrun.plugin import registry

    (here / "site").mkdir()
    plugin(here / "site", "difrun-magnet", SPINS)
    monkeypatch.syspath_prepend(here / "site")
    monkeypatch.setattr(registry, "_cached", None)
    said = difrun(*flags, "--out", "x", code=2)
    assert message in said
    for start, names in fitting:
        (line,) = [line for line in said.splitlines() if line.startswith(start)]
        found = set(line.removeprefix(start).rstrip(".").split(", "))
        assert names <= found
        assert not {"heun", "ou"} & (found - names)
    assert not (here / "x").exists()


def test_a_device_that_is_not_here(here, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    said = difrun(*SMALL, "--device", "cuda", "--out", "x", code=1)
    assert (
        said.splitlines()[-1]
        == "Error: The device cuda is not here: this machine has cpu. Choose one of them, or auto."
    )
    assert list(here.iterdir()) == []


def test_a_loss_that_is_not_finite(here):
    """It stops with what to try; the weights that are kept are finite, and those of a known step."""
    said = difrun(*SMALL, "--train.lr", "1e30", "--out", "x", code=1)
    error = said[said.index("Error:") :]
    assert "became NaN or infinite at step" in error
    assert "Try a smaller --train.lr (now 1e+30)" in error
    assert "The last good weights are in x/model.safetensors." in error
    tensors = load_file(here / "x" / "model.safetensors")
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())
    assert int(tensors["step"]) < 120
    assert {path.name for path in (here / "x").iterdir()} == {"run.toml", "model.safetensors"}
    assert "has not been trained to the end" in difrun("sample", "x", code=1)
