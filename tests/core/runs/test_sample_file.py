"""Classes and conditions beside samples in a file: read by name, or refused in words."""

import numpy as np
import pytest
import torch

from difrun.data import as_dataset
from difrun.errors import DifrunError
from difrun.runs.stages.sample_file import read_labels

X = np.random.default_rng(0).normal(size=(60, 2))
NAMES = np.array(["1", "2", "10"])[np.arange(60) % 3]
DATA = as_dataset(X, labels=NAMES)


@pytest.mark.parametrize(
    "y",
    [
        np.array(["1", "10", "2"]),
        np.array([b"1", b"10", b"2"]),
        np.array(["01", "1e1", "2.0"]),
        np.array([1, 10, 2], dtype=">i2"),
        np.array([1.0, 10.0, 2.0]),
        np.array([[1], [10], [2]]),
    ],
    ids=str,
)
def test_names_that_are_numbers_are_compared_as_numbers(tmp_path, y):
    """Floating-point numbers, columns and bytes were passed over, and the samples taken for samples of all classes."""
    np.savez(tmp_path / "s.npz", x=X[:3], y=y)
    assert read_labels(DATA, tmp_path / "s.npz", 3).tolist() == [0, 2, 1]
    np.savez(tmp_path / "s.npz", x=X[:3])
    assert read_labels(DATA, tmp_path / "s.npz", 3) is None


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.array([0.5, 1, 2]), "array y: labels are whole numbers or text, not float64 values"),
        (np.arange(3).astype("datetime64[D]"), "array y: labels are whole numbers or text, not datetime64"),
        (np.array([1, 2]), r"classes y of shape \(2,\) for 3 samples; expected one for each"),
        (np.eye(3, dtype=int), r"classes y of shape \(3, 3\) for 3 samples"),
        (np.array(["1", "2", "0"]), "samples of class '0', which dataset 'data' does not have"),
    ],
)
def test_what_is_no_class_of_the_data_is_refused(tmp_path, y, said):
    np.savez(tmp_path / "s.npz", x=X[:3], y=y)
    with pytest.raises(DifrunError, match=said):
        read_labels(DATA, tmp_path / "s.npz", 3)


def test_conditions_are_numbers_or_refused(tmp_path):
    data = as_dataset(X, condition=X[:, 0])
    np.savez(tmp_path / "s.npz", x=X[:3], c=np.array([[True], [False], [True]]))
    expected = data.condition.encode(torch.tensor([[1.0], [0.0], [1.0]]), "c")
    assert torch.equal(read_labels(data, tmp_path / "s.npz", 3), expected)
    np.savez(tmp_path / "s.npz", x=X[:3], c=np.array(["a", "b", "c"]))
    with pytest.raises(
        DifrunError, match=r"array c holds <U1 values of shape \(3,\); conditions are numbers"
    ):
        read_labels(data, tmp_path / "s.npz", 3)
