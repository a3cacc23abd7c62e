"""Examples in .csv files, one per line, with the line and the column of every mistake."""

import csv
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from difrun.errors import DifrunError

DELIMITERS = ",;\t"


@attrs.frozen
class _Row:
    """A line with data: its number in the file, from 1, and its cells."""

    line: int
    cells: list[str]


def read_csv(
    path: Path, label: str | None, suggest: bool
) -> tuple[NDArray[np.float64], tuple[str, ...], NDArray | None]:
    """Read the examples of a .csv file.

    Args:
        path: The file, in UTF-8.
        label: The column of the classes, by its name or its number from 1; None: there are no classes.
        suggest: Whether the error for a column of text explains how to name the classes.

    Returns:
        The examples, (N, columns), the names of the columns where the first line has them, and the class of each
        example, (N,), as text, or None. The column of the classes is not among the others.

    Raises:
        DifrunError: If the file is empty, not UTF-8, or has a cell that is not a finite number.
    """
    rows = list(_rows(_lines(path), path))
    if not rows:
        raise DifrunError(f"file '{path}' is empty.")
    first = rows[0]
    label_column = None if label is None else _label_column(first.cells, label, path)
    if len(first.cells) == 1 and label_column is not None:
        raise DifrunError(
            f"file '{path}' has one column, that of the labels; the examples need at least one more."
        )
    header = _header(first, path, label_column)
    body = rows[1:] if header else rows
    columns = tuple(_without(header, label_column))
    values = np.empty((len(body), len(_without(first.cells, label_column))))
    for i, row in enumerate(body):
        where = f"file '{path}', line {row.line}"
        if len(row.cells) != len(first.cells):
            raise DifrunError(
                f"{where}: {len(row.cells)} values, but {len(first.cells)} in line {first.line}."
            )
        # Text in the first row is a column of text; further down it is a typing mistake.
        is_text_column = suggest and label_column is None and i == 0
        values[i] = _finite(_without(row.cells, label_column), columns, where, is_text_column)
    names = None if label_column is None else np.array([row.cells[label_column] for row in body])
    return values, columns, names


def _without(items: Sequence[str], index: int | None) -> Sequence[str]:
    """The items without the one at the index; all of them if it is None."""
    return items if index is None else [*items[:index], *items[index + 1 :]]


def _lines(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return stream.read().splitlines()
    except UnicodeDecodeError as error:
        raise DifrunError(
            f"file '{path}' is not UTF-8 text (byte {error.start + 1}). Save it as CSV in UTF-8."
        ) from None


def _rows(lines: list[str], path: Path) -> Iterator[_Row]:
    """The lines with data; the delimiter is the most frequent one in the first."""
    numbered = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")
    ]
    if numbered:
        delimiter = max(DELIMITERS, key=numbered[0][1].count)
        cells = csv.reader((line for _, line in numbered), delimiter=delimiter, skipinitialspace=True)
        for number, _ in numbered:
            try:
                row = next(cells, None)
            except csv.Error as error:  # a cell of over 131,072 characters, or a quote that is never closed
                raise DifrunError(f"file '{path}', line {number}: {error}.") from None
            if row is None:
                return
            yield _Row(number, [cell.strip() for cell in row])


def _label_column(first: list[str], label: str, path: Path) -> int:
    """The column of the labels, from 0: by a name in the first line, or by its number from 1."""
    is_number = re.fullmatch(r"[0-9]{1,9}", label)  # ² is a digit, but no number
    if label in first and not is_number:
        return first.index(label)
    if is_number and 1 <= int(label) <= len(first):
        return int(label) - 1
    raise DifrunError(
        f"file '{path}' has no column '{label}' (--dataset.label). Its first line: {', '.join(first)}. Give a name in "
        f"it, or the number of a column, 1 to {len(first)}."
    )


def _header(first: _Row, path: Path, label_column: int | None) -> tuple[str, ...]:
    """Column names if no cell of the first line is a number, else none; the column of the labels may be text."""
    numeric = [_is_number(cell) for j, cell in enumerate(first.cells) if j != label_column]
    if not any(numeric):
        return tuple(cell or f"column {j}" for j, cell in enumerate(first.cells, 1))
    if not all(numeric):
        raise _bad_cell(first.cells, (), f"file '{path}', line {first.line}")
    return ()


def _finite(cells: Sequence[str], columns: tuple[str, ...], where: str, suggest: bool) -> NDArray[np.float64]:
    """The cells of one row as finite numbers."""
    try:
        values = np.array(cells, dtype=np.float64)
    except ValueError:
        raise _bad_cell(cells, columns, where, suggest) from None
    if not np.isfinite(values).all():
        j = int(np.flatnonzero(~np.isfinite(values))[0])
        raise DifrunError(f"{where}, {_column_name(j, columns)}: {values[j]:g}. Remove or fill that row.")
    return values


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _bad_cell(
    cells: Sequence[str], columns: tuple[str, ...], where: str, suggest: bool = False
) -> DifrunError:
    """The error for the first cell that is not a number."""
    j = next(j for j, cell in enumerate(cells) if not _is_number(cell))
    what = f"'{cells[j]}' is not a number" if cells[j] else "the value is missing"
    hint = " Write decimals with a point." if cells[j].replace(",", "", 1).lstrip("-").isdigit() else ""
    if suggest and not hint and cells[j] and columns:
        hint = f" If these are classes: --dataset.label {shlex.quote(columns[j])}."
    return DifrunError(f"{where}, {_column_name(j, columns)}: {what}.{hint}")


def _column_name(j: int, columns: tuple[str, ...]) -> str:
    return f"column '{columns[j]}'" if columns else f"column {j + 1}"
