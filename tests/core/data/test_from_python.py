"""Arrays, tensors, DataFrames and datasets of torch as data."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from difrun.data import as_dataset
from difrun.data.files import file
from difrun.data.from_python import array
from difrun.errors import DifrunError

from .support import error

X = np.random.default_rng(0).normal(size=(50, 2))
C = np.random.default_rng(1).normal(size=(50, 1))


class Column:
    """A column of a DataFrame, which any library has."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def to_numpy(self):
        return self.values


class Frame:
    """What DataFrames of all libraries have in common."""

    def __init__(self, **columns):
        self.columns = list(columns)
        self._values = columns

    def __getitem__(self, name):
        return Column(self._values[name])


class Pairs(torch.utils.data.Dataset):
    def __init__(self, *parts):
        self.parts = parts

    def __len__(self):
        return len(self.parts[0])

    def __getitem__(self, index):
        item = tuple(part[index] for part in self.parts)
        return item if len(item) > 1 else item[0]


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
    assert "column 'kind' holds object values; expected real numbers" in error(as_dataset, frame)
    data = as_dataset(frame, labels="kind", columns=("b", "a"))
    assert data.columns == ("b", "a")
    assert data.classes == ("m", "p")
    assert torch.equal(data.decode(data.train)[:, 1] > 0, data.labels == 1)
    data = as_dataset(frame, columns=("a", "b"), condition="c", missing="drop")
    assert data.condition.columns == ("c",)
    assert len(data.train) + len(data.held_out) == 49
    assert "has no one column 'd'" in error(as_dataset, frame, columns=("d",))
    assert "named twice" in error(as_dataset, frame, columns=("a", "b"), condition="a")


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


def test_libraries_of_frames_are_not_imported():
    code = (
        "import sys, numpy as np\n"
        "from difrun.data import as_dataset\n"
        "as_dataset(np.random.default_rng(0).normal(size=(50, 2)))\n"
        "assert not {'pandas', 'pyarrow', 'polars'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


Y = np.arange(50) % 3


@pytest.mark.parametrize(
    "examples",
    [
        (X, Y),
        (torch.from_numpy(X), torch.from_numpy(Y)),
        (X.tolist(), Y.tolist()),
        Pairs(torch.from_numpy(X), torch.from_numpy(Y)),
    ],
    ids=["arrays", "tensors", "lists", "torch dataset"],
)
def test_every_form_is_the_dataset_of_a_file_with_these_rows(examples, tmp_path):
    np.savez(tmp_path / "x.npz", x=X, y=Y)
    expected = file(seed=7, path=tmp_path / "x.npz")
    made = as_dataset(examples, seed=7)
    for name in ("train", "held_out", "labels", "held_out_labels"):
        assert torch.equal(getattr(made, name), getattr(expected, name)), name
    assert torch.equal(made.scaling.scale, expected.scaling.scale)
    assert made.classes == expected.classes == ("0", "1", "2")


def test_images_keep_their_shape_and_may_stay_unscaled():
    images = torch.randn(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    made = as_dataset(images, scale="none", held_out=0.1)
    assert made.shape == (1, 4, 4)
    assert (len(made.held_out), made.scaling) == (3, None)
    assert torch.equal(
        torch.cat([made.train, made.held_out]).flatten(1).sum(1).sort().values,
        images.flatten(1).sum(1).sort().values,
    )


def test_the_command_is_told_where_such_examples_come_from():
    with pytest.raises(DifrunError, match=r"difrun\.run\(dataset=x\).*--dataset FILE"):
        array(seed=0)
