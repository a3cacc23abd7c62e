"""The pictures show the numbers that were given, and nothing of Matplotlib's global state changes."""

import io
import os
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image, ImageSequence

from difrun import draw
from difrun.draw.arrays import bin_density, evenly, robust_limits, square, thin
from difrun.draw.fields import arrows
from difrun.draw.lines import moving_average
from difrun.draw.style import DATA, DENSITY, SAMPLES
from difrun.errors import DifrunError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def normal_density(x):
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def offsets(axes, index=-1):
    return np.asarray(axes.collections[index].get_offsets())


def gif_frames(content: bytes) -> list[np.ndarray]:
    with Image.open(io.BytesIO(content)) as image:
        return [np.asarray(frame.convert("RGB"), dtype=int) for frame in ImageSequence.Iterator(image)]


def centres_of(color: str, frame: np.ndarray, axes) -> np.ndarray:
    """Centres, in coordinates of the axes, of the connected spots of a colour in a picture."""
    from scipy.ndimage import center_of_mass, label

    tint = np.array(to_rgb(color)) * 255
    spots = np.abs(frame - tint).sum(axis=2) < 150
    labels, count = label(spots)
    rows_columns = np.array(center_of_mass(spots, labels, range(1, count + 1)))
    pixels = np.column_stack([rows_columns[:, 1] + 0.5, frame.shape[0] - rows_columns[:, 0] - 0.5])
    return axes.transData.inverted().transform(pixels)


# ---------------------------------------------------------------- numbers behind the pictures


def test_robust_limits_show_everything_but_gross_outliers(rng):
    x = rng.normal(size=1000)
    low, high = robust_limits(x)
    assert low < np.quantile(x, 0.001)
    assert high > np.quantile(x, 0.999)
    assert robust_limits(np.append(x, [1e9, np.nan, np.inf]))[1] < 5
    uniform = rng.uniform(-1, 1, 1000)
    low, high = robust_limits(uniform)
    assert low < uniform.min()
    assert high > uniform.max()
    assert robust_limits([np.nan]) == (-1.0, 1.0)
    low, high = robust_limits([3.0, 3.0])
    assert low < 3 < high


def test_square_equalises_lengths_unless_the_scales_differ():
    x, y = square((-1, 1), (0, 3))
    assert x == (-1.5, 1.5)
    assert y == (0, 3)
    assert square((-1, 1), (0, 100)) == ((-1, 1), (0, 100))


def test_evenly_keeps_both_ends():
    for length in (1, 2, 59, 60, 61, 1000):
        chosen = evenly(length, 60)
        assert chosen[0] == 0
        assert chosen[-1] == length - 1
        assert len(chosen) == min(length, 60)
    assert thin(np.arange(10.0)[:, None], 3).ravel().tolist() == [0.0, 4.0, 9.0]


def test_bin_density_counts_what_is_outside_in_the_norm():
    heights = bin_density(np.array([0.5, 1.5, 1.6, 7.0, np.nan]), np.array([0.0, 1.0, 3.0]))
    assert heights == pytest.approx([1 / 5, 2 / 5 / 2])


