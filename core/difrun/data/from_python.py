"""Data as people have them in Python: arrays, tensors, DataFrames and datasets of torch become a `Dataset`."""

from collections.abc import Sequence
from typing import Any, NoReturn

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from difrun.data.casts import as_any_array, data_on_cpu, has_eight_bits
from difrun.data.classes import as_classes
from difrun.data.columns import Header, is_unnamed, table_of_columns
from difrun.data.dataset import Dataset
from difrun.data.scaled_rows import Scale
from difrun.data.source import Source
from difrun.data.table import Missing, Table, dataset_of
from difrun.errors import DifrunError
from difrun.text import clipped


def as_dataset(
    data: Any,
    *,
    condition: Any = None,
    labels: Any = None,
    columns: Sequence[Any] | None = None,
    name: str = "data",
    seed: int = 0,
    scale: Scale = "auto",
    held_out: float = 0.2,
    missing: Missing = "refuse",
) -> Dataset:
    """Return examples in Python as a dataset: split into training and held-out ones, and scaled, as those of a file.

    Args:
        data: Examples: an array or tensor (N, ...), nested lists, a DataFrame of any library whose columns have
            `to_numpy`, or a dataset of torch, whose items are x or (x, label), or (x, condition) with floating-point
            numbers beside x; or a pair (x, labels) or (x, condition). A `Dataset` is returned as it is.
        condition: What samples are drawn given: an array (N, ...), a DataFrame or, for a DataFrame, the names of
            columns.
        labels: The classes: an array (N,) of whole numbers or text, or, for a DataFrame, the name of a column.
        columns: The names of the coordinates of vectors; for a DataFrame, the columns to take.
        name: The name of the dataset.
        seed: Chooses the rows that are held out.
        scale: How each coordinate is scaled: "std", "robust", "pixels", "none", or "auto" (`difrun.data.files.file`).
        held_out: The fraction of the rows that is kept out of training.
        missing: What is done about NaN: "refuse", "drop", "mean" or "condition" (`difrun.data.files.file`).

    Raises:
        DifrunError: If the data are no such thing, something is given twice, or as `difrun.data.files.file`.
    """
    if isinstance(data, Dataset):
        _refuse_options_of(
            data,
            condition=(condition, None),
            labels=(labels, None),
            columns=(columns, None),
            scale=(scale, "auto"),
            held_out=(held_out, 0.2),
            missing=(missing, "refuse"),
        )
        return data
    source = Source(f"data '{name}'", "argument")
    table = table_of(data, source, labels=labels, columns=columns, condition=condition)
    return dataset_of(
        table, name=name, source=source, seed=seed, scale=scale, held_out=held_out, missing=missing
    )


