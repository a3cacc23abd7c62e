"""User files: what is read is what was written, and every way to be wrong has its sentence."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from difrun.data.files import file, read, read_labelled
from difrun.errors import DifrunError

VALUES = np.random.default_rng(0).normal([3.0, -200.0], [0.5, 40.0], (100, 2))


def lines(values=VALUES, delimiter: str = ",") -> list[str]:
    return [delimiter.join(repr(float(v)) for v in row) for row in values]


@pytest.fixture
def write(tmp_path: Path):
    """Write text or bytes to a file of the temporary folder and give its path."""

    def to(name: str, content: str | bytes | list[str]) -> Path:
        path = tmp_path / name
        content = "\n".join(content) if isinstance(content, list) else content
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to


def error(call, *arguments, **options) -> str:
    with pytest.raises(DifrunError) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", ", "])
@pytest.mark.parametrize("header", [(), ("weight", "height (cm)")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_is_read_exactly(write, delimiter, header, end):
    text = ([delimiter.join(header)] if header else []) + lines(delimiter=delimiter)
    values, columns = read(write("my.csv", end.join(text) + end))
    assert np.array_equal(values, VALUES)
    assert columns == header


def test_csv_extras(write):
    """A byte-order mark, comments, blank lines, quotes, exponents, signs; one column has no delimiter."""
    text = '﻿# made by hand\n"a, first",b\n\n1e-3,+2\n# half way\n"-.5", 7 \n\n'
    values, columns = read(write("my.CSV", text))
    assert values.tolist() == [[0.001, 2], [-0.5, 7]]
    assert columns == ("a, first", "b")
    values, columns = read(write("one.csv", "1\n2\n3\n"))
    assert values.tolist() == [[1], [2], [3]]
    assert columns == ()


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
    raw = file(seed=3, path=write("my.csv", lines()), standardise=False)
    assert raw.scaling is None
    np.testing.assert_allclose(data.scaling.shift, raw.train.double().mean(0), rtol=1e-6)
    np.testing.assert_allclose(data.scaling.scale, raw.train.double().std(0, correction=0), rtol=1e-6)
    torch.testing.assert_close(data.decode(data.held_out), raw.held_out, rtol=1e-5, atol=1e-4)


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


CSV_ERRORS = [
    ("a,b\n1,2\n3,x4\n", "line 3, column 'b': 'x4' is not a number."),
    ("1,2\n3,\n", "line 2, column 2: the value is missing."),
    ("1,2\n\n3,4,5\n", "line 3: 3 values, but 2 in line 1."),
    ("a,b\n1,2\n3\n", "line 3: 1 values, but 2 in line 1."),
    ("a,b\n1,2\n3,nan\n", "line 3, column 'b': nan. Remove or fill that row."),
    ("1,2\n-inf,0\n", "line 2, column 1: -inf. Remove or fill that row."),
    ("a,2\n3,4\n", "line 1, column 1: 'a' is not a number."),
    ("1;2\n3,5;4\n", "line 2, column 1: '3,5' is not a number. Write decimals with a point."),
    ("", "is empty."),
    ("\n# nothing\n", "is empty."),
]


def test_a_column_of_text_is_told_how_classes_are_named(write):
    """Not where one cell further down is no number, nor of a file of samples (`read`)."""
    path = write("my.csv", "a,kind of\n1,up\n2,down\n")
    plain = f"file '{path}', line 2, column 'kind of': 'up' is not a number."
    assert (
        error(read_labelled, path, None, None) == f"{plain} If these are classes: --dataset.label 'kind of'."
    )
    assert error(read, path) == plain
    path = write("my.csv", "a,b\n1,2\n3,x4\n")
    assert error(read_labelled, path, None, None).endswith("'x4' is not a number.")


@pytest.mark.parametrize(("text", "message"), CSV_ERRORS)
def test_csv_errors_name_file_line_and_column(write, text, message):
    path = write("my.csv", text)
    comma = " " if message == "is empty." else ", "
    assert error(read, path) == f"file '{path}'{comma}{message}"


def test_csv_of_another_encoding(write):
    assert "is not UTF-8 text (byte 3)" in error(read, write("my.csv", b"a,\xe9\n1,2\n"))


def test_files_that_are_not_there(tmp_path, write):
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
    assert error(read, tmp_path / "x.txt").endswith("expected a file that ends in .npy, .npz, .csv.")
    (tmp_path / "folder.npy").mkdir()
    assert error(read, tmp_path / "folder.npy").startswith(f"'{tmp_path}/folder.npy' is a folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_file_without_permission(write):
    path = write("my.csv", lines())
    path.chmod(0)
    assert error(read, path) == f"file '{path}': you have no permission to read it."


def test_read_failures_of_the_system_are_told(write, monkeypatch):
    path = write("my.csv", lines())

    def broken(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", broken)
    assert error(read, path) == f"file '{path}' cannot be read: Input/output error."

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    assert error(read, path) == f"file '{path}': you have no permission to read it."


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
        (np.array(["a", "b"]), "holds <U1 values; expected real numbers."),
        (VALUES + 1j, "holds complex128 values; expected real numbers."),
        (np.zeros(30, dtype=[("a", "f8")]), "expected real numbers."),
        (np.array(3.0), "holds a single number; expected an array of shape (N, columns)."),
    ],
)
def test_arrays_that_are_no_examples(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    assert error(read, tmp_path / "a.npy").endswith(message)


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
    assert file(seed=0, path=path, standardise=False).var[0] == 0
    np.save(path, VALUES * 1e40)
    assert abs(float(file(seed=0, path=path).var[1]) - 1) < 1e-6
    assert "too large for 32-bit numbers" in error(file, seed=0, path=path, standardise=False)
