"""Bad input is refused, files are written whole, and nothing of Matplotlib's global state changes."""

import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from difrun import draw
from difrun.errors import DifrunError

from .pictures import gif_frames, make_path, normal_density


@pytest.fixture
def rng():
    return np.random.default_rng(0)


ones = np.ones


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: draw.data_and_samples(ones((3, 2)), ones((3, 3))), "2 coordinates, samples have 3"),
        (lambda: draw.data_and_samples(ones((3, 2)), ones((3, 2)), density=normal_density), "one dimension"),
        (lambda: draw.data_and_samples(ones((0, 2)), ones((3, 2))), "data must be points"),
        (lambda: draw.data_and_samples(ones(9), ones(9), density=lambda x: 1.0), "1 values for 801 points"),
        (lambda: draw.forward_animation(ones((4, 3, 2)), [0, 1]), "4 frames but 2 times"),
        (lambda: draw.forward_animation(ones((4, 3, 2)), range(4), max_frames=1), "max_frames ≥ 2"),
        (lambda: draw.forward_animation(ones((4, 3, 2)), range(4), density=normal_density), "one dimension"),
        (lambda: draw.reverse_animation(ones((4, 3, 2)), range(4), data=ones((9, 1))), "data have 1"),
        (lambda: draw.density_map(ones((2, 4, 4)), (0, 1), [0, 1]), "extent must have 4"),
        (lambda: draw.density_map(ones((2, 4, 4)), (0, 1, 0, 1), [0]), "and 1 times"),
        (lambda: draw.density_map(ones((2, 4)), (0, 1), [1, 0]), "increasing order"),
        (lambda: draw.score_field(ones((5, 2)), ones((2, 4, 2)), [0, 1]), "score_field needs points"),
        (lambda: draw.score_field(ones((5, 2)), ones((1, 5, 2)), [0], extent=(0, 1, 0, 1)), "together"),
        (
            lambda: draw.score_field(ones(5), ones((1, 5)), [0], background=ones((1, 2, 2)), extent=(0, 1)),
            "no background",
        ),
        (lambda: draw.probability_flow_lines(ones((3, 4, 1))), "use paths_1d"),
        (lambda: draw.probability_flow_lines(ones((3, 4, 2)), ones((3, 3))), "must agree"),
        (lambda: draw.paths_1d([0, 1], ones((2, 3, 2))), "one coordinate"),
        (lambda: draw.loss_curve([1, 2], [1.0]), "2 steps and 1 losses"),
        (lambda: draw.loss_curve([1], [np.nan]), "no finite loss"),
        (lambda: draw.loss_curve([1], [1.0], smooth=3), "0 to 1"),
        (lambda: draw.save(draw.loss_curve([1], [1.0]), "x.gif"), "saved as *.png"),
        (lambda: draw.save(draw.loss_curve([1], [1.0]), "/no/such/folder/x.png"), "Cannot write /no/such"),
    ],
)
def test_bad_input_is_refused_in_plain_words(call, words):
    with pytest.raises(DifrunError) as caught:
        call()
    assert words in str(caught.value)


def test_save_writes_pictures_whole_and_leaves_no_trace(tmp_path, rng, monkeypatch):
    figure = draw.data_and_samples(rng.normal(size=(50, 2)), rng.normal(size=(50, 2)))
    path = draw.save(figure, tmp_path / "a.png")
    film = draw.forward_animation(*make_path(rng, frames=3))
    assert len(gif_frames(draw.save(film, tmp_path / "b.gif").read_bytes())) == 3
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.info["dpi"] == pytest.approx((160, 160), abs=0.1)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DifrunError, match="No space left on device"):
        draw.save(figure, path, dpi=40)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "b.gif"]


def test_settings_are_the_same_afterwards_and_do_not_leak_in(rng):
    data = rng.normal(size=(50, 2))
    with matplotlib.rc_context(
        {"figure.facecolor": "black", "text.color": "white", "axes.facecolor": "black"}
    ):
        before = dict(matplotlib.rcParams)
        figure = draw.data_and_samples(data, data)
        figure.canvas.draw()
        assert dict(matplotlib.rcParams) == before
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    assert (pixels == 255).all(axis=2).mean() > 0.8


def test_drawing_needs_neither_torch_nor_pyplot():
    code = (
        "import sys, numpy, difrun.draw as draw, difrun.report\n"
        "draw.forward_animation(numpy.zeros((2, 3, 2)), [0, 1]).gif()\n"
        "print([name for name in ('torch', 'matplotlib.pyplot', 'tkinter') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
