"""Arrays of images of 8 bits, from a file and from Python: their range in the run folder, its samples and pictures."""

import numpy as np
import pytest

import difrun as api
from difrun import draw
from difrun.runs.report import standard_pictures

from .support import difrun, without_pictures

SMALL = {"train.steps": 2, "model.width": 8, "model.depth": 1, "threads": 1}
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 6, 5), dtype=np.uint8)
IMAGES[:, 0] = 0


def test_pixels_come_back_in_the_range_of_the_file(tmp_path, monkeypatch):
    figures = {}
    save = draw.save
    monkeypatch.setattr(
        draw, "save", lambda figure, path: figures.update({path.name: figure}) or save(figure, path)
    )
    every = standard_pictures._drawings
    monkeypatch.setattr(
        standard_pictures, "_drawings", lambda run: (each for each in every(run) if each[0] == "samples")
    )
    notes = []
    made = api.run(
        process="ou",
        dataset=IMAGES,
        n=16,
        steps=3,
        metric="energy",
        options=SMALL,
        out=tmp_path / "run",
        listener=notes.append,
    )
    assert any("pixels from 0 to 255 become −1 to 1 for the model" in note for note in notes)
    data = api.reopen(tmp_path / "run").parts.dataset
    assert data.scaling.kind == "pixels"
    for examples in (made.parts.dataset, data):
        found = examples.decode(examples.train).round().numpy().astype(np.uint8).reshape(-1, 30)
        assert {bytes(row) for row in found} < {bytes(image) for image in IMAGES}
    with np.load(tmp_path / "run" / "samples.npz") as file:
        samples = file["x"]
    assert samples.shape == (16, 6, 5)
    assert 60 < samples.mean() < 180
    shown = data.decode(data.train[:8]).numpy()
    white = shown.max()
    strip, real = (axes.images[0].get_array() for axes in figures["samples.png"].axes[:2])
    np.testing.assert_allclose(strip[:, :5], np.clip(samples[0] / white, 0, 1), atol=2e-3)
    np.testing.assert_allclose(real[:, 6:11], shown[1] / white, atol=2e-3)


@pytest.mark.parametrize("scale", ["auto", "pixels"])
def test_a_file_of_images_is_that_of_python(tmp_path, scale):
    np.save(tmp_path / "x.npy", IMAGES if scale == "auto" else IMAGES.astype(float))
    with without_pictures():
        said = difrun(
            *("run", "--dataset", tmp_path / "x.npy", "--model", "empirical", "--dataset.scale", scale),
            *("--n", 20, "--steps", 3, "--metric", "energy", "--threads", 1, "--out", tmp_path / "run"),
        )
    assert "pixels from 0 to 255 become" in " ".join(said.split())
    assert api.reopen(tmp_path / "run").parts.dataset.scaling.kind == "pixels"
