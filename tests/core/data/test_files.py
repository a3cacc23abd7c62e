"""Datasets from files: split, scaled, and refused with a sentence that says why."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from difrun.data.files import file, read

from .support import VALUES, error, lines, write_to


@pytest.fixture
def write(tmp_path: Path):
    return write_to(tmp_path)


def test_dataset_of_a_file_is_split_scaled_and_can_be_decoded(write):
    path = write("my.csv", ["a,b", *lines()])
    data = file(seed=3, path=path)
    assert data.name == "my.csv"
    assert data.columns == ("a", "b")
    assert (len(data.train), len(data.held_out)) == (80, 20)
    assert data.fresh is None
    assert data.distribution is None
    torch.testing.assert_close(data.mean, torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(data.var, torch.ones(2), atol=1e-6, rtol=0)
    # Every row is there once: decoded, sorted by the first column, train and held-out are the file.
    both = data.decode(torch.cat([data.train, data.held_out])).double().numpy()
    order = VALUES[:, 0].argsort()
    np.testing.assert_allclose(both[both[:, 0].argsort()], VALUES[order], rtol=1e-5)


def test_moments_for_scaling_are_those_of_the_training_rows_alone(write):
    data = file(seed=3, path=write("my.csv", lines()))
    raw = file(seed=3, path=write("my.csv", lines()), scale="none")
    assert raw.scaling is None
    np.testing.assert_allclose(data.scaling.shift, raw.train.double().mean(0), rtol=1e-6)
    np.testing.assert_allclose(data.scaling.scale, raw.train.double().std(0, correction=0), rtol=1e-6)
    torch.testing.assert_close(data.decode(data.held_out).float(), raw.held_out, rtol=1e-5, atol=1e-4)


def test_split_depends_on_the_seed_and_the_fraction(write):
    path = write("my.csv", lines())
    assert torch.equal(file(seed=1, path=path).train, file(seed=1, path=path).train)
    assert not torch.equal(file(seed=1, path=path).train, file(seed=2, path=path).train)
    assert len(file(seed=1, path=path, held_out=0.5).held_out) == 50
    assert len(file(seed=1, path=path, held_out=0.001).held_out) == 1


def test_arrays_of_other_shapes(tmp_path):
    np.save(tmp_path / "line.npy", VALUES[:, 0])
    np.save(tmp_path / "image.npy", VALUES.reshape(25, 2, 4))
    assert file(seed=0, path=tmp_path / "line.npy").shape == (1,)
    image = file(seed=0, path=tmp_path / "image.npy")
    assert image.shape == (2, 4)
    torch.testing.assert_close(image.var, torch.ones(2, 4), atol=1e-5, rtol=0)


def test_missing_files(tmp_path, write):
    write("points.csv", lines())
    message = error(read, tmp_path / "point.csv")
    assert message == (
        f"file '{tmp_path}/point.csv' does not exist (looked in {tmp_path}). "
        f"Did you mean '{tmp_path}/points.csv'?"
    )
    assert error(read, tmp_path / "no" / "x.npy").endswith(f"does not exist (looked in {tmp_path / 'no'}).")
    assert (
        error(file, seed=0)
        == "dataset 'file' needs a file: --dataset.path FILE, or --dataset FILE for short."
    )
    assert "x.txt' does not exist" in error(read, tmp_path / "x.txt")
    assert error(read, write("x.txt", "1,2")).endswith(
        "expected a file that ends in .npy, .npz, .csv, .parquet."
    )
    (tmp_path / "folder.npy").mkdir()
    assert error(read, tmp_path / "folder.npy").startswith(f"'{tmp_path}/folder.npy' is a folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_file_without_permission(write):
    path = write("my.csv", lines())
    path.chmod(0)
    assert error(read, path) == f"file '{path}': you have no permission to read it."


def test_read_failures_of_the_system_are_reported(write, monkeypatch):
    path = write("my.csv", lines())

    def broken(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", broken)
    assert error(read, path) == f"file '{path}' cannot be read: Input/output error."

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", forbidden)
    assert error(read, path) == f"file '{path}': you have no permission to read it."


def test_values_that_cannot_be_trained_on(tmp_path):
    path = tmp_path / "a.npy"

    def saved(array) -> str:
        np.save(path, array)
        return error(file, seed=0, path=path)

    assert saved(np.zeros((0, 2))) == f"file '{path}' is empty (shape (0, 2))."
    assert saved(VALUES[:19]).startswith(f"file '{path}' has 19 rows; at least 20 are needed")
    assert "of 22 rows, holding out 0.2 leaves 18 to train on" in saved(VALUES[:22])
    bad = VALUES.copy()
    bad[7, 1] = np.nan
    assert saved(bad).startswith(
        f"file '{path}': nan in row 8, column 2 (1 of 100 rows hold NaN or infinity)."
    )
    flat = VALUES.copy()
    flat[:, 0] = 0.1
    assert saved(flat).startswith(f"file '{path}': column 1: constant, so it cannot be scaled to variance 1.")
    assert file(seed=0, path=path, scale="none").var[0] == 0
    np.save(path, VALUES * 1e40)
    assert abs(float(file(seed=0, path=path).var[1]) - 1) < 1e-6
    assert "too large for 32-bit numbers" in error(file, seed=0, path=path, scale="none")
