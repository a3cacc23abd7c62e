"""A user's own data from .npy, .npz, .csv and .parquet files."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from difrun.builtin.options import FILE_SUFFIXES as SUFFIXES
from difrun.data.csv_file import read_csv
from difrun.data.csv_layout import CsvOptions
from difrun.data.dataset import Dataset
from difrun.data.numpy_file import read_numpy
from difrun.data.parquet_file import read_parquet
from difrun.data.scaled_rows import Scale
from difrun.data.source import Source
from difrun.data.table import Missing, Table, dataset_of
from difrun.errors import DifrunError


def file(
    *,
    seed: int,
    path: Path | None = None,
    key: str | None = None,
    label: str | None = None,
    condition: tuple[str, ...] | None = None,
    header: Literal["auto", "yes", "no"] = "auto",
    columns: tuple[str, ...] | None = None,
    decimal: Literal["auto", "point", "comma"] = "auto",
    missing: Missing = "refuse",
    scale: Scale = "auto",
    held_out: float = 0.2,
) -> Dataset:
    """Read a dataset from a file with one example per row.

    Args:
        seed: Chooses the rows that are held out.
        path: A .npy file (one array), a .npz file (the array `key`), a .csv file (separated by commas, semicolons or
            tabs; with or without a first line of column names; lines that start with # are comments), or a .parquet
            file, which needs pyarrow. An array (N,) is one column; an array (N, …) with more axes is N examples of
            that shape.
        key: The array of a .npz file. None: the only one, or 'x'.
        label: Where the class of each example is. In a .csv file it is a column of any text, given by its name or its
            number from 1. In a .npz file it is an array (N,) of whole numbers or text; None: 'y', if there is such an
            array. Classes are numbered in the order of their names, or of their values if all are whole numbers.
        condition: Where the condition of each example is, given which samples are drawn: columns of a .csv or .parquet
            file, by name or number from 1, or one array (N, ...) of a .npz file; None: 'c', if there is such an array
            and no labels.
        header: Whether the first line of a .csv file holds names. "auto" finds out; where that is not certain it asks.
        columns: The columns of a .csv or .parquet file to read, by name or number from 1; None for all.
        decimal: The decimal sign of a .csv file; "auto" is the point, and asks where commas look like decimal signs.
        missing: What is done about missing values, which are NaN, in a .csv file also empty cells and NA: "refuse"
            them, "drop" the rows that have any, fill them with the "mean" of the training examples, or, as "condition",
            drop these rows and learn all conditionals, so that a row with gaps can be completed.
        scale: How each coordinate is scaled, by what is measured on the training rows: "std" to mean 0 and variance 1,
            "robust" to median 0 and interquartile range 1.349, "pixels" from 0 to white (1, 255 or 65535) to −1 to 1,
            "none" not at all. "auto" is "pixels" for arrays of 8 bits with at least two axes per example, which are
            images, and else "std".
        held_out: The fraction of the rows that is kept out of training.

    Raises:
        DifrunError: If the file is missing, unreadable, not numeric, not finite, or has fewer than 20 rows, if a column
            to be scaled is constant, or if a class has no training example. The message names the file and the place.
    """
    if path is None:
        raise DifrunError("dataset 'file' needs a file: --dataset.path FILE, or --dataset FILE for short.")
    csv = CsvOptions(header, columns, decimal, condition=condition, gaps=missing != "refuse")
    table = read_labelled(Path(path), key, label, csv=csv)
    if missing == "condition" and condition is None and table.conditions is not None:
        raise DifrunError(
            f"file '{path}': its array 'c' is taken for a condition beside the examples, and with --dataset.missing "
            "condition the columns of the examples are the condition. Take --dataset.missing drop, or save the file "
            "without 'c' or with another name for it."
        )
    return dataset_of(
        table,
        name=Path(path).name,
        source=Source(f"file '{path}'"),
        seed=seed,
        scale=scale,
        held_out=held_out,
        missing=missing,
    )


def read(
    path: Path, key: str | None = None, names: Sequence[str] = ()
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Read the array in a file.

    Args:
        path: A .npy, .npz, .csv or .parquet file.
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
        path: A .npy, .npz, .csv or .parquet file.
        key: As for `read`.
        label: Where the classes are, as for `file`.
        csv: How a .csv file is to be read, and which columns of any file hold what; None finds out, and asks where that
            is not certain.

    Returns:
        The array, (N, *shape), the names of its columns, the class of each example, (N,), whole numbers or text, and
        its condition; None where there are no classes or conditions.

    Raises:
        DifrunError: If the file cannot be read as numbers, or has no such key or label, or options do not suit it.
    """
    _check_path(path, key)
    try:
        if path.suffix.lower() == ".csv":
            return read_csv(path, label, csv or CsvOptions())
        csv = csv or CsvOptions(asks=False)
        _refuse_csv_options(path, csv)
        if path.suffix.lower() == ".parquet":
            return read_parquet(path, label, csv.columns, csv.condition, csv.asks)
        if path.suffix.lower() == ".npy" and label is not None:
            raise DifrunError(
                f"file '{path}' holds one array, and no labels: --dataset.label {label} is for .npz, .csv and .parquet "
                "files."
            )
        if path.suffix.lower() == ".npy" and csv.condition:
            raise DifrunError(
                f"file '{path}' holds one array, and no condition: --dataset.condition is for .npz, .csv and .parquet "
                "files."
            )
        return read_numpy(path, key, label, csv.condition)
    except PermissionError:
        raise DifrunError(f"file '{path}': you have no permission to read it.") from None
    except OSError as error:
        raise DifrunError(f"file '{path}' cannot be read: {error.strerror or error}.") from None


def _refuse_csv_options(path: Path, csv: CsvOptions) -> None:
    default = CsvOptions()
    names = ["header", "decimal"] if path.suffix.lower() == ".parquet" else ["header", "columns", "decimal"]
    given = [name for name in names if getattr(csv, name) != getattr(default, name)]
    if given:
        raise DifrunError(f"file '{path}' is no .csv file; --dataset.{given[0]} is for those. Leave it out.")


def _check_path(path: Path, key: str | None) -> None:
    """Raise `DifrunError` unless the path leads to a file of a known kind, which may have a key."""
    suffix = path.suffix.lower()
    if not path.exists():
        raise DifrunError(
            f"file '{path}' does not exist (looked in {path.absolute().parent}).{_similar(path)}"
        )
    if path.is_dir():
        raise DifrunError(f"'{path}' is a folder; expected a file that ends in {', '.join(SUFFIXES)}.")
    if suffix not in SUFFIXES:
        raise DifrunError(f"file '{path}': expected a file that ends in {', '.join(SUFFIXES)}.")
    if key is not None and suffix != ".npz":
        raise DifrunError(
            f"file '{path}' holds one array; --dataset.key {key} is for .npz files. Leave it out."
        )


def _similar(path: Path) -> str:
    """A suggestion for a file that does not exist; empty if the folder has none of a similar name."""
    folder = path.absolute().parent
    names = [p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f" Did you mean '{path.with_name(close[0])}'?" if close else ""
