"""Images and IDX files of any content: their pixels come back as they were written, or a sentence names the file."""

import gzip
import io
import json
import shutil
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from difrun.errors import DifrunError
from difrun_images.data import image_folder, mnist
from difrun_images.decode import ImageFormat, decode, readable_formats
from difrun_images.idx import read_idx

from .support import mnist_files, pixels, save, write_idx

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16", "LAB")
FORMATS = st.builds(
    ImageFormat,
    size=st.sampled_from([None, (4, 4), (1, 9)]),
    fit=st.sampled_from(["crop", "stretch", "cut"]),
    grey=st.booleans(),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("generated")


def images():
    """A file of every format that Pillow writes and every mode that the format takes, of 5x7 pixels."""
    made = {}
    for kind in sorted(set(readable_formats()) & set(Image.SAVE) - {"PDF"}):
        for mode in MODES:
            out = io.BytesIO()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    Image.new(mode, (7, 5)).save(out, kind)
            except (OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError):
                continue
            made[kind, mode] = out.getvalue()
    out = io.BytesIO()
    frames = [Image.new("L", (7, 5), 40 * k) for k in range(3)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    made["GIF", "frames"] = out.getvalue()
    return made


IMAGES = images()


@st.composite
def damaged(draw, whole):
    """The bytes of a whole file with some of them replaced, left out, or put in."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(0, min(len(data), draw(st.sampled_from([16, 60, 10**6]))) - 1)))
        change = draw(
            st.binary(max_size=4) | st.sampled_from([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0"])
        )
        data[at : at + draw(st.sampled_from([0, 1, 2, 4, len(change)]))] = change
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 3)) == 0 else data)


ANY_IMAGE = damaged(st.sampled_from(sorted(IMAGES)).map(IMAGES.__getitem__)) | st.binary(max_size=100)


@given(ANY_IMAGE, FORMATS, st.sampled_from([".png", ".jpg", ".tif"]))
def test_any_image(contained, place, content, image_format, suffix):
    path = place / f"x{suffix}"
    path.write_bytes(content)
    with contained(place):
        found = decode(path, image_format)
    if isinstance(found, str):
        assert found
        assert len(found) < 1000
    else:
        assert found.dtype == np.uint8
        assert found.shape[0] == image_format.channels
        assert image_format.size in (None, found.shape[1:])


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))),
    st.sampled_from(["PNG", "TIFF", "BMP", "PPM"]),
)
def test_an_image_comes_back_as_it_is(place, array, kind):
    """In formats that lose nothing."""
    Image.fromarray(array).save(place / "whole.png", kind)
    np.testing.assert_array_equal(decode(place / "whole.png", ImageFormat()), array.transpose(2, 0, 1))


@given(ANY_IMAGE, st.sampled_from(["refuse", "skip"]), st.sampled_from([None, (4, 4)]))
def test_any_image_in_a_folder(contained, place, content, unreadable, size):
    """One of 30: it is read, left out and named, or refused by its name."""
    folder = place / "folder"
    if not folder.exists():
        for k in range(29):
            save(folder / f"{k:02}.png", pixels(k, 5, 7))
    (folder / "a.png").write_bytes(content)
    try:
        with contained(place):
            data = image_folder(seed=0, folder=folder, size=size, unreadable=unreadable)
    except DifrunError as error:
        assert_named(error, folder)
        assert_named(error, "a.png")
    else:
        said = "".join(data.notes)
        assert len(data.train) + len(data.held_out) == (29 if "a.png" in said else 30)


def assert_named(error, path):
    assert str(path) in str(error)
    assert len(str(error)) < 3000


def idx(sizes, content, magic, packed):
    data = magic + struct.pack(f">{len(sizes)}I", *sizes) + content
    return gzip.compress(data) if packed else data


ANY_IDX = damaged(
    st.builds(
        idx,
        st.lists(st.integers(0, 9) | st.sampled_from([2**32 - 1, 2**31, 60_000]), max_size=4),
        st.binary(max_size=80),
        st.sampled_from([b"\0\0\x08\1", b"\0\0\x08\3", b"\0\0\x0d\3", b"\0\0\0\0", b"\1\2\3\4"]),
        st.booleans(),
    )
)


@given(ANY_IDX | st.binary(max_size=60), st.sampled_from([1, 3]))
def test_any_idx_file(contained, place, content, axes):
    path = place / "x-idx"
    path.write_bytes(content)
    try:
        with contained(place):
            assert read_idx(path, axes).ndim == axes
    except DifrunError as error:
        assert_named(error, path)


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5)), st.booleans())
def test_an_idx_file_comes_back(place, array, packed):
    path = write_idx(place / ("y.gz" if packed else "y"), array)
    np.testing.assert_array_equal(read_idx(path, 3), array)


@given(
    ANY_IDX, st.sampled_from(["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "train-labels-idx1-ubyte"])
)
def test_any_file_among_those_of_mnist(contained, place, content, name):
    folder = place / "mnist"
    if not folder.exists():
        mnist_files(folder)
    before = (folder / name).read_bytes()
    (folder / name).write_bytes(content)
    try:
        with contained(place):
            mnist(seed=0, folder=folder)
    except DifrunError as error:
        assert_named(error, folder)
    finally:
        (folder / name).write_bytes(before)


CACHED = (
    st.dictionaries(
        st.sampled_from(["good", "remarks", "x"]),
        st.recursive(
            st.integers(-3, 40) | st.floats() | st.text(max_size=3) | st.none(),
            lambda inner: (
                st.lists(inner, max_size=40) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=40,
        ),
    )
    .map(json.dumps)
    .map(str.encode)
    | st.binary(max_size=50)
    | st.sampled_from([b"[" * 100_000, b"9" * 5000])
)


@given(CACHED, st.booleans())
def test_any_file_beside_decoded_pixels(contained, place, content, is_facts):
    """The cache of an earlier run is used only if it fits these images; else they are decoded again."""
    folder, cache = place / "photos", place / "cache"
    if not folder.exists():
        for k in range(30):
            save(folder / f"{k:02}.png", pixels(k, 3, 3))
    before = image_folder(seed=0, folder=folder, memory=0.0, cache=cache).train.clone()
    (facts,) = cache.glob("*.json")
    (facts if is_facts else facts.with_suffix(".npy")).write_bytes(content)
    with contained(place):
        again = image_folder(seed=0, folder=folder, memory=0.0, cache=cache)
    np.testing.assert_array_equal(again.train, before)
    shutil.rmtree(cache)
