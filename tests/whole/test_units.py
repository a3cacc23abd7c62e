"""Columns of any finite size through a run: what goes in as float64 comes out as float64, whatever its units."""

import json
import math

import numpy as np
import pytest
from safetensors.numpy import load_file

from .support import difrun, facts, samples, without_pictures

ONE = ("--metric", "sliced-w2", "--threads", 1)
SIZES = ("--train.batch", 128, "--model.width", 32, "--n", 2000, "--steps", 12, *ONE)
SHORT = ("--train.steps", 300, *SIZES)
TINY = ("--train.steps", 5, "--model.width", 16, "--n", 100, "--steps", 4, *ONE)
CENTRE = np.array([1.7e9, 0.0, 0.0, 1e307, 0.0])
WIDTH = np.array([1.0, 1e44, 1e-46, 3e307, 1e-310])
NAMES = ("far", "large", "small", "largest", "denormal")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def normal(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns))


def test_columns_of_any_size_come_back_in_float64(folder):
    """Decoded moments, the number of distinct values, the file of the examples, metrics and pictures.

    After so short a training, means are right to 0.15 and deviations to 0.2 of a column's own.
    """
    z = normal(1000, 5)
    raw = CENTRE + WIDTH * z
    np.savetxt("wide.csv", raw, delimiter=",", header=",".join(NAMES), comments="", fmt="%.17g")
    difrun("--dataset", "wide.csv", "--process", "ou", *SHORT, "--out", "run")
    x = samples(folder / "run")
    assert x.dtype == np.float64
    units = (x - CENTRE) / WIDTH
    assert np.all(np.abs(units.mean(0)) < 0.15)
    assert np.all(np.abs(units.std(0) - 1) < 0.2)
    assert [len(np.unique(column)) for column in x.T] == [2000] * 5
    kept = load_file(folder / "run" / "data.safetensors")
    assert kept["shift"].dtype == kept["scale"].dtype == np.float64
    rows = kept["shift"] + kept["scale"] * kept["train"].astype(np.float64)
    order = raw[:, 0].argsort()
    both = np.concatenate([rows, kept["shift"] + kept["scale"] * kept["held_out"].astype(np.float64)])
    assert np.abs((both[both[:, 0].argsort()] - raw[order]) / WIDTH).max() < 1e-6
    # The same samples, measured from their own file and from a .csv, have the same metrics.
    before = facts(folder / "run")["metrics"]["sliced-w2"]
    np.savetxt("again.csv", x, delimiter=",", header=",".join(NAMES), comments="", fmt="%.17g")
    for name in ("run/samples.npz", "again.csv"):
        difrun("evaluate", "run", "--samples", name, "--metric", "sliced-w2")
        written = (folder / name).with_suffix(".metrics.json").read_text(encoding="utf-8")
        assert json.loads(written)["metrics"]["sliced-w2"]["value"] == pytest.approx(
            before["value"], rel=1e-5
        )
    assert {path.name for path in (folder / "run").glob("*.png")} == {"samples.png", "flow.png", "loss.png"}
    assert (folder / "run" / "report.html").is_file()


def test_two_columns_are_drawn_and_their_likelihood_is_in_their_units(folder):
    """N(1.7·10⁹, 1) and N(0, 10⁹⁰): −log p is the entropy ½ log(2πe) each plus log 10⁴⁵, to 0.15 nats."""
    np.save("two.npy", np.array([1.7e9, 0]) + np.array([1, 1e45]) * normal(3000, 2))
    difrun("--dataset", "two.npy", "--process", "ou", *SHORT, "--out", "run")
    said = difrun("evaluate", "run", "--likelihood", "--likelihood.n", 500, "--likelihood.steps", 30)
    assert "have been added to −log p" in said
    found = facts(folder / "run")["likelihood"]["nll"]
    exact = math.log(2 * math.pi * math.e) + 45 * math.log(10)
    assert abs(found["nats"] - exact) < 0.15 + 4 * found["nats_error"]
    assert {"density.png", "score.png"} <= {path.name for path in (folder / "run").iterdir()}


def test_pictures_of_the_largest_and_smallest_columns(folder):
    np.save("two.npy", np.array([3e307, 1e-310]) * normal(500, 2))
    difrun("--dataset", "two.npy", "--process", "ou", *TINY, "--out", "run")
    assert {"density.png", "score.png", "samples.png"} <= {path.name for path in (folder / "run").iterdir()}


@pytest.mark.parametrize(("scale", "narrowest", "widest"), [("std", 3.0, math.inf), ("robust", 0.85, 1.15)])
def test_one_value_far_out_does_not_widen_the_bulk_if_scaled_robustly(folder, scale, narrowest, widest):
    """999 of N(0, 1) and one 10⁵: the middle half of the samples is as wide as that of the data, or told to be not."""
    raw = normal(1000, 1)
    raw[5] = 1e5
    np.save("out.npy", raw)
    with without_pictures():
        said = difrun(
            *("--dataset", "out.npy", "--dataset.scale", scale, "--process", "ou", *SIZES),
            *("--train.steps", 1000, "--out", "run"),
        )
    spread = np.subtract(*np.quantile(samples(folder / "run"), [0.75, 0.25])) / 1.349
    assert narrowest < spread < widest
    told = "few values far out decide its standard deviation" in said and "--dataset.scale robust" in said
    assert told == (scale == "std")
    units = facts(folder / "run")["metrics"]["sliced-w2"]["units"]
    assert ("median 0 and interquartile range 1.349" in units) == (scale == "robust")


def test_a_robust_scaling_is_the_same_when_the_run_is_opened_again(folder):
    from difrun import reopen

    raw = normal(200, 1)
    raw[5] = 1e5
    np.save("out.npy", raw)
    with without_pictures():
        difrun("--dataset", "out.npy", "--dataset.scale", "robust", *TINY, "--out", "run")
    data = reopen(folder / "run").parts.dataset
    assert data.scaling.kind == "robust"
    assert float(data.var) < 4
    difrun("sample", "run", "--n", 100, "--seed", 0, "--out", "more.npz")
    np.testing.assert_array_equal(samples(folder, "more.npz"), samples(folder / "run"))


def test_data_and_mean_far_from_the_final_noise_are_refused_or_told(folder):
    z = normal(100, 2)
    np.save("tiny.npy", 1e-8 * z)
    np.save("far.npy", 1.7e9 + z)
    np.save("mixed.npy", z * [1.0, 1e-8])
    none = ("--dataset.scale", "none", *TINY, "--out", "run")
    said = difrun("--process", "ou", "--dataset", "tiny.npy", *none, code=1)
    assert "below that of the noise that remains in every sample, 0.002" in said
    assert "--dataset.scale std" in said
    said = difrun("--process", "ou", "--dataset", "far.npy", *none, code=1)
    assert "too far from 0 for 32-bit numbers" in said
    said = difrun("--process", "ou", "--process.mu", 1e10, *TINY, "--out", "run", code=2)
    assert "Invalid value for --process.mu: the mean must lie between -1e6 and 1e6" in said
    said = difrun("--process", "ou", "--process.mu", 1e6, *TINY, "--out", "run", code=1)
    assert "--process.mu, is 1e+06 away from the mean of dataset 'rings'" in said
    assert not (folder / "run").exists()
    with without_pictures():
        said = difrun("--process", "ou", "--dataset", "mixed.npy", *none)
        assert "column 2: narrower" in said
        said = difrun("--process", "ou", "--process.mu", 1e4, *TINY, "--out", "other")
        assert "32-bit numbers are 0.0012 apart" in said
