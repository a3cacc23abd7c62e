"""Tables in .parquet files are those of the same rows in .csv."""

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
