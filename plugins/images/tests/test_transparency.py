"""Transparent images are laid on a background that is said."""

import numpy as np
import pytest
from PIL import Image

from difrun_images.decode import ImageFormat, decode, decode_with_remarks
from difrun_images.options import FolderOptions

from .support import save


def rgba(colour, alpha):
    """One row of two pixels: of this colour and alpha, and opaque black."""
    return np.array([[[*colour, alpha], [0, 0, 0, 255]]], dtype=np.uint8)


@pytest.mark.parametrize(
    ("background", "expected"),
    [((255, 255, 255), [255, 255, 255]), ((0, 0, 0), [0, 0, 0]), ((128, 192, 255), [128, 192, 255])],
)
def test_colours_hidden_under_transparency_are_not_seen(tmp_path, background, expected):
    """Alpha 0: the background alone. Alpha 51 = 1/5: a fifth of the colour, four fifths of the background."""
    image_format = ImageFormat(background=background)
    clear = save(tmp_path / "a.png", rgba((200, 10, 30), 0))
    pixels_, remarks = decode_with_remarks(clear, image_format)
    assert pixels_[:, 0].T.tolist() == [expected, [0, 0, 0]]
    assert remarks == ("transparent",)
    fifth = decode(save(tmp_path / "b.png", rgba((200, 10, 30), 51)), image_format)[:, 0, 0]
    np.testing.assert_allclose(fifth, 0.2 * np.array([200, 10, 30]) + 0.8 * np.array(expected), atol=1)
    pixels_, remarks = decode_with_remarks(save(tmp_path / "c.png", rgba((200, 10, 30), 255)), image_format)
    assert pixels_[:, 0].T.tolist() == [[200, 10, 30], [0, 0, 0]]
    assert remarks == ()


def test_transparency_of_every_mode_is_laid_on_the_background(tmp_path):
    """A palette with a transparent colour, grey with alpha, and PNG's one transparent grey of 8 and of 16 bits."""
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    palette.save(tmp_path / "p.png", transparency=0)
    assert decode(tmp_path / "p.png", ImageFormat())[:, 0].T.tolist() == [[255, 255, 255], [40, 50, 60]]
    assert decode(tmp_path / "p.png", ImageFormat(background=(1, 2, 3)))[:, 0].T.tolist() == [
        [1, 2, 3],
        [40, 50, 60],
    ]
    Image.fromarray(np.array([[[7, 0], [9, 255]]], dtype=np.uint8), "LA").save(tmp_path / "la.png")
    assert decode(tmp_path / "la.png", ImageFormat(grey=True))[0].tolist() == [[255, 9]]
    Image.fromarray(np.array([[7, 9]], dtype=np.uint8)).save(tmp_path / "l.png", transparency=7)
    assert decode(tmp_path / "l.png", ImageFormat(grey=True))[0].tolist() == [[255, 9]]
    Image.fromarray(np.array([[7 * 257, 9 * 257]], dtype=np.uint16)).save(
        tmp_path / "i.png", transparency=7 * 257
    )
    assert decode(tmp_path / "i.png", ImageFormat(grey=True))[0].tolist() == [[255, 9]]


def test_colours_of_the_background_are_checked():
    with pytest.raises(ValueError, match="background"):
        FolderOptions(background="#12")
    assert FolderOptions(background="#80C0ff").background == "#80C0ff"
