"""A user's own data: .npy, .npz and .csv files, checked, split and scaled."""

import csv
import difflib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from difrun.builtin.dataset_options import FILE_SUFFIXES as SUFFIXES
from difrun.contract import MIN_EXAMPLES
from difrun.data import Dataset, Scaling, check_examples, check_finite
from difrun.errors import DifrunError
from difrun.randomness import torch_generator

DELIMITERS = ",;\t"


def file(
    *,
    seed: int,
    path: Path | None = None,
    key: str | None = None,
    standardise: bool = True,
    held_out: float = 0.2,
) -> Dataset:
    """Examples from a file, one per row; `held_out` of the rows, chosen by `seed`, are kept from training.

    path: .npy (one array), .npz (the array `key`; without it the only one, or 'x'), or .csv (comma, semicolon
        or tab; with or without a first line of column names; lines that start with # are comments). An array
        (N,) is one column; (N, …) with more axes is N examples of that shape.
    standardise: scale each coordinate to mean 0 and variance 1, measured on the training rows.

    Raises `DifrunError`, with the file and where in it, when it is missing, unreadable, not numeric, not
    finite, has fewer than 20 rows, or when a column to be scaled is constant.
    """
    if path is None:
        raise DifrunError("dataset 'file' needs a file: --dataset.path FILE, or --dataset FILE for short.")
    values, columns = read(Path(path), key)
    source = f"file '{path}'"
    examples = torch.from_numpy(values)
    check_examples(examples, source, columns)

    order = torch.randperm(len(examples), generator=torch_generator(seed, "dataset", "file", "split"))
    kept = min(max(1, round(held_out * len(examples))), len(examples) - 1)
    if len(examples) - kept < MIN_EXAMPLES:
        raise DifrunError(
            f"{source}: of {len(examples)} rows, holding out {held_out:g} leaves {len(examples) - kept} to "
            f"train on; at least {MIN_EXAMPLES} are needed. Lower --dataset.held-out, or bring more rows."
        )
    train, rest = examples[order[kept:]], examples[order[:kept]]
    scaling = None
    if standardise:
        try:
            scaling = Scaling.standardising(train, columns)
        except DifrunError as error:
            raise DifrunError(f"{source}: {error}") from None
        train, rest = scaling.encode(train), scaling.encode(rest)
    elif bool((examples.abs() > torch.finfo(torch.float32).max).any()):
        check_finite(examples.float(), f"{source}, too large for 32-bit numbers", columns)
    return Dataset(name=Path(path).name, train=train, held_out=rest, columns=columns, scaling=scaling)


def read(path: Path, key: str | None = None) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The array in a file as float64, shape (N, *shape), and the names of its columns, where it has them.

    Raises `DifrunError` when the file cannot be read as numbers; rows are not counted and NaN is not looked
    for.
    """
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
    try:
        if suffix == ".csv":
            return _read_csv(path)
        return _numbers(_load(path, key), path), ()
    except PermissionError:
        raise DifrunError(f"file '{path}': you have no permission to read it.") from None
    except OSError as error:
        raise DifrunError(f"file '{path}' cannot be read: {error.strerror or error}.") from None


def _similar(path: Path) -> str:
    folder = path.absolute().parent
    names = [p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f" Did you mean '{path.with_name(close[0])}'?" if close else ""


def _load(path: Path, key: str | None) -> NDArray:
    try:
        # Opened here, because numpy leaves a damaged archive open.
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else loaded[_choose_key(loaded.files, key, path)]
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        if not _is_numpy(path):
            raise DifrunError(f"file '{path}' is not a {path.suffix} file, whatever its name says.") from None
        if "pickle" in str(error) or "Object arrays" in str(error):
            raise DifrunError(
                f"file '{path}' holds Python objects, not numbers; difrun never unpickles data. Save it with "
                "numpy.save(path, numpy.asarray(data, dtype=float))."
            ) from None
        raise DifrunError(f"file '{path}' is damaged; numpy says: {error}") from None


def _is_numpy(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(6) == b"\x93NUMPY" or zipfile.is_zipfile(path)


def _choose_key(keys: list[str], key: str | None, path: Path) -> str:
    if not keys:
        raise DifrunError(f"file '{path}' holds no arrays.")
    listed = ", ".join(keys)
    if key is not None and key not in keys:
        raise DifrunError(f"file '{path}' has no array '{key}'. Its arrays: {listed}.")
    if key is not None or len(keys) == 1:
        return key or keys[0]
    if "x" not in keys:
        raise DifrunError(f"file '{path}' holds the arrays: {listed}. Choose one with --dataset.key NAME.")
    return "x"


def _numbers(array: NDArray, path: Path) -> NDArray[np.float64]:
    if array.dtype.kind not in "buif":
        raise DifrunError(f"file '{path}' holds {array.dtype} values; expected real numbers.")
    if array.ndim == 0:
        raise DifrunError(f"file '{path}' holds a single number; expected an array of shape (N, columns).")
    return (array[:, None] if array.ndim == 1 else array).astype(np.float64)


def _read_csv(path: Path) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = stream.read().splitlines()
    except UnicodeDecodeError as error:
        raise DifrunError(
            f"file '{path}' is not UTF-8 text (byte {error.start + 1}). Save it as CSV in UTF-8."
        ) from None
    rows = list(_rows(lines))
    if not rows:
        raise DifrunError(f"file '{path}' is empty.")
    columns = _header(rows[0], path)
    body = rows[1:] if columns else rows
    width = len(rows[0][1])
    values = np.empty((len(body), width))
    for i, (line, cells) in enumerate(body):
        if len(cells) != width:
            raise DifrunError(
                f"file '{path}', line {line}: {len(cells)} values, but {width} in line {rows[0][0]}."
            )
        try:
            values[i] = cells
        except ValueError:
            raise _bad_cell(cells, columns, f"file '{path}', line {line}") from None
        if not np.isfinite(values[i]).all():
            j = int(np.flatnonzero(~np.isfinite(values[i]))[0])
            raise DifrunError(
                f"file '{path}', line {line}, {_column(j, columns)}: {values[i, j]:g}. Remove "
                "or fill that row."
            )
    return values, columns


def _rows(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each line with data; the delimiter is the commonest one in the first."""
    kept = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")
    ]
    if kept:
        delimiter = max(DELIMITERS, key=kept[0][1].count)
        cells = csv.reader((line for _, line in kept), delimiter=delimiter, skipinitialspace=True)
        for (number, _), row in zip(kept, cells, strict=False):
            yield number, [cell.strip() for cell in row]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _header(first: tuple[int, list[str]], path: Path) -> tuple[str, ...]:
    """Column names, when no cell of the first line is a number; empty when all are."""
    line, cells = first
    numeric = [_is_number(cell) for cell in cells]
    if not any(numeric):
        return tuple(cell or f"column {j}" for j, cell in enumerate(cells, 1))
    if not all(numeric):
        raise _bad_cell(cells, (), f"file '{path}', line {line}")
    return ()


def _bad_cell(cells: list[str], columns: tuple[str, ...], where: str) -> DifrunError:
    j = next(j for j, cell in enumerate(cells) if not _is_number(cell))
    what = f"'{cells[j]}' is not a number" if cells[j] else "the value is missing"
    hint = " Write decimals with a point." if cells[j].replace(",", "", 1).lstrip("-").isdigit() else ""
    return DifrunError(f"{where}, {_column(j, columns)}: {what}.{hint}")


def _column(j: int, columns: tuple[str, ...]) -> str:
    return f"column '{columns[j]}'" if columns else f"column {j + 1}"
