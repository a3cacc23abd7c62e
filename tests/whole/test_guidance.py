"""Guidance by classes in runs: of points and of spins, with the command itself."""

import json
from pathlib import Path

import numpy as np
import pytest

from .support import SMALL, difrun, without_pictures


def arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    """A run of classes on two blobs."""
    out = tmp_path_factory.mktemp("points") / "run"
    own = ("--train.label-dropout", "0.2", "--train.ema", "0.9", "--train.lr", "0.01", "--dataset.n", "1000")
    with without_pictures():
        difrun("run", "--process", "vp", "--dataset", "blobs", *own, *SMALL, "--out", out)
    return out


def test_scales_that_do_nothing_give_the_same_samples_bit_for_bit(points):
    """cfg of scale 1 and a classifier of scale 0, under the seed of the run; what was asked for is in the file."""
    own = arrays(points / "samples.npz")
    for name, scale in (("cfg", "1"), ("classifier", "0")):
        out = points.parent / f"{name}.npz"
        difrun("sample", points, "--guidance", name, "--guidance.scale", scale, "--seed", "0", "--out", out)
        found = arrays(out)
        assert np.array_equal(found["x"], own["x"])
        assert np.array_equal(found["y"], own["y"])
        (record,) = json.loads(str(found["drawn"]))["guidance"]
        assert (record["name"], record["scale"]) == (name, float(scale))
    assert not (points / "guidance-classifier.safetensors").exists()


def test_samples_of_all_classes_are_labelled_with_none(points):
    """cfg of scale 0 draws all classes, whatever --label says: it said class 1 of samples of both."""
    off = ("--guidance", "cfg", "--guidance.scale", "0", "--seed", "0", "--n", "50")
    with_label, without = points.parent / "with.npz", points.parent / "without.npz"
    said = difrun("sample", points, *off, "--label", "upper", "--out", with_label)
    difrun("sample", points, *off, "--out", without)
    assert "y" not in arrays(with_label)
    assert np.array_equal(arrays(with_label)["x"], arrays(without)["x"])
    assert "--label has no effect" in said
    half = ("--guidance", "cfg", "--guidance.scale", "0.5", "--n", "9", "--label", "upper")
    assert "no effect" not in difrun("sample", points, *half, "--out", points.parent / "half.npz")
    assert set(arrays(points.parent / "half.npz")["y"]) == {"upper"}


def test_a_guidance_is_measured_and_compared(points):
    """`evaluate --guidance` draws and measures samples of its own; `compare --guidance` takes it for every row."""
    before = (points / "metrics.json").read_text()
    said = difrun("evaluate", points, "--guidance", "cfg", "--guidance.cfg.scale", "3", "--n", "200")
    assert (points / "metrics.json").read_text() == before
    name = said.split("Metrics: ")[1].split("\n")[0]
    assert json.loads(Path(name).read_text(encoding="utf-8"))["metrics"]["sliced-w2"]["n"] == 200
    out = points.parent / "compared"
    arguments = ("--sampler", "heun", "--steps", "4", "--n", "100", "--label", "upper", "--out", out)
    difrun("compare", points, "--guidance", "cfg", "--guidance.scale", "3", *arguments)
    (facts,) = json.loads((out / "compare.json").read_text())["runs"].values()
    assert facts["guidance"][0]["scale"] == 3.0
    assert facts["label"] == "upper"


def test_bad_classes_are_refused_before_anything_is_done(points, tmp_path):
    refused = difrun("sample", points, "--guidance", "classifier", "--guidance.target", "7", code=1)
    assert "there is no class '7': dataset 'blobs' has 2 classes: upper, lower" in refused
    arguments = ("--dataset", "blobs", *SMALL, "--out", tmp_path / "a")
    assert "needs a model that was trained on labels" in difrun(
        "run", "--guidance", "cfg", *arguments, code=1
    )
    assert not (tmp_path / "a").exists()


@pytest.fixture(scope="module")
def spins(tmp_path_factory):
    """Two runs on 3x3 spins, up with probability 0.85 in one class and 0.15 in the other: with labels and without."""
    folder = tmp_path_factory.mktemp("spins")
    random = np.random.default_rng(0)
    y = np.arange(600) % 2
    up = random.random((600, 3, 3)) < np.where(y, 0.85, 0.15)[:, None, None]
    np.savez(folder / "s.npz", x=2.0 * up - 1, y=y)
    shared = (
        "--process",
        "ising",
        "--dataset",
        "spin-file",
        "--dataset.path",
        folder / "s.npz",
        "--threads",
        "1",
    )
    network = ("--model", "spin-mlp", "--model.width", "32", "--model.depth", "1", "--train.steps", "150")
    rest = ("--train.ema", "0.9", "--train.lr", "0.01", "--n", "200", "--steps", "12")
    with without_pictures():
        for name, dropout in (("with", "0.2"), ("without", "1")):
            own = ("--train.label-dropout", dropout, "--out", folder / name)
            difrun("run", *shared, *network, *rest, *own)
    return folder


def mean_of(folder, run, *arguments):
    out = folder / "drawn.npz"
    difrun("sample", folder / run, *arguments, "--force", "--out", out)
    return arrays(out)["x"].mean()


def test_classes_of_spins_are_drawn_and_guided_without_a_classifier(spins):
    """The mean of class 1 is 0.7 within 0.15 (5 standard errors: 0.06); cfg of scale 2 goes further, −1 for class 0."""
    plain = mean_of(spins, "with", "--label", "1")
    assert plain == pytest.approx(0.7, abs=0.15)
    assert mean_of(spins, "with", "--label", "1", "--guidance", "cfg", "--guidance.scale", "2") > plain
    assert mean_of(spins, "with", "--label", "0", "--guidance", "cfg", "--guidance.scale", "2") < -0.6


def test_a_classifier_guides_spins_of_a_model_without_classes(spins):
    """Trained on noised spins, kept in the folder, asked about every flip; target 1 is up, target 0 down: over 0.45."""
    arguments = ("--guidance", "classifier", "--guidance.steps", "200", "--guidance.width", "32")
    for target, sign in (("1", 1), ("0", -1)):
        assert sign * mean_of(spins, "without", *arguments, "--guidance.target", target) > 0.45
    assert (spins / "without" / "guidance-classifier.safetensors").is_file()
    out = spins / "all.npz"
    difrun("sample", spins / "without", *arguments, "--out", out)
    found = arrays(out)
    assert found["x"][found["y"] == 1].mean() > 0.45
    assert found["x"][found["y"] == 0].mean() < -0.45
