"""Examples that are in memory: arrays, tensors, data frames and datasets of torch, given from Python."""

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from difrun.data.casts import as_data
from difrun.data.csv_file import Table
from difrun.data.dataset import Dataset
from difrun.data.files import dataset_of
from difrun.errors import DifrunError
from difrun.text import did_you_mean, listed


def array(*, seed: int, label: str | None = None, scale: str = "std", held_out: float = 0.2) -> NoReturn:
    """Refuse to make a dataset out of nothing: its examples are given from Python, and kept in the run folder."""
    raise DifrunError(
        "dataset 'array' stands for examples that were given from Python, difrun.run(dataset=x). The command takes "
        "them from a file: --dataset FILE, of .npy, .npz or .csv."
    )


def dataset_in_memory(
    examples: Any, *, seed: int, label: str | None = None, scale: str = "std", held_out: float = 0.2
) -> Dataset:
    """Make a dataset of examples that are in memory: checked, split and scaled as those of a file are.

    Args:
        examples: One of: an array, a tensor or nested lists, (N,) or (N, ...); a pair (x, y) of such examples and
            their classes (N,); a data frame, whose columns are the coordinates; a dataset of torch, whose items are
            examples or pairs of an example and its class. Neither pandas nor polars is imported.
        seed: Chooses the rows that are held out.
        label: The column of a data frame that holds the classes; None: there is none.
        scale: How each coordinate is scaled, as for `difrun.data.files.file`.
        held_out: The fraction of the rows that is kept out of training.

    Raises:
        DifrunError: If they are no such examples, are not numbers or not finite, are fewer than 20, or vary too little
            to be scaled.
    """
    if is_frame(examples):
        table = _of_frame(examples, label)
    elif label is not None:
        raise DifrunError(
            f"dataset.label = {label!r} names a column of a data frame; give the classes of an array as a pair, "
            "dataset=(x, y)."
        )
    elif _is_torch_dataset(examples):
        table = _of_torch_dataset(examples)
    elif isinstance(examples, tuple) and len(examples) == 2:
        x = _numbers(examples[0], "the examples x of dataset=(x, y)")
        table = Table(x, (), _labels(examples[1], len(x)), ())
    else:
        table = Table(_numbers(examples, "the examples of dataset="), (), None, ())
    return dataset_of(table, "array", "the dataset that was given", seed, scale, held_out)


def is_frame(examples: Any) -> bool:
    """Return whether something is a data frame: it has columns with names, each of which gives an array."""
    return hasattr(examples, "columns") and hasattr(examples, "to_numpy") and hasattr(examples, "__getitem__")


def _is_torch_dataset(examples: Any) -> bool:
    plain = isinstance(examples, torch.Tensor | np.ndarray | Sequence) or hasattr(examples, "__array__")
    return not plain and hasattr(examples, "__getitem__") and hasattr(examples, "__len__")


def _numbers(values: Any, what: str) -> NDArray[np.float64]:
    """Examples as float64, (N, ...); numbers (N,) are one column."""
    tensor = as_data(values, what).detach().cpu().double()
    return (tensor[:, None] if tensor.ndim == 1 else tensor).numpy()


def _labels(values: Any, n: int) -> NDArray:
    labels = np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)
    if labels.dtype.kind == "O":
        labels = labels.astype(str)
    if labels.shape != (n,) or labels.dtype.kind not in "biuUS":
        raise DifrunError(
            f"the classes y of dataset=(x, y) must be {n} whole numbers or words, one for each example; got an array "
            f"of shape {labels.shape} and type {labels.dtype}."
        )
    return labels


def _of_frame(frame: Any, label: str | None) -> Table:
    """The columns of a data frame, without that of the classes."""
    names = [str(name) for name in frame.columns]
    if label is not None and label not in names:
        raise DifrunError(
            f"the data frame has no column '{label}' (dataset.label).{did_you_mean(label, names)} Its columns: "
            f"{listed(names)}."
        )
    kept = [(name, column) for name, column in zip(names, frame.columns, strict=True) if name != label]
    if not kept:
        raise DifrunError("the data frame has no column of numbers.")
    columns = []
    for name, column in kept:
        values = np.asarray(frame[column].to_numpy())
        if values.dtype.kind not in "buif":
            raise DifrunError(
                f"column '{name}' of the data frame holds {values.dtype} values, not numbers. Leave it out, or name it "
                'as the classes: options={"dataset.label": "' + name + '"}.'
            )
        columns.append(values.astype(np.float64))
    labels = None
    if label is not None:
        labels = _labels(frame[list(frame.columns)[names.index(label)]].to_numpy(), len(columns[0]))
    return Table(np.stack(columns, 1), tuple(name for name, _ in kept), labels, ())


def _of_torch_dataset(items: Any) -> Table:
    """All items of a dataset of torch: examples, or pairs of an example and its class."""
    examples, labels = [], []
    for index in range(len(items)):
        item = items[index]
        if isinstance(item, tuple | list):
            if not 1 <= len(item) <= 2:
                raise DifrunError(
                    f"item {index} of the dataset has {len(item)} parts; expected an example, or an example and its "
                    "class."
                )
            labels += [int(label) for label in item[1:]]
            item = item[0]
        examples.append(as_data(item, f"item {index} of the dataset"))
    shapes = {tuple(example.shape) for example in examples}
    if len(shapes) != 1:
        raise DifrunError(
            f"the items of the dataset have {len(shapes)} shapes, such as {listed(map(str, sorted(shapes)[:3]))}; "
            "expected one. Crop or resize them first."
        )
    x = _numbers(torch.stack([example.double() for example in examples]), "the items of the dataset")
    return Table(x, (), _labels(labels, len(x)) if labels else None, ())
