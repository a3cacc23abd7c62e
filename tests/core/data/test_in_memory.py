"""Examples in memory: every form of them gives the dataset that the same rows in a file give."""

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from difrun.data.files import file
from difrun.data.in_memory import array, dataset_in_memory
from difrun.errors import DifrunError

X = np.random.default_rng(0).normal(size=(60, 2)) * [1, 5] + [0, 3]
Y = np.arange(60) % 3


class Frame:
    """The face of a data frame, as pandas and polars have it."""

    def __init__(self, **columns):
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name):
        return Column(self._columns[name])

    def to_numpy(self):
        return np.stack(list(self._columns.values()), 1)


class Column:
    def __init__(self, values):
        self.values = np.asarray(values)

    def to_numpy(self):
        return self.values


WORDS = np.array(["low", "mid", "top"])[Y]
FRAME = Frame(a=X[:, 0], b=X[:, 1], kind=WORDS)


@pytest.fixture(scope="module")
def from_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "x.npz"
    np.savez(path, x=X, y=Y)
    return file(seed=7, path=path)


@pytest.mark.parametrize(
    "examples",
    [
        (X, Y),
        (torch.from_numpy(X), torch.from_numpy(Y)),
        (X.tolist(), Y.tolist()),
        TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
    ],
    ids=["arrays", "tensors", "lists", "torch dataset"],
)
def test_every_form_is_the_dataset_of_a_file_with_these_rows(from_file, examples):
    made = dataset_in_memory(examples, seed=7)
    for name in ("train", "held_out", "labels", "held_out_labels"):
        assert torch.equal(getattr(made, name), getattr(from_file, name)), name
    assert torch.equal(made.scaling.scale, from_file.scaling.scale)
    assert made.classes == from_file.classes == ("0", "1", "2")


def test_a_data_frame_has_named_columns_and_a_column_of_classes(from_file):
    made = dataset_in_memory(FRAME, seed=7, label="kind")
    assert made.columns == ("a", "b")
    assert made.classes == ("low", "mid", "top")
    assert torch.equal(made.train, from_file.train)
    assert torch.equal(made.labels, from_file.labels)


def test_numbers_alone_are_one_column_and_images_keep_their_shape():
    assert dataset_in_memory(X[:, 0], seed=0).shape == (1,)
    images = torch.randn(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    made = dataset_in_memory(images, seed=0, scale="none", held_out=0.1)
    assert made.shape == (1, 4, 4)
    assert (len(made.held_out), made.scaling) == (3, None)
    assert torch.equal(
        torch.cat([made.train, made.held_out]).flatten(1).sum(1).sort().values,
        images.flatten(1).sum(1).sort().values,
    )


@pytest.mark.parametrize(
    ("examples", "options", "message"),
    [
        (X[:5], {}, "the dataset that was given has 5 rows; at least 20 are needed"),
        ([["a"]] * 30, {}, "the examples of dataset=: expected real numbers"),
        (np.where(X > 7, np.nan, X), {}, "the dataset that was given"),
        (object(), {}, "the examples of dataset=: expected real numbers"),
        ((X, Y[:9]), {}, r"the classes y of dataset=\(x, y\) must be 60 whole numbers or words"),
        ((X, X[:, 0]), {}, r"the classes y of dataset=\(x, y\) must be 60 whole numbers or words"),
        (X, {"label": "kind"}, "names a column of a data frame; give the classes of an array as a pair"),
        (FRAME, {}, "column 'kind' of the data frame holds .* values, not numbers. Leave it out"),
        (FRAME, {"label": "kinds"}, "no column 'kinds' .* Did you mean 'kind'"),
        (Frame(kind=WORDS), {"label": "kind"}, "no column of numbers"),
        ([torch.zeros(2), torch.zeros(3)] * 15, {}, "expected an array of real numbers"),
    ],
)
def test_what_is_no_data_is_refused_in_words(examples, options, message):
    with pytest.raises(DifrunError, match=message):
        dataset_in_memory(examples, seed=0, **options)


class Items:
    """A dataset of torch whose items are what the test gives."""

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def test_items_of_a_dataset_of_torch_are_alike():
    with pytest.raises(DifrunError, match="have 2 shapes"):
        dataset_in_memory(Items(torch.zeros(2), torch.zeros(3)), seed=0)
    with pytest.raises(DifrunError, match="item 0 of the dataset has 3 parts"):
        dataset_in_memory(Items((torch.zeros(2), 1, 2)), seed=0)


def test_the_command_is_told_where_such_examples_come_from():
    with pytest.raises(DifrunError, match=r"difrun\.run\(dataset=x\).*--dataset FILE"):
        array(seed=0)
