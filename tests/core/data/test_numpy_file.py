"""NumPy's files: what is read is what was written, and every mistake has its sentence."""

from pathlib import Path

import numpy as np
import pytest

from difrun.data.files import read

from .support import VALUES, error, write_to


@pytest.fixture
def write(tmp_path: Path):
    return write_to(tmp_path)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "u1", "?"])
def test_npy_and_npz_are_read_exactly(tmp_path, dtype):
    array = np.abs(VALUES).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array, y=array + array)
    np.savez_compressed(tmp_path / "b.npz", points=array)
    for values, columns in (read(tmp_path / name) for name in ("a.npy", "a.npz", "b.npz")):
        assert np.array_equal(values, array.astype(np.float64))
        assert values.dtype == np.float64
        assert columns == ()
    assert np.array_equal(read(tmp_path / "a.npz", "y")[0], (array + array).astype(np.float64))


def test_npz_keys(tmp_path):
    np.savez(tmp_path / "a.npz", first=VALUES, second=VALUES)
    np.save(tmp_path / "a.npy", VALUES)
    np.savez(tmp_path / "none.npz")
    assert error(read, tmp_path / "a.npz").endswith(
        "holds the arrays: first, second. Choose one with --dataset.key NAME."
    )
    assert error(read, tmp_path / "a.npz", "third").endswith(
        "has no array 'third'. Its arrays: first, second."
    )
    assert "--dataset.key first is for .npz files" in error(read, tmp_path / "a.npy", "first")
    assert error(read, tmp_path / "none.npz").endswith("holds no arrays.")


def test_pickled_damaged_and_mislabelled_arrays(tmp_path, write):
    objects = np.array([{"a": 1}, None], dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "o.npz", x=objects)
    for name in ("o.npy", "o.npz"):
        assert "holds Python objects, not numbers; difrun never unpickles" in error(read, tmp_path / name)
    np.save(tmp_path / "a.npy", VALUES)
    np.savez(tmp_path / "a.npz", x=VALUES)
    for name in ("a.npy", "a.npz"):
        whole = (tmp_path / name).read_bytes()
        damaged = error(read, write("cut" + name, whole[: len(whole) // 2]))
        assert "is damaged" in damaged or "is not a .npz file" in damaged
        assert error(read, write("text" + name, "1,2\n3,4\n")).endswith(
            f"is not a {name[1:]} file, whatever its name says."
        )
        assert "is not a" in error(read, write("empty" + name, b""))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array(["a", "b"]), "holds text; expected real numbers."),
        (VALUES + 1j, "holds complex128 values; expected real numbers."),
        (np.zeros(30, dtype=[("a", "f8")]), "expected real numbers."),
        (np.array(3.0), "holds a single number; expected an array of shape (N, columns)."),
    ],
)
def test_arrays_that_are_not_examples(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    assert error(read, tmp_path / "a.npy").endswith(message)
