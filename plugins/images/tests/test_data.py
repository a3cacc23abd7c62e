"""Digits and MNIST files: every pixel and label against their source."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from difrun.errors import DifrunError
from difrun_images.data import digits, mnist, stratified
from difrun_images.idx import FILES, read_idx

from .support import mnist_files, pixels, write_idx


def rows_of(images):
    return sorted(map(tuple, images.flatten(1).tolist()))


def test_digits_are_scikit_learns_scaled_and_split_by_class():
    """All 1797 and none twice; of the n of every class round(n/5) are held out; grey levels 0, ..., 16 are x/8 − 1."""
    bunch = load_digits()
    data = digits(seed=3)
    assert data.shape == data.image == (1, 8, 8)
    together = torch.cat((data.train, data.held_out))
    assert rows_of((together + 1) * 8) == sorted(map(tuple, bunch.data.tolist()))
    for label in range(10):
        count = int((bunch.target == label).sum())
        assert int((data.held_out_labels == label).sum()) == round(count / 5)
        assert int((data.labels == label).sum()) == count - round(count / 5)
    of = {tuple(row): label for row, label in zip(bunch.data.tolist(), bunch.target.tolist(), strict=True)}
    for x, y in ((data.train, data.labels), (data.held_out, data.held_out_labels)):
        assert [of[tuple(row)] for row in ((x + 1) * 8).flatten(1).tolist()] == y.tolist()
    assert data.classes == tuple("0123456789")


def test_flat_digits_are_the_same_row_by_row():
    flat, square = digits(seed=3, flat=True), digits(seed=3)
    assert flat.shape == (64,)
    assert torch.equal(flat.train, square.train.flatten(1))
    assert torch.equal(flat.held_out, square.held_out.flatten(1))
    assert flat.image == square.image


def test_the_seed_chooses_what_is_held_out():
    one, other = digits(seed=3), digits(seed=4)
    assert rows_of(one.held_out) != rows_of(other.held_out)


@pytest.mark.parametrize(
    ("counts", "share", "expected"), [((10, 20), 0.3, (3, 6)), ((1, 5), 0.9, (0, 4)), ((4, 4), 0.01, None)]
)
def test_a_share_of_every_class_is_held_out(counts, share, expected):
    """A class with one example keeps it to train on; where every share rounds to 0 one example is held out."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    kept = stratified(labels, share, torch.Generator().manual_seed(0))
    found = tuple(int(kept[labels == k].sum()) for k in range(len(counts)))
    assert found == expected if expected else sum(found) == 1


@pytest.mark.parametrize("zipped", [(), tuple(FILES.values())], ids=["plain", "gz"])
def test_mnist_files_are_read_byte_for_byte(tmp_path, zipped):
    arrays = mnist_files(tmp_path / "m", zipped=zipped)
    data = mnist(seed=0, folder=tmp_path / "m")
    assert data.shape == (1, 6, 6)
    for x, y, part in ((data.train, data.labels, "train"), (data.held_out, data.held_out_labels, "t10k")):
        assert np.array_equal(((x[:, 0] + 1) * 127.5).round().numpy(), arrays[f"{part}-images-idx3-ubyte"])
        assert np.array_equal(y.numpy(), arrays[f"{part}-labels-idx1-ubyte"])
    assert data.classes == ("0", "1", "2")
    assert float(data.train.min()) >= -1
    assert float(data.train.max()) <= 1


def test_the_first_n_of_mnist_and_torchvisions_folder(tmp_path):
    arrays = mnist_files(tmp_path / "raw")
    data = mnist(seed=0, folder=tmp_path, n=25, flat=True)
    assert data.shape == (36,)
    first = arrays["train-images-idx3-ubyte"][:25].reshape(25, -1)
    assert np.array_equal(((data.train + 1) * 127.5).round().numpy(), first)
    assert len(data.held_out) == 10


def test_what_is_wrong_with_mnist_files_is_said(tmp_path):
    with pytest.raises(DifrunError, match=r"needs a folder with its files: --dataset\.folder"):
        mnist(seed=0)
    with pytest.raises(
        DifrunError, match=r"there is no such folder\. The files are train-images.*MNIST pages"
    ):
        mnist(seed=0, folder=tmp_path / "none")
    folder = tmp_path / "m"
    arrays = mnist_files(folder)
    with pytest.raises(DifrunError, match=r"--dataset\.n 41: .* has 40 training images"):
        mnist(seed=0, folder=folder, n=41)
    labels = folder / "t10k-labels-idx1-ubyte"
    labels.unlink()
    with pytest.raises(
        DifrunError, match=r"lacks t10k-labels-idx1-ubyte\. The files are .*gzipped.*MNIST pages"
    ):
        mnist(seed=0, folder=folder)
    write_idx(labels, np.zeros(9, dtype=np.uint8))
    with pytest.raises(DifrunError, match=r"t10k-images-idx3-ubyte holds 10 images, .* 9 labels"):
        mnist(seed=0, folder=folder)
    write_idx(labels, arrays[labels.name])
    write_idx(folder / "t10k-images-idx3-ubyte", pixels(1, 10, 5, 5))
    with pytest.raises(DifrunError, match="training images are 6x6, test images 5x5"):
        mnist(seed=0, folder=folder)


def test_a_truncated_file_says_what_was_expected_and_found(tmp_path):
    path = write_idx(tmp_path / "images", pixels(0, 7, 3, 4))
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(
        DifrunError, match=r"is truncated: its header says 7x3x4, which takes 100 bytes; found 95"
    ):
        read_idx(path, 3)
    path.write_bytes(whole + b"x")
    with pytest.raises(DifrunError, match=r"is too long: .* takes 100 bytes; found 101"):
        read_idx(path, 3)
    path.write_bytes(whole[:10])
    with pytest.raises(DifrunError, match="is truncated: its header alone takes 16 bytes; found 10"):
        read_idx(path, 3)
    for other, found in ((b"", "nothing"), (b"\x00\x00\x0d\x03" + whole[4:], "00 00 0d 03")):
        path.write_bytes(other)
        with pytest.raises(
            DifrunError, match=f"is not an IDX file of bytes with 3 axes: it begins with {found}"
        ):
            read_idx(path, 3)
    path.write_bytes(whole)
    with pytest.raises(
        DifrunError, match="is not an IDX file of bytes with 1 axis: it begins with 00 00 08 03"
    ):
        read_idx(path, 1)
    zipped = write_idx(tmp_path / "images.gz", pixels(0, 70, 3, 4))
    zipped.write_bytes(zipped.read_bytes()[:-30])
    with pytest.raises(DifrunError, match=r"bytes\) is a damaged or truncated gzip file: .*Fetch it again"):
        read_idx(zipped, 3)
