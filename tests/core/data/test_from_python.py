"""Arrays, tensors, DataFrames and datasets of torch as data."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from difrun.data import as_dataset

from .forms import C, Frame, Pairs, X
from .support import error


def everything(data):
    return torch.cat((data.decode(data.train), data.decode(data.held_out))).sort(0).values


def test_arrays_tensors_and_lists_give_one_dataset():
    for given in (X, torch.from_numpy(X), X.tolist(), Pairs(torch.from_numpy(X)), X[::-1][::-1]):
        data = as_dataset(given, seed=1, name="mine")
        torch.testing.assert_close(everything(data), torch.from_numpy(X).sort(0).values, rtol=1e-5, atol=1e-5)
        assert len(data.held_out) == 10
        assert data.name == "mine"
    assert as_dataset(data) is data
    assert as_dataset(X[:, 0]).shape == (1,)


def test_labels_and_conditions_stay_with_their_examples():
    data = as_dataset(X, condition=X[:, :1] * 2 + 1, columns=("a", "b"))
    torch.testing.assert_close(data.condition.train[:, 0], data.train[:, 0], rtol=1e-4, atol=1e-4)
    names = np.where(X[:, 0] > 0, "plus", "minus")
    for given in (
        {"data": X, "labels": names},
        {"data": Pairs(torch.from_numpy(X), (X[:, 0] > 0).astype(int))},
    ):
        data = as_dataset(**given)
        assert torch.equal(data.decode(data.train)[:, 0] > 0, data.labels == 1)
    data = as_dataset(Pairs(torch.from_numpy(X), torch.from_numpy(X[:, :1])))
    torch.testing.assert_close(data.condition.train, data.train[:, :1], rtol=1e-4, atol=1e-4)
    assert not data.classes


def test_a_frame_gives_its_columns():
    frame = Frame(
        a=X[:, 0], kind=np.where(X[:, 0] > 0, "p", "m").astype(object), b=X[:, 1], c=[None, *C[1:, 0]]
    )
    assert "column 'kind' holds text; expected real numbers" in error(as_dataset, frame)
    data = as_dataset(frame, labels="kind", columns=("b", "a"))
    assert data.columns == ("b", "a")
    assert data.classes == ("m", "p")
    assert torch.equal(data.decode(data.train)[:, 1] > 0, data.labels == 1)
    data = as_dataset(frame, columns=("a", "b"), condition="c", missing="drop")
    assert data.condition.columns == ("c",)
    assert len(data.train) + len(data.held_out) == 49
    assert "has no column 'd' (columns=)" in error(as_dataset, frame, columns=("d",))
    assert "is a condition (condition=); leave it out of columns=" in error(
        as_dataset, frame, columns=("a", "b"), condition="a"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"data": 3.0}, "a single number"),
        ({"data": X[:5]}, "at least 20"),
        ({"data": ["text"] * 30}, "real numbers"),
        ({"data": X, "condition": C[:9]}, "for 50 examples"),
        ({"data": X, "labels": "kind"}, "the data are no DataFrame"),
        ({"data": X, "labels": C[:, 0]}, "whole numbers or text"),
        ({"data": Pairs([torch.zeros(2), torch.zeros(3)] * 20)}, "differ in shape"),
    ],
)
def test_what_is_no_dataset_is_refused(given, said):
    assert said in error(as_dataset, **given)


def numbered(*columns):
    """A DataFrame without names: its columns are called 0, 1, ..., as pandas does it."""
    frame = Frame()
    frame.columns, frame._values = list(range(len(columns))), dict(enumerate(columns))
    return frame


def test_columns_may_have_numbers_for_names():
    """They are names: 1 is the second column of a frame without names, not the first."""
    kind = np.array(["p", "m"] * 25, dtype=object)
    data = as_dataset(numbered(X[:, 0], X[:, 1], kind), labels=2)
    assert (data.columns, data.classes) == (("0", "1"), ("m", "p"))
    for given in (1, [1], ("1",)):
        data = as_dataset(numbered(X[:, 0], X[:, 1], C[:, 0]), columns=[0], condition=given)
        assert (data.columns, data.condition.columns) == (("0",), ("1",))
        assert torch.equal(data.condition.decode(data.condition.train)[:, 0] > 0, correct(data) > 0)
    assert "has no column '3' (columns=). Its columns: 0, 1" in error(
        as_dataset, numbered(X[:, 0], X[:, 1]), columns=(3,)
    )
    # An array of whole numbers is one value for each row, also where these are names of columns.
    given = np.arange(50) % 2
    assert as_dataset(numbered(X[:, 0], X[:, 1]), condition=given).condition.columns == ()


def correct(data):
    """The second column of X in the rows of the training examples, which are told apart by the first."""
    first = data.decode(data.train)[:, 0]
    return torch.stack(
        [torch.from_numpy(X[:, 1])[(torch.from_numpy(X[:, 0]) - v).abs().argmin()] for v in first]
    )


class NotAvailable:
    """What a library has for a missing value: neither equal to itself nor different."""

    def __ne__(self, other):
        return self

    __eq__ = __ne__
    __hash__ = None

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")


def test_missing_values_of_any_library_are_gaps():
    column = np.array([NotAvailable(), None, math.nan, *X[3:, 0]], dtype=object)
    data = as_dataset(Frame(a=column, b=X[:, 1]), missing="drop")
    assert len(data.train) + len(data.held_out) == 47
    kinds = np.array([NotAvailable(), *(np.arange(49) % 2)], dtype=object)
    assert "the label of row 1 is missing" in error(as_dataset, Frame(a=X[:, 0], kind=kinds), labels="kind")
    with_gap = np.array([math.nan, *(np.arange(49) % 2)])
    assert "the label of row 1 is missing" in error(as_dataset, X, labels=with_gap)
    assert as_dataset(X, labels=np.arange(50) % 2 + 3.0).classes == ("3", "4")


def test_frames_may_be_given_in_parts():
    frame, other = Frame(a=X[:, 0], b=X[:, 1]), Frame(c=C[:, 0], d=C[:, 0] + X[:, 0])
    for given in ({"data": frame, "condition": other}, {"data": (frame, other)}):
        data = as_dataset(**given)
        assert (data.columns, data.condition.columns) == (("a", "b"), ("c", "d"))
    assert as_dataset((frame, np.arange(50) % 2)).columns == ("a", "b")
    twice = Frame(a=X)
    assert "several columns 'a'" in error(as_dataset, twice)


def test_what_is_given_twice_is_refused():
    labels, values = np.arange(50) % 2, C
    for given, said in (
        ({"data": (X, labels), "labels": labels}, "the classes are given twice, in the pair and by labels="),
        (
            {"data": (X, values), "condition": values},
            "conditions are given twice, in the pair and by condition=",
        ),
        (
            {"data": (X, values), "labels": labels},
            "classes and a condition (condition=) cannot be used together",
        ),
        ({"data": Pairs(X, labels), "labels": labels}, "twice, in the items of the data"),
        ({"data": as_dataset(X), "labels": labels}, "labels= has no effect on a difrun.data.Dataset"),
        ({"data": as_dataset(X), "scale": "none"}, "scale= has no effect"),
    ):
        assert said in error(as_dataset, **given)


def test_messages_name_the_arguments_of_the_function():
    gaps = np.where(X > 2, math.nan, X)
    for given, said in (
        ({"data": gaps}, "missing='drop' leaves out rows with NaN"),
        ({"data": X, "scale": "foo"}, "scale= is one of auto, std, robust, pixels, none, not 'foo'"),
        (
            {"data": X, "missing": "man"},
            "missing= is one of refuse, drop, mean, condition, not 'man'. Did you mean",
        ),
        ({"data": X, "held_out": 2}, "held_out= is the fraction of the rows"),
        ({"data": X, "held_out": 0.9}, "Lower held_out="),
        (
            {"data": X[:, :1], "missing": "condition"},
            "missing='condition' is for tables of at least two columns",
        ),
        ({"data": np.ones((50, 2))}, "turn scaling off: scale='none'"),
        (
            {"data": Frame(a=X[:, 0], k=["u"] * 50)},
            "holds text; expected real numbers. If these are classes: labels='k'",
        ),
        ({"data": X, "condition": ["a", "b"]}, "condition= names a column, and the data are no DataFrame"),
        ({"data": X, "condition": np.array(["a"] * 50)}, "data 'data', condition: expected real numbers"),
        ({"data": "x.csv"}, "difrun.run(dataset=FILE)"),
        ({"data": X, "labels": [[1, 2]] * 50}, "labels of shape (50, 2)"),
    ):
        found = error(as_dataset, **given)
        assert said in found
        assert "--dataset" not in found
        assert "file" not in found or "FILE" in said


def test_a_list_of_points_is_not_a_list_of_items():
    data = as_dataset([tuple(row) for row in X.tolist()])
    assert (data.shape, data.condition) == ((2,), None)
    assert as_dataset([(row, row[:1].copy()) for row in X]).condition.shape == (1,)


def test_libraries_of_frames_are_not_imported():
    code = (
        "import sys, numpy as np\n"
        "from difrun.data import as_dataset\n"
        "as_dataset(np.random.default_rng(0).normal(size=(50, 2)))\n"
        "assert not {'pandas', 'pyarrow', 'polars'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