def test_moving_average_is_the_mean_over_the_window(rng):
    y = rng.normal(size=50)
    smooth = moving_average(y, 7)
    expected = [y[max(0, k - 3) : k + 4].mean() for k in range(50)]
    assert smooth == pytest.approx(expected, abs=1e-12)
    assert moving_average(y, 0) == pytest.approx(y, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_arrows_keep_the_direction_saturate_and_cope_with_zero(rng, scale):
    s = rng.normal(size=(200, 2)) * np.logspace(-3, 3, 200)[:, None]
    s[:20] = 0
    s[20] = np.nan, 1.0
    s[21] = np.inf, 1.0
    shown = arrows(s * scale)
    assert np.isfinite(shown).all()
    assert (shown[:22] == 0).all()
    length, size = np.linalg.norm(shown[22:], axis=1), np.linalg.norm(s[22:], axis=1)
    assert length == pytest.approx(size / (size + np.median(size)), rel=1e-9)
    assert shown[22:] / length[:, None] == pytest.approx(s[22:] / size[:, None], rel=1e-9)
    assert (arrows(np.zeros((5, 2))) == 0).all()


def test_the_density_ramp_is_perceptually_uniform():
    """Equal steps of OKLab lightness (Ottosson, 2020), from white."""
    srgb = DENSITY(np.arange(0, 256, 15))[:, :3]
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    lightness = np.cbrt(linear @ np.array(to_lms).T) @ [0.2104542553, 0.7936177850, -0.0040720468]
    assert lightness[0] == pytest.approx(1, abs=1e-3)
    assert np.diff(lightness) == pytest.approx(-0.74 / 17, rel=0.05)


# ---------------------------------------------------------------- data and samples


def test_both_panels_show_their_points_under_the_same_limits(rng):
    data, samples = rng.normal(size=(300, 2)), 1.3 * rng.normal(size=(200, 2)) + 0.5
    left, right = draw.data_and_samples(data, samples).axes
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert np.diff(left.get_xlim()) == pytest.approx(np.diff(left.get_ylim()))
    assert offsets(left) == pytest.approx(data)
    assert offsets(right) == pytest.approx(samples)
    assert left.collections[0].get_facecolor()[0, :3] == pytest.approx(to_rgb(DATA))
    assert right.collections[0].get_facecolor()[0, :3] == pytest.approx(to_rgb(SAMPLES))


def test_what_is_not_shown_is_counted(rng):
    samples = rng.normal(size=(500, 2))
    samples[:3] = np.nan
    samples[3:5] = 1e6
    left, right = draw.data_and_samples(rng.normal(size=(5000, 2)), samples).axes
    (remark,) = [text.get_text() for text in right.texts]
    (x0, x1), (y0, y1) = left.get_xlim(), left.get_ylim()
    inside = (samples >= (x0, y0)).all(axis=1) & (samples <= (x1, y1)).all(axis=1)
    assert remark == f"{500 - inside.sum()} outside or not finite"
    assert 5 <= 500 - inside.sum() < 10


def test_one_dimension_draws_histograms_and_the_true_density(rng):
    data, samples = rng.normal(size=4000), rng.normal(size=2000)
    (axes,) = draw.data_and_samples(data, samples, density=normal_density).axes
    (line,) = axes.lines
    x, y = line.get_data()
    assert y == pytest.approx(normal_density(x))
    for patch, values in zip(axes.patches, (data, samples), strict=True):
        heights, edges, _ = patch.get_data()
        counts, _ = np.histogram(values, edges)
        assert heights == pytest.approx(counts / len(values) / np.diff(edges))
        # Five standard errors of a bin's count against the true density.
        middle = (edges[1:] + edges[:-1]) / 2
        error = np.sqrt(normal_density(middle) / len(values) / np.diff(edges))
        assert (np.abs(heights - normal_density(middle)) < 5 * error + 0.02).all()


def test_more_dimensions_make_a_pair_grid(rng):
    data, samples = rng.normal(size=(100, 6)), rng.normal(size=(80, 6))
    figure = draw.data_and_samples(data, samples, columns=["a", "b", "$c", "d", "e", "f"])
    grid = np.reshape(figure.axes, (4, 4))
    assert offsets(grid[2, 1]) == pytest.approx(data[:, [1, 2]])
    assert offsets(grid[0, 3]) == pytest.approx(samples[:, [3, 0]])
    assert grid[0, 3].get_xlim() == grid[3, 3].get_xlim()
    assert grid[1, 0].get_ylim() == grid[1, 3].get_ylim()
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["a", "b", r"\$c", "d"]
    assert "first 4 of 6" in figure.legends[0].get_texts()[0].get_text()
    figure.canvas.draw()  # a lone dollar sign must not start a formula


def test_tensors_of_any_dtype_are_taken():
    import torch

    data = torch.tensor([[0.5, 1.0], [-1.5, 2.0], [0.25, -3.0]], requires_grad=True)
    left, right = draw.data_and_samples(data, data.bfloat16()).axes
    assert offsets(left) == pytest.approx(data.detach().numpy())
    assert offsets(right) == pytest.approx(data.detach().numpy())


# ---------------------------------------------------------------- animations


def make_path(rng, frames=30, n=12):
    """Points that come to rest on a 4 x 3 lattice."""
    end = np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), axis=-1).reshape(-1, 2)
    weight = np.linspace(1, 0, frames)[:, None, None]
    return (1 - weight) * end + weight * rng.normal(size=(1, n, 2)), np.linspace(2.0, 0.01, frames)


