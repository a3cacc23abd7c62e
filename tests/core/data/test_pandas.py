"""Real DataFrames of pandas: every type of column that holds numbers or classes, gaps, and any index."""

import numpy as np
import pandas
import pytest
import torch

from difrun.data import as_dataset
from difrun.errors import DifrunError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 2))
KIND = np.array(["cat", "dog", "owl"])[np.arange(60) % 3]
FRAME = pandas.DataFrame(
    {"a": X[:, 0], "b": X[:, 1], "count": np.arange(60), "kind": KIND}, index=RANDOM.permutation(60)
)


def examples(dataset):
    """All examples in the user's units, each column sorted."""
    return (
        torch.cat((dataset.decode(dataset.train), dataset.decode(dataset.held_out))).double().sort(0).values
    )


@pytest.mark.parametrize(
    "form",
    [
        lambda frame: frame,
        lambda frame: frame.convert_dtypes(),
        lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
        lambda frame: frame.astype(object),
        lambda frame: frame.astype({"kind": "category", "count": "int8"}),
        lambda frame: frame.set_index("kind", append=True).reset_index("kind")[["a", "b", "count", "kind"]],
    ],
    ids=["numpy", "nullable", "pyarrow", "object", "categorical", "two levels of index"],
)
def test_columns_of_every_type_are_the_same_data(form):
    made = as_dataset(form(FRAME), labels="kind")
    plain = as_dataset(X, scale="none")
    assert (made.columns, made.classes) == (("a", "b", "count"), ("cat", "dog", "owl"))
    torch.testing.assert_close(examples(made)[:, :2], examples(plain), rtol=0, atol=1e-6)
    torch.testing.assert_close(examples(made)[:, 2], torch.arange(60.0).double(), rtol=0, atol=1e-5)
    # Every example keeps its class: the count, which is the row, gives it.
    rows = made.decode(made.train)[:, 2].round().long()
    assert torch.equal(made.labels, rows % 3)


def test_gaps_of_every_type_are_refused_filled_or_left_out():
    frame = FRAME[["a", "b", "count"]].astype({"count": "Int64"})
    frame.iloc[5, 0] = np.nan
    frame.iloc[7, 2] = pandas.NA
    with pytest.raises(DifrunError, match=r"nan in row 6, column 'a' \(2 of 60 rows hold NaN or infinity\)"):
        as_dataset(frame)
    assert len(examples(as_dataset(frame, missing="drop"))) == 58
    filled = as_dataset(frame, missing="mean", scale="none")
    values = torch.cat((filled.train, filled.held_out))
    assert len(values) == 60
    for column in (0, 2):
        known = torch.tensor(frame.iloc[:, column].dropna().to_numpy(float)).float()
        (gap,) = (value for value in values[:, column] if not torch.isclose(value, known, atol=1e-6).any())
        trained = filled.train[:, column]
        assert float(gap) == pytest.approx(float(trained[trained != gap].mean()), abs=1e-5)


def test_one_column_is_a_series_too():
    assert torch.equal(examples(as_dataset(FRAME["a"])), examples(as_dataset(FRAME[["a"]])))


@pytest.mark.parametrize("column", ["when", "text"])
def test_columns_that_hold_no_numbers_are_named(column):
    more = {"when": pandas.date_range("2020", periods=60), "text": KIND}[column]
    with pytest.raises(DifrunError, match=f"column '{column}' holds .*; expected real numbers"):
        as_dataset(FRAME[["a", "b"]].assign(**{column: more}))
