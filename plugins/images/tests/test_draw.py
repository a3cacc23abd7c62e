"""Pictures: which pixels are drawn where, and what stands beside them."""

import numpy as np
import pytest
import torch

from difrun_images import draw

from .support import pixels


def images(n, channels=1, side=4, seed=0):
    return pixels(seed, n, channels, side, side).astype(float) / 127.5 - 1


def drawn(figure):
    """(x, y) of the middle of every image -> its pixels; rows counted downwards."""
    (axes,) = figure.axes
    found = {}
    for image in axes.images:
        left, right, bottom, top = image.get_extent()
        found[round((left + right) / 2, 6), round((bottom + top) / 2, 6)] = np.asarray(image.get_array())
    return found


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def in_rows(figure):
    """The images as rows, from above, each from the left."""
    found = drawn(figure)
    return [[found[place] for place in sorted(found) if place[1] == y] for y in sorted({y for _, y in found})]


def shown(image):
    """What is drawn of one image (c, h, w) in [−1, 1]."""
    return np.broadcast_to(np.clip((image.transpose(1, 2, 0) + 1) / 2, 0, 1), (*image.shape[1:], 3))


def test_a_grid_is_in_reading_order():
    x = images(7, channels=3)
    rows = in_rows(draw.image_grid(x, columns=3))
    assert [len(row) for row in rows] == [3, 3, 1]
    for k in range(7):
        assert np.array_equal(rows[k // 3][k % 3], shown(x[k]))


def test_with_labels_every_row_is_a_class():
    """Rows in the order of the classes, each with its name, no more than so many columns; an absent class has none."""
    x, labels = images(9), [2, 0, 2, 2, 0, 3, 2, 2, 3]
    figure = draw.image_grid(
        torch.from_numpy(x), torch.tensor(labels), ("ant", "bee", "cat", "dog"), columns=4
    )
    rows = in_rows(figure)
    expected = [[1, 4], [0, 2, 3, 6], [5, 8]]
    assert [len(row) for row in rows] == [2, 4, 2]
    for row, numbers in zip(rows, expected, strict=True):
        for image, k in zip(row, numbers, strict=True):
            assert np.array_equal(image, shown(x[k]))
    assert texts(figure) == ["ant", "cat", "dog"]


def test_pairs_stand_in_the_order_of_their_distance():
    x, y = images(5), images(5, seed=1)
    figure = draw.nearest_panel(x, y, [0.5, 0.1, 0.9, 0.3, 0.7], columns=3)
    rows = in_rows(figure)
    order = [1, 3, 0, 4, 2]
    for k, number in enumerate(order):
        above, below = rows[2 * (k // 3)], rows[2 * (k // 3) + 1]
        assert np.array_equal(above[k % 3], shown(x[number]))
        assert np.array_equal(below[k % 3], shown(y[number]))
    assert [text for text in texts(figure) if text[0].isdigit()] == ["0.10", "0.30", "0.50", "0.70", "0.90"]


def test_a_strip_is_one_image_per_row_over_time():
    frames = images(12).reshape(4, 3, 1, 4, 4)
    figure = draw.image_strip(frames, [2.0, 1.0, 0.5, 0.002])
    rows = in_rows(figure)
    for i in range(3):
        for k in range(4):
            assert np.array_equal(rows[i][k], shown(frames[k, i]))
    assert texts(figure) == ["2", "1", "0.5", "0.002", "$t$"]


def test_pixels_beyond_the_range_are_clipped():
    x = np.array([-3.0, -1.0, 0.0, 1.0]).reshape(1, 1, 2, 2)
    assert in_rows(draw.image_grid(x))[0][0][..., 0].tolist() == [[0, 0], [0.5, 1]]


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match=r"expected images .*; got shape \(3, 4\)"):
        draw.image_grid(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"got shape \(0, 1, 4, 4\)"):
        draw.image_grid(np.zeros((0, 1, 4, 4)))
    with pytest.raises(ValueError, match="5 images with labels of shape"):
        draw.image_grid(images(5), [1, 2])
    with pytest.raises(ValueError, match="do not go together"):
        draw.nearest_panel(images(5), images(5), [1.0])
    with pytest.raises(ValueError, match="for 2 times"):
        draw.image_strip(images(4).reshape(4, 1, 1, 4, 4), [1.0, 2.0])


def test_evenly_has_both_ends():
    assert draw.evenly(3, 5) == [0, 1, 2]
    assert draw.evenly(31, 4) == [0, 10, 20, 30]