def array(
    *,
    seed: int,
    label: str | None = None,
    condition: tuple[str, ...] | None = None,
    columns: tuple[str, ...] | None = None,
    scale: Scale = "auto",
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
    if isinstance(data, Tensor | np.ndarray) or not hasattr(data, "__getitem__"):
        return False
    try:
        names = _names_of(data)
        return len(names) > 0 and hasattr(data[names[0]], "to_numpy")
    except Exception:  # whatever object has an attribute of that name
        return False


def table_of(data: Any, source: Source, *, labels: Any, columns: Any, condition: Any) -> Table:
    """Return the table of examples in Python; the arguments are those of `as_dataset`.

    Args:
        data: The examples.
        source: How messages begin, and how they write options.
        labels: The classes.
        columns: The names of columns.
        condition: The conditions.

    Raises:
        DifrunError: If the data are no such thing, or something is given twice.
    """
    data, beside, where = _apart(data, source)
    if beside is not None:
        is_condition = is_frame(beside) or beside.dtype.kind == "f"
        option, given = ("condition", condition) if is_condition else ("label", labels)
        if given is not None:
            what = "conditions" if is_condition else "classes"
            raise DifrunError(
                f"{source}: the {what} are given twice, {where} and by {source.option(option)}; give them once."
            )
        labels, condition = (labels, beside) if is_condition else (beside, condition)
    if isinstance(columns, str):
        columns = (columns,)
    names = None if columns is None else tuple(map(str, columns))
    if is_frame(data):
        return _of_frame(data, source, labels, names, condition)
    return _of_array(data, source, labels, names, condition)


def _refuse_options_of(dataset: Dataset, **options: tuple[Any, Any]) -> None:
    """Refuse options for a dataset, on which they have no effect; options: what is given, and the default."""
    for name, (value, default) in options.items():
        if value is not default and not (isinstance(value, type(default)) and value == default):
            raise DifrunError(
                f"{name}= has no effect on a difrun.data.Dataset, which is split and scaled already: '{dataset.name}'."
            )


def _names_of(frame: Any) -> list[Any]:
    """The names of the columns of a DataFrame, or of a table of pyarrow."""
    return list(frame.column_names if hasattr(frame, "column_names") else frame.columns)


def _apart(data: Any, source: Source) -> tuple[Any, Any, str]:
    """The examples, what is beside them (a DataFrame, an array, or None), and where that was given."""
    if isinstance(data, tuple) and len(data) == 2:
        examples, beside = data
        return examples, beside if is_frame(beside) else as_any_array(beside, source), "in the pair"
    if isinstance(data, torch.utils.data.Dataset) or _is_sequence_of_items(data):
        return *_items(data, source), "in the items of the data"
    return data, None, ""


def _of_frame(
    data: Any,
    source: Source,
    labels: Any = None,
    columns: tuple[str, ...] | None = None,
    condition: Any = None,
    asks: bool = True,
) -> Table:
    names = _names_of(data)
    header = Header(tuple(map(str, names)), source, numbers=False)
    label = str(labels) if _is_name(labels) else None
    given = _named(condition, names)
    tasks = header.tasks(label=label, columns=columns, condition=given)

    def read(j: int) -> NDArray:
        values = np.asarray(data[names[j]].to_numpy())
        if values.ndim != 1:
            raise DifrunError(
                f"{source} has several columns '{clipped(header.names[j])}'. Rename all but one."
            )
        return values

    table = table_of_columns(header, read, tasks, asks and columns is None)
    return _with(
        table, None if label is not None else labels, None if given is not None else condition, source
    )


def _is_name(value: Any) -> bool:
    """Whether a value is the name of a column: text, or a whole number, as columns without names have."""
    return isinstance(value, str | int | np.integer) and not isinstance(value, bool)


def _named(condition: Any, names: Sequence[Any]) -> tuple[str, ...] | None:
    """The columns that are named as the condition; None if it is something else: values."""
    if _is_name(condition):
        return (str(condition),)
    if condition is None or isinstance(condition, Tensor) or is_frame(condition):
        return None
    try:
        entries = list(condition)
    except TypeError:
        return None
    if not entries or not all(map(_is_name, entries)):
        return None
    # Numbers may be values as well, one for each row; an array of them always is.
    distinct = isinstance(condition, list | tuple) and len(set(entries)) == len(entries)
    is_named = all(isinstance(entry, str) for entry in entries) or (
        distinct and all(e in names for e in entries)
    )
    return tuple(map(str, entries)) if is_named else None


def _of_array(
    data: Any, source: Source, labels: Any, columns: tuple[str, ...] | None, condition: Any
) -> Table:
    is_named = isinstance(condition, list | tuple) and _named(condition, ()) is not None
    for option, named in (("label", _is_name(labels)), ("condition", is_named or _is_name(condition))):
        if named:
            raise DifrunError(
                f"{source}: {source.option(option)} names a column, and the data are no DataFrame, whose columns have "
                "names. Give an array with one row for each example."
            )
    if isinstance(data, str | bytes):
        raise DifrunError(
            f"{source}: the text '{clipped(str(data))}' is no array of examples. A file is read by "
            "difrun.run(dataset=FILE), or difrun.data.files.file(path=FILE, seed=0)."
        )
    values = data_on_cpu(data, source).double().numpy()
    if values.ndim == 0:
        raise DifrunError(f"{source}: a single number; expected an array of shape (N, columns).")
    if values.ndim == 1:
        values = values[:, None]
    table = Table(values, columns or (), None, (), eight_bit=has_eight_bits(data))
    return _with(table, labels, condition, source)


def _with(table: Table, labels: Any, condition: Any, source: Source) -> Table:
    """The table with labels and conditions that are given as arrays."""
    if labels is not None:
        names = as_classes(as_any_array(labels, source), f"{source}, {source.option('label')}")
        table = attrs.evolve(table, labels=names)
    if condition is None:
        return table
    part = source.part("condition")
    given = _of_frame(condition, part, asks=False) if is_frame(condition) else None
    unnamed = [name for name in given.columns if is_unnamed(name)] if given else []
    if unnamed and given and len(given.columns) > 1:
        raise DifrunError(
            f"{part}: a column has no name of its own ('{unnamed[0]}'). Is it an index, or data? Leave it out, or give "
            "it a name."
        )
    values = given.values if given else data_on_cpu(condition, part).double().numpy()
    values = values[:, None] if values.ndim == 1 else values
    n = len(table.values)
    if values.ndim == 0 or len(values) != n:
        raise DifrunError(
            f"{source}: conditions of shape {tuple(values.shape)} for {n} examples; each needs one."
        )
    return attrs.evolve(
        table,
        conditions=values,
        condition_columns=given.columns if given else (),
        condition_eight_bit=given is None and has_eight_bits(condition),
    )


def _is_sequence_of_items(data: Any) -> bool:
    """Whether data are the list of items of a dataset, pairs of an array and a label; not a list of points (x, y)."""
    if not isinstance(data, list) or not data or not isinstance(data[0], tuple) or len(data[0]) != 2:
        return False
    try:
        return np.ndim(data[0][0]) > 0
    except ValueError:  # a ragged list, which is refused as an example
        return True


def _items(data: Any, source: Source) -> tuple[Tensor, NDArray | None]:
    """The examples of a dataset of torch, (N, ...), and the labels or conditions beside them, or None."""
    if not hasattr(data, "__len__"):
        raise DifrunError(
            f"{source}: a dataset without a length cannot be split; give a list or an array of its examples."
        )
    items = [data[index] for index in range(len(data))]
    if not items:
        raise DifrunError(f"{source} is empty: it has no items.")
    pairs = [item for item in items if isinstance(item, tuple | list) and len(item) == 2]
    if pairs and len(pairs) == len(items):
        firsts, labels = zip(*pairs, strict=True)
    elif all(isinstance(item, tuple | list) and len(item) == 1 for item in items):
        firsts, labels = tuple(item[0] for item in items), None
    else:
        firsts, labels = tuple(items), None
    examples = [data_on_cpu(first, source) for first in firsts]
    if len({tuple(example.shape) for example in examples}) > 1:
        raise DifrunError(f"{source}: the items differ in shape; all examples must have one shape.")
    # Pixels of 8 bits stay what they are, so that they are scaled as pixels.
    kind = torch.uint8 if all(map(has_eight_bits, firsts)) else torch.float64
    stacked = torch.stack([example.to(kind) for example in examples])
    beside = None
    if labels is not None:
        each = [label.detach().cpu().numpy() if isinstance(label, Tensor) else label for label in labels]
        beside = as_any_array(each, source)
    return stacked, beside
