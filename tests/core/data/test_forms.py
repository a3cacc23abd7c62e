"""The same examples in every form are the same data; classes too, and what a run says that it read."""

import numpy as np
import pytest
import torch

from difrun.data import as_dataset
from difrun.data.files import file
from difrun.data.from_python import array
from difrun.errors import DifrunError

from .forms import Frame, Pairs, X
from .support import error

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


LABELS = np.arange(50) % 3
CLASSES = {
    "(N, 1)": (LABELS[:, None], ("0", "1", "2")),
    "big-endian": (LABELS.astype(">i2"), ("0", "1", "2")),
    "bfloat16": (torch.tensor(LABELS).bfloat16(), ("0", "1", "2")),
    "unsigned": (LABELS.astype(np.uint64) + np.uint64(2**63), tuple(str(2**63 + k) for k in range(3))),
    "nothing masked": (np.ma.array(LABELS), ("0", "1", "2")),
    "tensors in a list": ([torch.tensor(k) for k in LABELS], ("0", "1", "2")),
    "bytes": (np.array([b"a", b"b", b"c"])[LABELS], ("a", "b", "c")),
}


@pytest.mark.parametrize("form", CLASSES)
def test_labels_of_every_format_are_right(form):
    labels, classes = CLASSES[form]
    data = as_dataset(X, labels=labels)
    expected = as_dataset(X, labels=LABELS)
    assert data.classes == classes
    assert torch.equal(data.labels, expected.labels)


NO_LABELS = {
    "masked": (np.ma.masked_where(LABELS == 1, LABELS), "the label of row 2 is missing"),
    "infinite": (
        np.where(LABELS == 1, np.inf, LABELS),
        "labels are whole numbers or text, not float64 values",
    ),
    "too large": (
        np.where(LABELS == 1, 1e300, LABELS),
        "labels are whole numbers or text, not float64 values",
    ),
    "one-hot": (np.eye(3)[LABELS], "labels of shape (50, 3) for 50 examples"),
}


@pytest.mark.parametrize("what", NO_LABELS)
def test_what_is_no_labels_is_refused_in_words(what):
    labels, said = NO_LABELS[what]
    assert said in error(as_dataset, X, labels=labels)


def test_a_frame_says_what_was_read_and_asks_about_an_index():
    data = as_dataset(Frame(a=X[:, 0], b=X[:, 1], k=LABELS), labels="k", columns=["b"])
    assert data.notes[0] == f"read 50 rows of 3 columns; left out: a. First row: b = {X[0, 1]}; class 0"
    for name in ("Unnamed: 0", "__index_level_0__", ""):
        frame = Frame(**{name: np.arange(50)[::-1], "a": X[:, 0]})
        said = error(as_dataset, frame)
        assert f"column 1 has no name of its own ('{name}'). Is it an index, or data?" in said
        assert f"columns=['a'] without it, columns=['{name}', 'a'] with it" in said
        assert as_dataset(frame, columns=["a"]).columns == ("a",)
        assert as_dataset(frame, columns=[name, "a"]).columns == (name, "a")
        assert "a column has no name of its own" in error(as_dataset, X, condition=frame)
