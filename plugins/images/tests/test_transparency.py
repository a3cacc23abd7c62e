"""Transparent images are laid on a background that is said."""

import struct
import zlib

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


def png(path, depth, colour_type, row, transparent):
    """A PNG file of one row, made by hand: Pillow writes 8 bits, and 16 of grey."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    width = 8 * len(row) // depth // {0: 1, 2: 3}[colour_type]
    header = struct.pack(">IIBBBBB", width, 1, depth, colour_type, 0, 0, 0)
    parts = {b"IHDR": header, b"tRNS": transparent, b"IDAT": zlib.compress(b"\0" + row), b"IEND": b""}
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts.items() if part != (b"tRNS", b""))
    )
    return path


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_the_transparent_grey_is_that_of_the_file_at_every_depth(tmp_path, depth):
    """The greys 0, 1, 0, 1, ... of which 1 is transparent: it shows the background, and 0 stays black."""
    row = (
        bytes([sum((k % 2) << (8 - depth - k * depth) for k in range(8 // depth))]) if depth < 8 else b"\0\1"
    )
    path = png(tmp_path / "a.png", depth, 0, row, struct.pack(">H", 1))
    pixels, remarks = decode_with_remarks(path, ImageFormat(grey=True, background=(200, 200, 200)))
    assert pixels[0, 0].tolist() == [0, 200] * (pixels.shape[2] // 2)
    assert remarks == ("transparent",)


def test_a_transparent_colour_of_16_bits_is_refused_and_16_bits_are_told(tmp_path):
    row = np.array([[0, 257, 65535], [1, 2, 3]], dtype=">u2").tobytes()
    pixels, remarks = decode_with_remarks(png(tmp_path / "a.png", 16, 2, row, b""), ImageFormat())
    assert (pixels[:, 0, 0].tolist(), remarks) == ([0, 1, 255], ("deep",))
    said, _ = decode_with_remarks(
        png(tmp_path / "b.png", 16, 2, row, struct.pack(">3H", 1, 2, 3)), ImageFormat()
    )
    assert "its transparent colour has 16 bits per channel" in said
    (tmp_path / "c.ppm").write_bytes(b"P6 2 1 65535\n" + row)
    assert decode_with_remarks(tmp_path / "c.ppm", ImageFormat())[1] == ("deep",)


def test_a_tiff_file_of_16_bits_whose_0_is_white_is_inverted(tmp_path):
    values = np.array([[0, 257, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.tif")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    at = data.index(struct.pack("<HHI", 262, 3, 1)) + 8
    assert data[at] == 1  # black is zero
    data[at] = 0
    (tmp_path / "a.tif").write_bytes(data)
    assert decode(tmp_path / "a.tif", ImageFormat(grey=True))[0].tolist() == [[255, 254, 0]]


def test_a_colour_profile_that_is_not_applied_is_told(tmp_path):
    image = Image.fromarray(np.array([[[1, 2, 3]]], dtype=np.uint8))
    for profile, remarks in (
        (b"Display P3", ("profile",)),
        ("sRGB".encode("utf-16-be"), ()),
        (b"sRGB IEC", ()),
    ):
        image.save(tmp_path / "a.png", icc_profile=profile)
        assert decode_with_remarks(tmp_path / "a.png", ImageFormat())[1] == remarks
