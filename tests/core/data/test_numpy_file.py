"""NumPy's files: what is read is what was written, and every mistake has its sentence."""

from pathlib import Path

import numpy as np
import pytest

from difrun.data.files import file, read, read_labelled

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


LETTERS = np.array(["a", "b", "c"])[np.arange(100) % 3]
NO_CLASSES = {
    "fractions": (np.arange(100) / 4, "float64 values of shape (100,)", "If these are conditions: "),
    "whole": (
        np.arange(100) % 3.0,
        "float64 values of shape (100,)",
        "If these are classes: --dataset.label y. If",
    ),
    "dates": (
        np.arange(100).astype("datetime64[D]"),
        "datetime64[D] values of shape (100,)",
        "one for each example",
    ),
    "one-hot": (
        np.eye(3, dtype=int)[np.arange(100) % 3],
        "int64 values of shape (100, 3)",
        "--dataset.condition y",
    ),
    "objects": (np.array([None, "a"] * 50, dtype=object), "Python objects", "one for each example"),
    "empty": (np.empty(0), "float64 values of shape (0,)", "one for each example"),
}


@pytest.mark.parametrize("name", NO_CLASSES)
def test_an_array_y_that_holds_no_classes_is_told(tmp_path, name):
    """It was dropped in silence; x is read as it was."""
    y, what, advice = NO_CLASSES[name]
    np.savez(tmp_path / "a.npz", x=VALUES, y=y)
    table = read_labelled(tmp_path / "a.npz", None, None)
    assert table.labels is None
    assert np.array_equal(table.values, VALUES)
    assert table.notes[0] == "read the examples from array 'x', of shape (100, 2); left out: y"
    assert f"array 'y' holds {what}, and is not read: classes are whole numbers or text" in table.notes[1]
    assert advice in table.notes[1]


@pytest.mark.parametrize("y", [LETTERS[:, None], (np.arange(100) % 3)[:, None]], ids=["text", "numbers"])
def test_labels_may_be_a_column(tmp_path, y):
    np.savez(tmp_path / "a.npz", x=VALUES, y=y, z=VALUES)
    for label in (None, "y"):
        table = read_labelled(tmp_path / "a.npz", None, label)
        assert table.labels.tolist() == y[:, 0].tolist()
        assert table.notes == (
            "read the examples from array 'x', of shape (100, 2), their classes from 'y'; left out: z",
        )


def test_labels_that_are_named_are_whole_numbers_or_refused(tmp_path):
    for y, said in ((np.array([1.0, np.inf] * 50), "float64"), (np.array([1e300, 2.0] * 50), "float64")):
        np.savez(tmp_path / "a.npz", x=VALUES, y=y)
        assert f"array 'y': labels are whole numbers or text, not {said} values." in error(
            file, seed=0, path=tmp_path / "a.npz", label="y"
        )
    np.savez(tmp_path / "a.npz", x=VALUES, y=np.uint64(2**63) + np.arange(100, dtype=np.uint64) % 2)
    assert file(seed=0, path=tmp_path / "a.npz").classes == (str(2**63), str(2**63 + 1))
    np.savez(tmp_path / "a.npz", x=VALUES, y=np.array([3.0, 1.0] * 50))
    assert file(seed=0, path=tmp_path / "a.npz", label="y").classes == ("1", "3")


def test_an_array_c_that_holds_no_conditions_is_told(tmp_path):
    np.savez(tmp_path / "a.npz", x=VALUES, c=VALUES[:7])
    notes = read_labelled(tmp_path / "a.npz", None, None).notes
    assert (
        "array 'c' holds float64 values of shape (7, 2), and is not read: conditions are numbers, one"
        in notes[1]
    )


def test_whole_numbers_that_float64_does_not_tell_apart_are_refused(tmp_path):
    """Times in nanoseconds: 1.7e18 is rounded to a multiple of 256."""
    whole = 17 * 10**17 + np.arange(100)
    np.save(tmp_path / "a.npy", whole)
    said = error(read, tmp_path / "a.npy")
    assert f"whole numbers from {whole[0]} to {whole[-1]} cannot be told apart in float64" in said
    np.save(tmp_path / "a.npy", whole * 10**0 + 10**12 * np.arange(100))  # far enough apart
    assert read(tmp_path / "a.npy")[0].shape == (100, 1)
