"""Pixels of 8 bits are scaled as those of images, whoever gives them; what is no pixel is refused."""

import numpy as np
import pytest
import torch

from difrun.data import Dataset, as_dataset
from difrun.data.files import file
from difrun.errors import DifrunError

from .support import error

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 5, 4), dtype=np.uint8)
IMAGES[:, 0, 0], IMAGES[:, 0, 1] = 0, 255  # pixels that are the same in all images cannot have variance 1


def everything(data: Dataset) -> torch.Tensor:
    """All examples in the units of the model, in an order that is the same for equal sets of them."""
    rows = torch.cat((data.train, data.held_out)).flatten(1).double()
    return rows[rows.numpy().dot(np.arange(rows.shape[1]) + 1.0).argsort()]


class Items(torch.utils.data.Dataset):
    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        return torch.from_numpy(IMAGES[index]), index % 2


def given(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    np.savez(tmp_path / "x.npz", x=IMAGES, y=np.arange(40) % 2)
    yield as_dataset(IMAGES)
    yield as_dataset(torch.from_numpy(IMAGES))
    yield as_dataset(Items())
    yield as_dataset(IMAGES.astype(float), scale="pixels")
    yield as_dataset(IMAGES / 255, scale="pixels")
    yield as_dataset(IMAGES.astype(np.uint16) * 257, scale="pixels")
    yield file(seed=0, path=tmp_path / "x.npy")
    yield file(seed=0, path=tmp_path / "x.npz")


def test_pixels_from_black_to_white_are_minus_one_to_one(tmp_path):
    """x/127.5 − 1, as `difrun-images` reads files; samples come back in the user's units."""
    expected = torch.from_numpy(IMAGES.reshape(40, -1) / 127.5 - 1)
    expected = expected[expected.numpy().dot(np.arange(20) + 1.0).argsort()]
    for data in given(tmp_path):
        assert data.shape == (5, 4)
        torch.testing.assert_close(everything(data), expected, atol=1e-6, rtol=0)
        white = data.scaling.decode(torch.ones(1, 5, 4)).unique()
        assert any(f"pixels from 0 to {white.item():.0f} become −1 to 1" in note for note in data.notes)
    assert as_dataset(IMAGES).decode(torch.tensor([-1.0, 0.0, 1.0])[:, None, None].expand(3, 5, 4))[
        :, 1, 1
    ].tolist() == [
        0,
        127.5,
        255,
    ]


def test_only_arrays_of_several_axes_are_taken_for_images():
    """A table of small whole numbers is a table, and a scale that the user names is taken."""
    table = as_dataset(IMAGES[:, 1])
    assert table.scaling.kind == "std"
    torch.testing.assert_close(table.train.mean(0), torch.zeros(4), atol=1e-6, rtol=0)
    assert as_dataset(IMAGES, scale="none").train.max() == 255
    assert as_dataset(IMAGES[:, 1:], scale="std").scaling.kind == "std"
    assert as_dataset(IMAGES[:, 1:].astype(float)).scaling.kind == "std"
    said = error(as_dataset, IMAGES.astype(float))
    assert "constant" in said
    assert "Images are scaled by scale='pixels'" in said


def test_conditions_that_are_images_are_scaled_as_such():
    data = as_dataset(IMAGES[:, 1], condition=IMAGES)
    assert data.condition.scaling.kind == "pixels"
    assert (data.condition.train[:, 0, 1] == 1).all()
    assert as_dataset(IMAGES, condition=IMAGES[:, 1]).condition.scaling.kind == "std"
    # What is said of the examples need not hold for their conditions.
    assert as_dataset(IMAGES, scale="pixels", condition=IMAGES[:, 1] * 1000.0).condition.scaling.kind == "std"


@pytest.mark.parametrize("values", [IMAGES - 300.0, IMAGES * 1e4])
def test_what_is_no_pixel_is_refused(values):
    with pytest.raises(
        DifrunError, match=r"are no pixels, which are from 0 to 1, 255 or 65535 \(scale='pixels'\)"
    ):
        as_dataset(values, scale="pixels")


def test_a_bulk_that_few_values_far_out_make_one_number_is_refused():
    """Beside 1e200, or at e^{8z}, standardised values of the bulk are equal in float32; of 1e5 it is told."""
    z = np.random.default_rng(0).normal(size=300)
    for column in (np.where(np.arange(300) == 7, 1e200, z), np.exp(8 * z)):
        said = error(as_dataset, column)
        assert "column 1 has values so far out" in said
        assert "Scale by the bulk with scale='robust', or remove those values." in said
    assert "few values far out decide" in as_dataset(np.where(np.arange(300) == 7, 1e5, z)).notes[0]
    bulk = as_dataset(np.exp(8 * z), scale="robust")
    assert len(bulk.train.unique()) > 0.97 * len(bulk.train)


@pytest.mark.parametrize("pixels", [np.full((30, 2), 3.0), 1e-300 * np.arange(60).reshape(30, 2)])
def test_pixels_that_are_all_alike_are_refused(pixels):
    assert "are all alike" in error(as_dataset, pixels, scale="pixels")
