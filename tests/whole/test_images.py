"""Whole runs of images by the command line: digits with classes and as vectors, and a folder that changes."""

import json

import numpy as np
import pytest
from PIL import Image

from difrun.config import resolve

from .support import difrun

TINY = (
    *(
        "--train.steps",
        "2",
        "--train.batch",
        "8",
        "--n",
        "40",
        "--steps",
        "3",
        "--threads",
        "1",
        "--grid",
        "rho",
    ),
    *("--sampler", "euler"),
)


def facts(run):
    return json.loads((run / "metrics.json").read_text("utf-8"))


def test_digits_take_a_unet_and_settings_that_suit_them():
    """With any Gaussian process; a user's own choice comes first."""
    for process, loss in (("edm", "edm"), ("ou", "score")):
        plan = resolve({"process": process, "dataset": "digits"})
        assert (plan.model.name, plan.loss.name, plan.train.batch, plan.train.steps) == (
            "unet",
            loss,
            64,
            3000,
        )
        assert {"image-features", "class-accuracy", "nearest-image", "density-coverage"} <= {
            metric.name for metric in plan.metrics
        }
    plan = resolve({"process": "edm", "dataset": "digits", "model": "cnn"}, {"train": {"steps": 7}})
    assert (plan.model.name, plan.train.steps) == ("cnn", 7)


def test_a_run_of_digits_has_classes_metrics_and_pictures(tmp_path):
    """Samples carry their classes, and each class can be drawn; accuracy and the distance to training images have
    floors of held-out digits; the report has the pictures of images in the place of scatter plots."""
    run = tmp_path / "run"
    difrun("--process", "edm", "--dataset", "digits", *TINY, "--out", run)
    with np.load(run / "samples.npz") as file:
        assert file["x"].shape == (40, 1, 8, 8)
        assert sorted(set(map(str, file["y"]))) == list("0123456789")
    metrics = facts(run)["metrics"]
    assert 0.9 <= metrics["class-accuracy.accuracy"]["floor"] <= 1
    assert 1.7 <= metrics["nearest-image.distance"]["floor"] <= 2.4
    assert metrics["nearest-image.copies"]["floor"] <= 0.02
    for stem in ("samples", "forward", "reverse", "picture-nearest", "picture-real"):
        with Image.open(run / f"{stem}.png") as image:
            assert min(image.size) > 100
    assert not (run / "flow.png").exists()
    difrun("sample", run, "--label", "3", "--n", "5", "--out", tmp_path / "threes.npz")
    with np.load(tmp_path / "threes.npz") as file:
        assert list(map(str, file["y"])) == ["3"] * 5
    said = difrun("sample", run, "--label", "ten", "--n", "5", "--out", tmp_path / "tens.npz", code=1)
    assert "there is no class 'ten'" in said


def test_flat_digits_by_the_ou_recipe(tmp_path):
    said = difrun(
        "--process", "ou", "--dataset", "digits", "--dataset.flat", *TINY, "--out", tmp_path / "a", code=1
    )
    assert "model 'unet' takes series (channels, length), images" in " ".join(said.split())
    run = tmp_path / "run"
    difrun("--process", "ou", "--dataset", "digits", "--dataset.flat", "--model", "mlp", *TINY, "--out", run)
    with np.load(run / "samples.npz") as file:
        assert file["x"].shape == (40, 64)
    assert "class-accuracy.accuracy" in facts(run)["metrics"]


def test_the_ou_recipe_is_one_command(tmp_path):
    """Threes by cfg from a model of classes, and by a classifier from one without: the README's commands, tiny. What
    was drawn is in the file; the labels, where the model knows them. Samples that are far from all digits are meant to
    be."""
    ou = (
        "--process",
        "ou",
        "--dataset",
        "digits",
        "--dataset.flat",
        "--model",
        "mlp",
        *TINY,
        "--metric",
        "w2",
    )
    cfg = ("--label", "3", "--guidance", "cfg", "--guidance.scale", "2")
    own = ("--train.label-dropout", "1", "--guidance", "classifier", "--guidance.target", "3")
    for name, flags in (
        ("cfg", cfg),
        ("classifier", (*own, "--guidance.scale", "2", "--guidance.steps", "5")),
    ):
        said = difrun(*ou, *flags, "--out", tmp_path / name)
        assert ("all samples are of class '3'; metrics other than" in said) == (name == "cfg")
        assert "longer training" not in said
        with np.load(tmp_path / name / "samples.npz") as file:
            record = json.loads(str(file["drawn"]))
            (guidance,) = record["guidance"]
            assert (guidance["name"], guidance["scale"]) == (name, 2.0)
            assert file["x"].shape == (40, 64)
            assert ("y" in file.files) == (name == "cfg")
            if name == "cfg":
                assert (record["label"], set(file["y"].tolist())) == ("3", {3})
            else:
                assert guidance["target"] == "3"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(40):
        place = tmp_path / "images" / ("left", "right")[k % 2] / f"{k:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(place)
    return tmp_path / "images"


def test_a_folder_of_images_is_not_copied_and_may_not_change(folder, tmp_path):
    """What is left out is told; the run keeps no pixels, goes on with the same files, and refuses others."""
    run = tmp_path / "run"
    (folder / "left" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    how = (
        "--process",
        "edm",
        "--dataset",
        "image-folder",
        "--dataset.folder",
        folder,
        *TINY,
        "--metric",
        "nearest-image",
    )
    said = difrun(*how, "--out", run, code=1)
    assert "left/broken.png cannot be used" in " ".join(said.split())
    said = difrun(*how, "--dataset.unreadable", "skip", "--dataset.memory", "0", "--out", run)
    assert "1 unreadable image is left out: left/broken.png" in " ".join(said.split())
    assert (run / "data.safetensors").stat().st_size < 1000
    difrun("sample", run, "--label", "right", "--n", "3", "--out", tmp_path / "more.npz")
    (folder / "left" / "00.png").unlink()
    said = difrun("sample", run, "--n", "4", "--out", tmp_path / "most.npz", code=1)
    assert "was made with other examples than dataset 'images' has now" in " ".join(said.split())
    said = difrun("sample", run, "--n", "4", "--out", tmp_path / "most.npz", code=1)
    folder.rename(tmp_path / "moved")
    assert "does not exist" in " ".join(difrun("sample", run, "--out", tmp_path / "most.npz", code=1).split())
