"""Animations show the path that was given, frame by frame."""

import io
import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image, ImageSequence

from difrun import draw
from difrun.draw.style import SAMPLES

from .pictures import centres_of, gif_frames, make_path, normal_density, offsets


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_gif_pauses_on_its_last_frame_which_is_the_end_of_the_path(rng):
    path, times = make_path(rng, frames=150)
    film = draw.reverse_animation(path, times)
    content = film.gif()
    frames = gif_frames(content)
    assert len(frames) == film.frames == 60
    axes = film.figure.axes[0]
    found = centres_of(SAMPLES, frames[-1], axes)
    distances = np.linalg.norm(found[:, None] - path[-1], axis=-1)
    assert len(found) == len(path[-1])
    assert distances.min(axis=0).max() < 2.5 / frames[0].shape[1] * np.ptp(axes.get_xlim())  # 2.5 pixels
    with Image.open(io.BytesIO(content)) as image:
        assert image.info["loop"] == 0
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert durations[-1] >= 1500
    assert durations[1:-1] == [60] * 58


def test_every_frame_drawn_fast_equals_the_frame_drawn_in_full(rng):
    path, times = make_path(rng, frames=5)
    film = draw.forward_animation(path[::-1], times[::-1])
    fast = list(film.rgb())
    for k in range(5):
        film.update(k)
        canvas = FigureCanvasAgg(film.figure)
        canvas.draw()
        full = np.asarray(canvas.buffer_rgba())[..., :3]
        # What is drawn last differs (dots or frame), so a few pixels of the frame may.
        assert (np.abs(full.astype(int) - fast[k]).max(axis=2) > 40).sum() < 30
        assert offsets(film.figure.axes[0]) == pytest.approx(path[::-1][k])
    assert film.figure.axes[0].texts[0].get_text() == "$t$ = 2.00"


def test_limits_are_fixed_and_keep_the_data_visible_in_wide_noise(rng):
    x0 = rng.uniform(-1, 1, (400, 2))
    wide = np.stack([x0 + sigma * rng.normal(size=x0.shape) for sigma in (0, 1, 10, 80)])
    film = draw.forward_animation(wide, [0, 1, 10, 80])
    axes = film.figure.axes[0]
    before = axes.get_xlim()
    assert 2 < before[1] < 4
    film.gif()
    assert axes.get_xlim() == before
    # What is cut off is counted, frame by frame.
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    for k, expected in enumerate(400 - ((wide >= low) & (wide <= high)).all(axis=2).sum(axis=1)):
        film.update(k)
        assert axes.texts[1].get_text() == (f"{expected} of 400 outside" if expected else "")
    assert expected > 300


def test_the_time_does_not_overlap_the_power_of_ten_of_an_axis(rng):
    path = np.cumsum(rng.normal(size=(3, 20, 2)), axis=0) + 2e6
    film = draw.forward_animation(path, [0, 1, 2])
    canvas = FigureCanvasAgg(film.figure)
    canvas.draw()
    axes = film.figure.axes[0]
    renderer = canvas.get_renderer()
    power = axes.yaxis.get_offset_text()
    assert "e6" in power.get_text()
    assert not power.get_window_extent(renderer).overlaps(axes.texts[0].get_window_extent(renderer))


def test_an_animation_of_one_dimension_shows_histograms(rng):
    path = np.stack([rng.normal(size=500) * s for s in (1, 2, 3)])
    film = draw.reverse_animation(path[::-1], [3, 2, 1], data=path[0], density=normal_density)
    axes = film.figure.axes[0]
    film.update(2)
    heights, edges, _ = axes.patches[-1].get_data()
    assert heights == pytest.approx(np.histogram(path[0], edges)[0] / 500 / np.diff(edges))
    assert len(gif_frames(film.gif())) == 3


def test_a_large_animation_is_small_and_fast(rng):
    import time

    path = np.cumsum(rng.normal(size=(60, 1000, 2)) * 0.2, axis=0)
    start = time.process_time()
    size = len(draw.forward_animation(path, np.linspace(0, 1, 60)).gif())
    assert time.process_time() - start < 6
    assert size < 1.5e6


def test_a_film_shows_itself_in_a_notebook_and_is_freed_without_a_warning(rng):
    path, times = make_path(rng, frames=3)
    film = draw.forward_animation(path, times)
    assert film._repr_html_().startswith('<img alt="animation of 3 frames" src="data:image/gif;base64,R0lGOD')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del film
    assert not caught
