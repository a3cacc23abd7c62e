"""Tables in .parquet files are those of the same rows in .csv."""

import datetime

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch

from difrun.data.files import file
from difrun.errors import DifrunError

X = np.random.default_rng(0).normal(size=(50, 2))
KIND = np.where(X[:, 0] > 0, "plus", "minus")


def write(path, **columns):
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def test_a_parquet_file_is_the_csv_file_of_its_rows(tmp_path):
    table = write(tmp_path / "x.parquet", a=X[:, 0], kind=KIND, b=X[:, 1])
    lines = ["a,kind,b", *(f"{a!r},{kind},{b!r}" for (a, b), kind in zip(X.tolist(), KIND, strict=True))]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    read, expected = (file(seed=3, path=path, label="kind") for path in (table, tmp_path / "x.csv"))
    assert read.columns == expected.columns == ("a", "b")
    assert read.classes == expected.classes == ("minus", "plus")
    for name in ("train", "held_out", "labels", "held_out_labels"):
        assert torch.equal(getattr(read, name), getattr(expected, name)), name


def test_nulls_are_gaps_and_columns_are_conditions(tmp_path):
    table = write(tmp_path / "x.parquet", a=X[:, 0], b=[None, *X[1:, 1]], c=2 * X[:, 0] + 1)
    with pytest.raises(DifrunError, match=r"nan in row 1, column .b."):
        file(seed=0, path=table)
    read = file(seed=0, path=table, columns=("a", "b"), condition=("c",), missing="drop")
    assert len(read.train) + len(read.held_out) == 49
    torch.testing.assert_close(read.condition.train[:, 0], read.train[:, 0], rtol=1e-4, atol=1e-4)


def test_what_is_no_table_of_numbers_is_refused_in_words(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1" + b"\0" * 100)
    with pytest.raises(DifrunError, match=r"x.parquet' cannot be read as .parquet"):
        file(seed=0, path=tmp_path / "x.parquet")
    with pytest.raises(DifrunError, match=r"column 'kind' .*--dataset.label kind"):
        file(seed=0, path=write(tmp_path / "y.parquet", a=X[:, 0], kind=KIND))
    (tmp_path / "z.parquet").mkdir()
    with pytest.raises(DifrunError, match="is a folder"):
        file(seed=0, path=tmp_path / "z.parquet")


def test_columns_of_any_name_and_type_are_read_or_refused_in_words(tmp_path):
    path = tmp_path / "x.parquet"
    for name in ("..", "", "a.b", "/", "a[0]", "a\nb", "b"):
        table = pyarrow.Table.from_arrays([pyarrow.array(column) for column in X.T], names=[name, "b"])
        pyarrow.parquet.write_table(table, path)
        # A column without a name may be an index, which is asked about.
        chosen = None if name else ("1", "2")
        assert file(seed=0, path=path, columns=chosen).columns == (name, "b")
        if name == "b":
            with pytest.raises(
                DifrunError, match=r"has 2 columns 'b' \(--dataset.columns\). Give the number"
            ):
                file(seed=0, path=path, columns=("b",))
            assert file(seed=0, path=path, columns=("1",)).columns == ("b",)
        else:
            assert file(seed=0, path=path, columns=(name,)).columns == (name,)
    for odd in (
        [[1.0, 2.0]] * 50,
        [{"u": 1.0}] * 50,
        [b"1"] * 50,
        [datetime.date(2020, 1, 1)] * 50,
        pyarrow.array([[("k", 1)]] * 50, type=pyarrow.map_(pyarrow.string(), pyarrow.int64())),
    ):
        with pytest.raises(DifrunError, match=r"column 'a' holds .*; expected real numbers"):
            file(seed=0, path=write(path, a=odd, b=X[:, 1]))
        # What is not asked for need not be read.
        assert file(seed=0, path=path, columns=("b",)).columns == ("b",)


def test_exceptions_of_pyarrow_become_words(tmp_path, monkeypatch):
    path = write(tmp_path / "x.parquet", a=X[:, 0], b=X[:, 1])
    for kind in (pyarrow.ArrowNotImplementedError, pyarrow.ArrowKeyError, pyarrow.ArrowTypeError, OSError):

        def fail(*arguments, kind=kind, **options):
            raise kind("no such codec")

        monkeypatch.setattr(pyarrow.parquet.ParquetFile, "read", fail)
        with pytest.raises(DifrunError, match=r"x.parquet' cannot be read as .parquet: .*no such codec"):
            file(seed=0, path=path)


def test_a_small_file_may_not_claim_all_memory(tmp_path):
    path = write(tmp_path / "x.parquet", a=np.zeros(4 * 10**7, dtype=np.int8))
    assert path.stat().st_size < 10**6
    with pytest.raises(DifrunError, match=r"x.parquet' claims 320 MB in a file of"):
        file(seed=0, path=path)


def test_a_table_says_what_was_read_and_asks_about_an_index(tmp_path):
    path = write(tmp_path / "x.parquet", a=X[:, 0], b=X[:, 1], kind=KIND)
    note = f"read 50 rows of 3 columns; left out: b. First row: a = {X[0, 0]}; class {KIND[0]}"
    assert file(seed=0, path=path, label="kind", columns=("a",)).notes[0] == note
    path = write(tmp_path / "y.parquet", a=X[:, 0], __index_level_0__=np.arange(50))
    with pytest.raises(
        DifrunError, match=r"column 2 has no name of its own .*--dataset.columns a without it"
    ):
        file(seed=0, path=path)
    assert file(seed=0, path=path, columns=("1", "2")).shape == (2,)
