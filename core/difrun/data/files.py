"""A user's own data from .npy, .npz and .csv files: checked, split and scaled."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from difrun.api import MIN_EXAMPLES
from difrun.builtin.options import FILE_SUFFIXES as SUFFIXES
from difrun.data.checks import check_examples, check_resolution, coordinate_name
from difrun.data.classes import split_labels
from difrun.data.csv_file import Table, read_csv
from difrun.data.csv_layout import CsvOptions
from difrun.data.dataset import Dataset
from difrun.data.numpy_file import read_numpy
from difrun.data.scaling import FAR_OUT, Scaling, far_out
from difrun.errors import DifrunError
from difrun.randomness.generator import torch_generator


def file(
    *,
    seed: int,
    path: Path | None = None,
    key: str | None = None,
    label: str | None = None,
    header: Literal["auto", "yes", "no"] = "auto",
    columns: tuple[str, ...] | None = None,
    decimal: Literal["auto", "point", "comma"] = "auto",
    scale: str = "std",
    held_out: float = 0.2,
) -> Dataset:
    """Read a dataset from a file with one example per row.

    Args:
        seed: Chooses the rows that are held out.
        path: A .npy file (one array), a .npz file (the array `key`), or a .csv file (separated by commas, semicolons
            or tabs; with or without a first line of column names; lines that start with # are comments). An array (N,)
            is one column; an array (N, …) with more axes is N examples of that shape.
        key: The array of a .npz file. None: the only one, or 'x'.
        label: Where the class of each example is. In a .csv file it is a column of any text, given by its name or its
            number from 1. In a .npz file it is an array (N,) of whole numbers or text; None: 'y', if there is such an
            array. Classes are numbered in the order of their names, or of their values if all are whole numbers.
        header: Whether the first line of a .csv file holds names. "auto" finds out; where that is not certain it asks.
        columns: The columns of a .csv file to read, by name or number from 1; None for all.
        decimal: The decimal sign of a .csv file; "auto" is the point, and asks where commas look like decimal signs.
        scale: How each coordinate is scaled, by what is measured on the training rows: "std" to mean 0 and variance 1,
            "robust" to median 0 and interquartile range 1.349, "none" not at all.
        held_out: The fraction of the rows that is kept out of training.

    Raises:
        DifrunError: If the file is missing, unreadable, not numeric, not finite, or has fewer than 20 rows, if a column
            to be scaled is constant, or if a class has no training example. The message names the file and the place.
    """
    if path is None:
        raise DifrunError("dataset 'file' needs a file: --dataset.path FILE, or --dataset FILE for short.")
    table = read_labelled(Path(path), key, label, csv=CsvOptions(header, columns, decimal))
    return dataset_of(table, Path(path).name, f"file '{path}'", seed, scale, held_out)


def dataset_of(
    table: Table, name: str, source: str, seed: int, scale: str = "std", held_out: float = 0.2
) -> Dataset:
    """Check, split and scale the examples of a table, as for `file`.

    Args:
        table: The examples, the names of their columns, and their classes.
        name: The name of the dataset.
        source: What messages call it.
        seed: Chooses the rows that are held out.
        scale: How each coordinate is scaled.
        held_out: The fraction of the rows that is kept out of training.

    Raises:
        DifrunError: As for `file`.
    """
    columns, names, notes = table.columns, table.labels, table.notes
    examples = torch.from_numpy(table.values)
    check_examples(examples, source, columns)
    order = torch.randperm(len(examples), generator=torch_generator(seed, "dataset", "file", "split"))
    count = _held_out_count(len(examples), held_out, source)
    train, rest = examples[order[count:]], examples[order[:count]]
    scaling = None
    if scale == "none":
        check_resolution(examples, source, columns)
    else:
        scaling, told = _scaling(train, scale, columns, source)
        notes = (*notes, *told)
        train, rest = (_encoded(part, scaling, source, columns) for part in (train, rest))
    labels: dict[str, Any] = {} if names is None else split_labels(names, order, count, source)
    return Dataset(
        name=name,
        train=train,
        held_out=rest,
        columns=columns,
        scaling=scaling,
        notes=notes,
        **labels,
    )


def _held_out_count(n: int, fraction: float, source: str) -> int:
    """How many of n rows are held out: at least one, and not all."""
    count = min(max(1, round(fraction * n)), n - 1)
    if n - count < MIN_EXAMPLES:
        raise DifrunError(
            f"{source}: of {n} rows, holding out {fraction:g} leaves {n - count} to "
            f"train on; at least {MIN_EXAMPLES} are needed. Lower --dataset.held-out, or bring more rows."
        )
    return count


def _scaling(
    train: Tensor, scale: str, columns: tuple[str, ...], source: str
) -> tuple[Scaling, tuple[str, ...]]:
    """The scaling of the training rows, and a sentence if values far out decide it."""
    try:
        if scale == "robust":
            return Scaling.robust(train, columns), ()
        scaling = Scaling.standardising(train, columns)
    except DifrunError as error:
        raise DifrunError(f"{source}: {error}") from None
    ratio, bulk = far_out(train, scaling)
    wide = (ratio > FAR_OUT).nonzero()
    if not len(wide):
        return scaling, ()
    index = tuple(wide[0].tolist())
    more = f" (and {len(wide) - 1} more coordinates)" if len(wide) > 1 else ""
    return scaling, (
        f"{coordinate_name(index, columns)}{more}: few values far out decide its standard deviation, "
        f"{float(scaling.scale[index]):.3g}; that of the bulk is {float(bulk[index]):.3g} (interquartile range/1.349). "
        "Scaled by the first, samples of the bulk come out too wide. Scale by the bulk with --dataset.scale robust, or "
        "remove those values.",
    )


def _encoded(part: Tensor, scaling: Scaling, source: str, columns: tuple[str, ...]) -> Tensor:
    """Rows in the model's units, float32. Raises DifrunError if one is too far out for these."""
    scaled = scaling.encode(part)
    largest = torch.finfo(torch.float32).max
    if not bool((scaled.abs() <= largest).all()):
        index = (~(scaled.abs() <= largest)).nonzero()[0].tolist()
        raise DifrunError(
            f"{source}: {float(part[tuple(index)]):g} in {coordinate_name(index[1:], columns)} is more than 1e38 times "
            "farther out than the other values are wide. Remove it."
        )
    return scaled.float()


def read(
    path: Path, key: str | None = None, names: Sequence[str] = ()
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Read the array in a file.

    Args:
        path: A .npy, .npz or .csv file.
        key: The array of a .npz file. None: the only one, or 'x'.
        names: The names that the first line of a .csv file may hold, even if they are numbers.

    Returns:
        The array, (N, *shape), and the names of its columns where it has them. The rows are not counted or checked.

    Raises:
        DifrunError: If the file cannot be read as numbers.
    """
    table = read_labelled(path, key, None, csv=CsvOptions(asks=False, names=tuple(names)))
    return table.values, table.columns


def read_labelled(path: Path, key: str | None, label: str | None, csv: CsvOptions | None = None) -> Table:
    """Read the array in a file and the classes of its examples.

    Args:
        path: A .npy, .npz or .csv file.
        key: As for `read`.
        label: Where the classes are, as for `file`.
        csv: How a .csv file is to be read; None finds out, and asks where that is not certain.

    Returns:
        The array, (N, *shape), the names of its columns, and the class of each example, (N,), whole numbers or text;
        None where there are no classes.

    Raises:
        DifrunError: If the file cannot be read as numbers, or has no such key or label, or options do not suit it.
    """
    _check_path(path, key)
    try:
        if path.suffix.lower() == ".csv":
            return read_csv(path, label, csv or CsvOptions())
        _refuse_csv_options(path, csv)
        if path.suffix.lower() == ".npy" and label is not None:
            raise DifrunError(
                f"file '{path}' holds one array, and no labels: --dataset.label {label} is for .npz and .csv files."
            )
        values, names = read_numpy(path, key, label)
        return Table(values, (), names, ())
    except PermissionError:
        raise DifrunError(f"file '{path}': you have no permission to read it.") from None
    except OSError as error:
        raise DifrunError(f"file '{path}' cannot be read: {error.strerror or error}.") from None


def _refuse_csv_options(path: Path, csv: CsvOptions | None) -> None:
    default = CsvOptions()
    given = [
        name
        for name in ("header", "columns", "decimal")
        if csv and getattr(csv, name) != getattr(default, name)
    ]
    if given:
        raise DifrunError(f"file '{path}' is no .csv file; --dataset.{given[0]} is for those. Leave it out.")


def _check_path(path: Path, key: str | None) -> None:
    """Raise `DifrunError` unless the path leads to a file of a known kind, which may have a key."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DifrunError(f"file '{path}': expected a file that ends in {', '.join(SUFFIXES)}.")
    if key is not None and suffix != ".npz":
        raise DifrunError(
            f"file '{path}' holds one array; --dataset.key {key} is for .npz files. Leave it out."
        )
    if not path.exists():
        raise DifrunError(
            f"file '{path}' does not exist (looked in {path.absolute().parent}).{_similar(path)}"
        )
    if path.is_dir():
        raise DifrunError(f"'{path}' is a folder; expected a file that ends in {', '.join(SUFFIXES)}.")


def _similar(path: Path) -> str:
    """A suggestion for a file that does not exist; empty if the folder has none of a similar name."""
    folder = path.absolute().parent
    names = [p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f" Did you mean '{path.with_name(close[0])}'?" if close else ""
