"""Files of schedules made elsewhere: columns of numbers by name, read without torch."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from difrun.errors import DifrunError
from difrun.storage.regular import open_regular, read_bounded

SUFFIXES = (".npy", ".npz", ".csv", ".txt", ".json")
"""The files that a table is read from."""

MOST = 64 * 2**20
"""The most bytes of a file: a table of a million entries has fewer."""

UNNAMED = ""
"""The name of the one column of a file that names none."""

Columns = Mapping[str, Sequence[Any]]
"""The cells of each column, by name, not yet known to be numbers."""


def is_number(value: Any) -> bool:
    """Return whether a value is a finite real number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_table(path: Path, name: str) -> tuple[float, ...]:
    """Read the entries of one column.

    Args:
        path: See `read_columns`. A file of one column may leave it without a name, or with another one.
        name: The column that is read, such as "betas" or "alphas_cumprod".

    Raises:
        DifrunError: If there is no such file, or no such column of numbers in it.
    """
    columns = read_columns(path, name)
    numbers = entries(columns, UNNAMED if UNNAMED in columns else name, path)
    if numbers is None and len(columns) == 1 and path.suffix.lower() in (".csv", ".txt"):
        numbers = entries(columns, next(iter(columns)), path)
    if numbers is None:
        raise DifrunError(no_such(path, f"'{name}'", columns))
    return numbers


def read_columns(path: Path, wanted: str) -> Columns:
    """Read the columns of a table.

    Args:
        path: A .npy file with an array (N,); a .npz file of such arrays; a .csv or .txt file with a line for each
            entry, and one column or a first line of names; a .json file with a list, or an object with lists.
        wanted: The columns that are looked for, for the message.

    Raises:
        DifrunError: If there is no such file, or it holds no table.
    """
    readers = {
        ".npy": _from_numpy,
        ".npz": _from_numpy,
        ".csv": _from_text,
        ".txt": _from_text,
        ".json": _from_json,
    }
    reader = readers.get(path.suffix.lower())
    if not path.exists():
        raise DifrunError(f"there is no file {path}")
    if reader is None:
        raise DifrunError(
            f"a table is a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file, not {path.name!r}"
        )
    try:
        columns = reader(path, wanted)
    except OSError as error:
        raise DifrunError(f"cannot read {path}: {error.strerror or error}") from error
    if not columns or not any(len(cells) for cells in columns.values()):
        raise DifrunError(f"{path} holds no numbers")
    return columns


def entries(columns: Columns, name: str, path: Path) -> tuple[float, ...] | None:
    """Return the numbers of a column; None if there is no such column.

    Raises:
        DifrunError: If an entry is no number.
    """
    cells = next((cells for found, cells in columns.items() if spelled(found) == spelled(name)), None)
    if cells is None:
        return None
    numbers = []
    for k, cell in enumerate(cells, start=1):
        number = _as_number(cell) if isinstance(cell, str) else cell
        if number is None or not is_number(number):
            raise DifrunError(f"{path}: entry {k} of the table is no number")
        numbers.append(float(number))
    if not numbers:
        raise DifrunError(f"{path} holds no numbers")
    return tuple(numbers)


def no_such(path: Path, wanted: str, columns: Columns) -> str:
    """Return the message that a file lacks a column."""
    what = {".json": "key", ".npz": "array"}.get(path.suffix.lower(), "column")
    names = [name for name in columns if name]
    found = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"{path} has no {what} {wanted} ({f'its {what}s: {found}' if names else 'it names none'})"


def spelled(name: str) -> str:
    """Return a name as options write it in Python: alphas-cumprod is alphas_cumprod."""
    return name.strip().lower().replace("-", "_")


def _from_numpy(path: Path, _: str) -> Columns:
    """The arrays of numbers that have one axis. Whether a file is an archive, its content decides, not its name."""
    from difrun.storage import arrays  # imports NumPy, which nothing else here needs

    try:
        with open_regular(path, MOST) as stream:
            loaded = arrays.load(stream)
            found = (
                {name: loaded[name] for name in loaded.files}
                if isinstance(loaded, arrays.Archive)
                else {UNNAMED: loaded}
            )
    except arrays.DamagedArray as error:
        raise DifrunError(f"{path} is no array of numbers ({error})") from None
    kept = {
        name: array.astype(float).tolist()
        for name, array in found.items()
        if array.ndim == 1 and array.dtype.kind in "iuf"
    }
    if not kept:
        raise DifrunError(f"{path} must hold one array of N numbers, of shape (N,)")
    return kept


def _from_json(path: Path, _: str) -> Columns:
    try:
        content = json.loads(read_bounded(path, MOST))
    except (ValueError, RecursionError) as error:
        raise DifrunError(f"{path} is no JSON file ({error})") from None
    if isinstance(content, dict):
        return {name: cells for name, cells in content.items() if isinstance(cells, list)}
    if not isinstance(content, list) or not all(is_number(value) for value in content):
        raise DifrunError(f"{path} must hold a list of numbers")
    return {UNNAMED: content}


def _from_text(path: Path, wanted: str) -> Columns:
    try:
        text = read_bounded(path, MOST).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DifrunError(f"{path} is no text in UTF-8") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    first = lines[0] if lines else ""
    separator = next((sign for sign in ";\t," if sign in first), None)
    if separator is None:  # between spaces, as NumPy writes tables
        rows = [line.split() for line in lines]
    else:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    if not rows:
        return {}
    names = [UNNAMED]
    if not all(_as_number(cell) is not None for cell in rows[0]):
        names = rows.pop(0)
    elif len(rows[0]) > 1:
        raise DifrunError(
            f"{path} has {len(rows[0])} columns without names; give a table one column, or a first line of names with "
            f"{wanted if ' ' in wanted else repr(wanted)} among them"
        )
    return {name: [row[k] if k < len(row) else "" for row in rows] for k, name in enumerate(names)}


def _as_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
