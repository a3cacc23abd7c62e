"""Runs on labelled data: classes from the file to the samples, and guidance by them, with the command itself."""

import json

import numpy as np
import pytest

from .support import SMALL, difrun, without_pictures

NAMES = ("setosa", "versicolor")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A run on a .csv file of two far classes, a quarter and three quarters, 10 and 40 in the user's units."""
    folder = tmp_path_factory.mktemp("labelled")
    random = np.random.default_rng(0)
    species = np.array(NAMES)[(np.arange(400) % 4 > 0).astype(int)]
    centre = np.where(species == NAMES[0], 10.0, 40.0)
    rows = [
        f"{c + random.normal():.4f},{s},{c / 10 + random.normal():.4f}"
        for c, s in zip(centre, species, strict=True)
    ]
    (folder / "flowers.csv").write_text("\n".join(["length,species,width", *rows]))
    own = {"--train.steps": "300", "--steps": "8"}
    arguments = [own.get(before, text) for before, text in zip((None, *SMALL), SMALL, strict=False)]
    arguments += ["--train.ema", "0.9", "--train.lr", "0.01"]
    arguments[arguments.index("sliced-w2")] = "per-class"
    out = folder / "run"
    with without_pictures():
        difrun(
            "run", "--dataset", folder / "flowers.csv", "--dataset.label", "species", *arguments, "--out", out
        )
    return out


def in_class(x, name):
    return (x[:, 0] < 25) == (name == NAMES[0])


def test_samples_have_the_classes_of_the_data_in_their_proportion(labelled):
    with np.load(labelled / "samples.npz") as file:
        x, y, columns = file["x"], file["y"], file["columns"]
    assert list(columns) == ["length", "width"]
    assert abs((y == NAMES[0]).sum() - 0.25 * len(y)) < 0.05 * len(y)
    assert np.mean([in_class(x[y == name], name).mean() for name in NAMES]) > 0.9
    metrics = json.loads((labelled / "metrics.json").read_text())["metrics"]
    assert {"per-class.mean", "per-class.worst"} <= metrics.keys()


def test_a_class_is_drawn_by_name_and_by_number(labelled):
    for text, name in (("setosa", NAMES[0]), ("1", NAMES[1])):
        out = labelled.parent / f"{text}.npz"
        difrun("sample", labelled, "--label", text, "--n", "100", "--out", out)
        with np.load(out) as file:
            assert set(file["y"]) == {name}
            assert in_class(file["x"], name).mean() > 0.9
            assert json.loads(str(file["drawn"]))["label"] == text
    assert "2 classes: setosa, versicolor" in difrun("sample", labelled, "--label", "rose", code=1)


def test_the_run_comes_back_with_its_labels(labelled):
    """Its folder keeps them: the file is gone, and the metric of classes is measured again, to the same number."""
    (labelled.parent / "flowers.csv").rename(labelled.parent / "gone.csv")
    before = json.loads((labelled / "metrics.json").read_text())["metrics"]["per-class.mean"]["value"]
    with without_pictures():
        difrun("evaluate", labelled, "--metric", "per-class")
    assert json.loads((labelled / "metrics.json").read_text())["metrics"]["per-class.mean"]["value"] == before
    # Columns of a run that came back are compared by name: these are the same.
    difrun("evaluate", labelled, "--samples", labelled / "samples.npz", "--metric", "sliced-w2")
    (labelled.parent / "gone.csv").rename(labelled.parent / "flowers.csv")


def test_what_a_metric_leaves_out_or_mixes_is_told(tmp_path):
    """An exact model draws no classes by itself, and one class is not the data; cfg draws the classes of the data."""
    exact = (
        "run",
        "--dataset",
        "gmm",
        "--dataset.n",
        "500",
        "--model",
        "exact",
        "--process",
        "ve",
        "--steps",
        "4",
    )
    exact += ("--n", "80", "--threads", "1", "--metric", "per-class", "--metric", "sliced-w2")
    measured = {}
    with without_pictures():
        for name, more in (("all", ()), ("one", ("--label", "3")), ("cfg", ("--guidance", "cfg"))):
            said = " ".join(difrun(*exact, *more, "--out", tmp_path / name).split())
            assert ("metric 'per-class' is left out" in said) == (name == "all")
            assert ("all samples are of class '3'; metrics other than per-class" in said) == (name == "one")
            measured[name] = json.loads((tmp_path / name / "metrics.json").read_text())["metrics"].keys()
    assert "per-class.mean" not in measured["all"]
    assert "per-class.mean" in measured["one"] & measured["cfg"]
    with np.load(tmp_path / "cfg" / "samples.npz") as file:
        # Class k lies at the angle 2πk/8, 0.2 about it; the classes are 1.5 apart.
        angle = 2 * np.pi * file["y"].astype(int) / 8
        assert np.abs(file["x"] - 2 * np.stack((np.cos(angle), np.sin(angle)), 1)).max() < 1.5


def test_data_without_labels_say_so(tmp_path):
    arguments = ("run", "--dataset", "spiral", "--out", tmp_path / "a", *SMALL)
    assert "there is no class '1': the examples of dataset 'spiral' have no labels" in difrun(
        *arguments, "--label", "1", code=1
    )
    assert "is about labels, and the examples of dataset 'spiral' have none" in difrun(
        *arguments, "--train.label-dropout", "0.3", code=1
    )
    refused = difrun("run", "--dataset", "rings", "--label", "upper", "--out", tmp_path / "a", *SMALL, code=1)
    assert "was trained without labels" in refused
    assert not (tmp_path / "a").exists()