def test_the_last_frame_of_the_gif_is_the_end_of_the_path_and_is_held(rng):
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


def test_lines_that_leave_the_frame_are_counted(rng):
    paths = np.linspace(1, 0, 5)[:, None, None] * rng.normal(size=(1, 100, 2))
    assert not draw.probability_flow_lines(paths).axes[0].texts
    paths[0, 3] = 500.0
    axes = draw.probability_flow_lines(paths).axes[0]
    assert axes.get_xlim()[1] < 100
    assert [text.get_text() for text in axes.texts] == ["1 of 100 lines leave the frame"]


def test_a_single_sample_outside_is_one_sample(rng):
    data, samples = rng.normal(size=(400, 1)), rng.normal(size=(300, 1))
    samples[7] = 1e3
    (text,) = draw.data_and_samples(data, samples).axes[0].texts
    assert text.get_text() == "1 sample outside or not finite"


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


# ---------------------------------------------------------------- fields, paths, loss


def test_a_density_map_shows_the_values_it_was_given(rng):
    densities = rng.uniform(size=(5, 8, 10)) * np.array([1, 2, 3, 4, 5])[:, None, None]
    figure = draw.density_map(densities, (-1, 2, -3, 4), [0.1, 0.2, 0.3, 0.4, 0.5])
    assert len(figure.axes) == 5
    for axes, values in zip(figure.axes, densities, strict=True):
        (image,) = axes.images
        assert np.asarray(image.get_array()) == pytest.approx(values)
        assert image.get_extent() == [-1, 2, -3, 4]
        assert image.origin == "lower"
        assert image.get_clim() == (0, values.max())
    assert figure.axes[3].get_title() == "$t$ = 0.4"


def test_a_density_of_one_coordinate_is_drawn_over_time(rng):
    densities = rng.uniform(size=(4, 10))
    axes = draw.density_map(densities, (-5, 5), [0, 0.1, 0.5, 1]).axes[0]
    assert np.asarray(axes.collections[0].get_array()) == pytest.approx(densities.T)
    assert axes.get_xlim() == pytest.approx((0, 1))


def test_a_score_field_has_an_arrow_where_there_is_a_score(rng):
    points = np.stack(np.meshgrid(np.linspace(-2, 2, 5), np.linspace(-2, 2, 5)), axis=-1).reshape(-1, 2)
    scores = np.stack([-points, np.zeros_like(points)])
    background = rng.uniform(size=(2, 6, 6))
    figure = draw.score_field(points, scores, [0.1, 1], background=background, extent=(-2, 2, -2, 2))
    full, empty = (axes.collections[0] for axes in figure.axes)
    assert full.N == 24  # all but the origin, where the score is zero
    assert empty.N == 0
    assert np.column_stack([full.U, full.V]) @ [1, 1] == pytest.approx(
        1.3 * np.sqrt(16 / 25) * (arrows(-points) @ [1, 1])[np.abs(points).max(axis=1) > 0]
    )
    figure.canvas.draw()


