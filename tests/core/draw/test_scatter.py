"""Points and histograms show the numbers that were given."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from difrun import draw
from difrun.draw.arrays import bin_density, evenly, robust_limits, square, thin
from difrun.draw.style import DATA, DENSITY, SAMPLES

from .pictures import normal_density, offsets


@pytest.fixture
def rng():
    return np.random.default_rng(0)


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


def test_a_single_sample_outside_is_one_sample(rng):
    data, samples = rng.normal(size=(400, 1)), rng.normal(size=(300, 1))
    samples[7] = 1e3
    (text,) = draw.data_and_samples(data, samples).axes[0].texts
    assert text.get_text() == "1 sample outside or not finite"
