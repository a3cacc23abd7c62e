"""Data as people have them in Python: arrays, tensors, DataFrames and datasets of torch become a `Dataset`."""

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from difrun.data.casts import as_data
from difrun.data.columns import table_of_columns
from difrun.data.dataset import Dataset
from difrun.data.table import Missing, Table, dataset_of
from difrun.errors import DifrunError


def as_dataset(
    data: Any,
    *,
    condition: Any = None,
    labels: Any = None,
    columns: Sequence[str] | None = None,
    name: str = "data",
    seed: int = 0,
    scale: str = "std",
    held_out: float = 0.2,
    missing: Missing = "refuse",
) -> Dataset:
    """Return examples in Python as a dataset: split into training and held-out ones, and scaled, as those of a file.

    Args:
        data: Examples: an array or tensor (N, ...), nested lists, a DataFrame of any library whose columns have
            `to_numpy`, or a dataset of torch, whose items are x or (x, label), or (x, condition)
            with floating-point numbers beside x; or a pair (x, labels) or (x, condition) of arrays. A `Dataset` is
            returned as it is.
        condition: What samples are drawn given: an array (N, ...), or, for a DataFrame, the names of columns.
        labels: The classes: an array (N,) of whole numbers or text, or, for a DataFrame, the name of a column.
        columns: The names of the coordinates of vectors; for a DataFrame, the columns to take.
        name: The name of the dataset.
        seed: Chooses the rows that are held out.
        scale: How each coordinate is scaled: "std", "robust" or "none".
        held_out: The fraction of the rows that is kept out of training.
        missing: What is done about NaN: "refuse", "drop", "mean" or "condition" (`difrun.data.files.file`).

    Raises:
        DifrunError: If the data are no such thing, or as `difrun.data.files.file`.
    """
    if isinstance(data, Dataset):
        return data
    source = f"data '{name}'"
    if is_frame(data):
        table = _of_frame(data, source, labels, columns, condition)
    else:
        table = _of_array(data, source, labels, columns, condition)
    return dataset_of(
        table, name=name, source=source, seed=seed, scale=scale, held_out=held_out, missing=missing
    )


def array(
    *,
    seed: int,
    label: str | None = None,
    condition: tuple[str, ...] | None = None,
    columns: tuple[str, ...] | None = None,
    scale: str = "std",
    missing: Missing = "refuse",
    held_out: float = 0.2,
) -> NoReturn:
    """Refuse to make a dataset out of nothing: its examples are given from Python, and kept in the run folder."""
    raise DifrunError(
        "dataset 'array' stands for examples that were given from Python, difrun.run(dataset=x). The command takes "
        "them from a file: --dataset FILE, of .npy, .npz, .csv or .parquet."
    )


def is_frame(data: Any) -> bool:
    """Whether data are a DataFrame: it has named columns that become arrays. No library is imported to find out."""
    names = getattr(data, "columns", None)
    if names is None or not hasattr(data, "__getitem__") or isinstance(data, Tensor | np.ndarray):
        return False
    return len(names) > 0 and hasattr(data[names[0]], "to_numpy")


def _of_frame(data: Any, source: str, labels: Any, columns: Sequence[str] | None, condition: Any) -> Table:
    names = list(data.columns)
    if isinstance(condition, str):
        condition = (condition,)
    inside = condition is None or all(isinstance(entry, str) for entry in condition)
    table = table_of_columns(
        [str(each) for each in names],
        [np.asarray(data[each].to_numpy()) for each in names],
        source=source,
        label=labels if isinstance(labels, str) else None,
        columns=columns,
        condition=condition if inside else None,
    )
    return _with(table, None if isinstance(labels, str) else labels, None if inside else condition, source)


def _of_array(data: Any, source: str, labels: Any, columns: Sequence[str] | None, condition: Any) -> Table:
    for given, what in ((labels, "labels"), (condition, "condition")):
        if isinstance(given, str):
            raise DifrunError(f"{source}: {what}={given!r} names a column, and the data are no DataFrame.")
    beside = None
    if isinstance(data, tuple) and len(data) == 2:
        data, beside = data
        beside = beside.detach().cpu().numpy() if isinstance(beside, Tensor) else np.asarray(beside)
    elif isinstance(data, torch.utils.data.Dataset) or _is_sequence_of_items(data):
        data, beside = _items(data, source)
    if beside is not None:
        if beside.dtype.kind == "f":
            condition = beside if condition is None else condition
        elif labels is None:
            labels = beside
    values = as_data(data, source).detach().cpu().double().numpy()
    if values.ndim == 0:
        raise DifrunError(f"{source}: a single number; expected an array of shape (N, columns).")
    if values.ndim == 1:
        values = values[:, None]
    return _with(Table(values, tuple(columns or ()), None, ()), labels, condition, source)


def _with(table: Table, labels: Any, condition: Any, source: str) -> Table:
    """The table with labels and conditions that are given as arrays."""
    n = len(table.values)
    names = table.labels if labels is None else _names(labels, source)
    conditions = table.conditions
    if condition is not None:
        conditions = as_data(condition, f"{source}, condition").detach().cpu().double().numpy()
        conditions = conditions[:, None] if conditions.ndim == 1 else conditions
        if conditions.ndim == 0 or len(conditions) != n:
            raise DifrunError(
                f"{source}: conditions of shape {tuple(conditions.shape)} for {n} examples; each needs one."
            )
    return Table(table.values, table.columns, names, table.notes, conditions, table.condition_columns)


def _names(labels: Any, source: str) -> NDArray:
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.dtype.kind not in "biuUSO":
        raise DifrunError(f"{source}: labels are whole numbers or text, not {array.dtype} values.")
    return array.astype(str) if array.dtype.kind == "O" else array


def _is_sequence_of_items(data: Any) -> bool:
    """Whether data are the list of items of a dataset: pairs of an array and a label."""
    return isinstance(data, list) and bool(data) and isinstance(data[0], tuple) and len(data[0]) == 2


def _items(data: Any, source: str) -> tuple[Tensor, NDArray | None]:
    """The examples of a dataset of torch, (N, ...), and the labels or conditions beside them, or None."""
    if not hasattr(data, "__len__"):
        raise DifrunError(
            f"{source}: a dataset without a length cannot be split; give a list or an array of its examples."
        )
    items = [data[index] for index in range(len(data))]
    pairs = [item for item in items if isinstance(item, tuple | list) and len(item) == 2]
    if pairs and len(pairs) == len(items):
        firsts, labels = zip(*pairs, strict=True)
    elif all(isinstance(item, tuple | list) and len(item) == 1 for item in items):
        firsts, labels = tuple(item[0] for item in items), None
    else:
        firsts, labels = tuple(items), None
    examples = [as_data(first, source).double() for first in firsts]
    if len({tuple(example.shape) for example in examples}) > 1:
        raise DifrunError(f"{source}: the items differ in shape; all examples must have one shape.")
    beside = None
    if labels is not None:
        beside = np.array([label.numpy() if isinstance(label, Tensor) else label for label in labels])
    return torch.stack(examples), beside