def test_a_score_field_in_other_units_is_the_same_picture_with_other_numbers():
    """Every arrow stands at shift + scale · x and is scale times as long, whatever the two scales."""
    points = np.stack(np.meshgrid(np.linspace(-2, 2, 5), np.linspace(-2, 2, 5)), axis=-1).reshape(-1, 2)
    shift, scale = np.array([1e6, -3.0]), np.array([1e4, 1e-3])
    plain = draw.score_field(points, -points[None], [1.0]).axes[0]
    other = draw.score_field(points, -points[None], [1.0], units=(shift, scale)).axes[0]
    ours, theirs = plain.collections[0], other.collections[0]
    assert np.asarray(theirs.get_offsets()) == pytest.approx(shift + scale * np.asarray(ours.get_offsets()))
    assert pytest.approx(scale[0] * ours.U) == theirs.U
    assert pytest.approx(scale[1] * ours.V) == theirs.V
    assert other.get_ylim() == pytest.approx(shift[1] + scale[1] * np.array(plain.get_ylim()))


def test_a_score_in_one_dimension_is_a_curve():
    x = np.linspace(-2, 2, 41)
    axes = draw.score_field(x, np.stack([-x, -x / 4]), [0.5, 1]).axes[0]
    assert axes.lines[1].get_ydata() == pytest.approx(-x)
    assert axes.lines[2].get_ydata() == pytest.approx(-x / 4)


def test_flow_lines_run_from_noise_to_samples(rng):
    paths = np.cumsum(rng.normal(size=(7, 20, 3)), axis=0)
    axes = draw.probability_flow_lines(paths, rng.normal(size=(50, 3))).axes[0]
    data, lines, noise, samples = axes.collections
    assert len(data.get_offsets()) == 50
    assert np.array([path.vertices for path in lines.get_paths()]) == pytest.approx(
        paths[:, :, :2].swapaxes(0, 1)
    )
    assert np.asarray(noise.get_offsets()) == pytest.approx(paths[0, :, :2])
    assert np.asarray(samples.get_offsets()) == pytest.approx(paths[-1, :, :2])


@pytest.mark.parametrize("reverse", [False, True])
def test_paths_in_one_dimension_have_time_to_the_right_and_both_ends_beside(rng, reverse):
    times, paths = np.array([0, 0.3, 1.0]), rng.normal(size=(3, 600)) * np.array([[0.5], [1], [2]])
    step = -1 if reverse else 1
    figure = draw.paths_1d(times[::step], paths[::step], density=normal_density)
    left, middle, right = figure.axes
    assert middle.get_xlim() == (0, 1)
    (lines,) = middle.collections
    first = lines.get_paths()[0].vertices
    assert first == pytest.approx(np.column_stack([times, paths[:, 0]]))
    assert lines.get_colors()[0, :3] == pytest.approx(to_rgb(SAMPLES if reverse else DATA))
    for axes, values in ((left, paths[0]), (right, paths[-1])):
        heights, edges, _ = axes.patches[0].get_data()
        assert heights == pytest.approx(np.histogram(values, edges)[0] / 600 / np.diff(edges))
    assert len(left.lines) == 1
    assert not right.lines


def test_the_loss_axis_is_logarithmic_when_that_helps(rng):
    steps = np.arange(0, 1000, 10)
    falling = draw.loss_curve(steps, np.geomspace(100, 0.1, 100), smooth=0).axes[0]
    flat = draw.loss_curve(steps, 1 + 0.1 * rng.normal(size=100)).axes[0]
    negative = draw.loss_curve(steps, np.linspace(50, -50, 100)).axes[0]
    assert [axes.get_yscale() for axes in (falling, flat, negative)] == ["log", "linear", "linear"]
    assert falling.lines[1].get_ydata() == pytest.approx(np.geomspace(100, 0.1, 100))
    broken = draw.loss_curve(steps, np.where(steps > 980, np.nan, 1.0)).axes[0]
    assert broken.get_title() == "1 of 100 losses are not finite and not drawn"


# ---------------------------------------------------------------- errors, files, state

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
