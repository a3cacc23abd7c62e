"""Examples in .csv files, one per line, with the line and the column of every mistake."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from difrun.data.columns import Header
from difrun.data.csv_layout import (
    DELIMITERS,
    CsvOptions,
    Row,
    decimal_hint,
    gap_hint,
    has_header,
    index_column,
    is_gap,
    is_number,
    refuse_decimal_commas,
    split_rows,
)
from difrun.data.source import Source
from difrun.data.table import Table
from difrun.errors import DifrunError
from difrun.storage.regular import open_regular
from difrun.text import clipped, listed


def read_csv(path: Path, label: str | None, options: CsvOptions | None = None) -> Table:
    """Read the examples of a .csv file.

    Args:
        path: The file, in UTF-8.
        label: The column of the classes, by its name or its number from 1; None: there are no classes.
        options: How the file is to be read; None finds out and does not ask.

    Raises:
        DifrunError: If the file is empty, not UTF-8, or has a cell that is not a finite number, or if its header, its
            decimal sign or a column that counts rows leave open what is meant.
    """
    options = options or CsvOptions(asks=False)
    source = Source(f"file '{path}'")
    rows, delimiter = split_rows(_lines(path), options.decimal, source)
    if not rows:
        raise DifrunError(f"{source} is empty.")
    first = rows[0]
    refuse_decimal_commas(rows, delimiter, options, source)
    # Names that are numbers are names where the user says that the first line holds names.
    certain = options.header == "yes" or not all(map(is_number, first.cells))
    tasks = Header(tuple(first.cells), source, certain=certain).tasks(
        label=label, columns=options.columns, condition=options.condition
    )
    label_column, conditions, chosen = tasks.label, tasks.condition, tasks.examples
    header = has_header(rows, [*chosen, *conditions], options, source)
    names = tuple(cell or f"column {j}" for j, cell in enumerate(first.cells, 1)) if header else ()
    body = rows[1:] if header else rows
    _refuse_index(first.cells if header else [""] * len(first.cells), body, chosen, options, source)
    columns = tuple(names[j] for j in chosen) if header else ()
    numbers = _values(
        body,
        first,
        [*chosen, *conditions],
        tuple(names[j] for j in (*chosen, *conditions)) if header else (),
        source,
        options,
        label_column is None,
    )
    labels = None if label_column is None else np.array([row.cells[label_column] for row in body])
    how = _summary(body, names, chosen, conditions, label_column, delimiter, first)
    values, of_condition = numbers[:, : len(chosen)], numbers[:, len(chosen) :]
    return Table(
        values,
        columns,
        labels,
        (how,) if len(body) else (),
        of_condition if conditions else None,
        tuple(names[j] for j in conditions) if header else (),
    )


def _lines(path: Path) -> list[str]:
    try:
        with open_regular(path) as stream:
            return re.split(r"\r\n|\n|\r", stream.read().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DifrunError(
            f"file '{path}' is not UTF-8 text (byte {error.start + 1}). Save it as CSV in UTF-8."
        ) from None


def _only(cells: Sequence[str], chosen: Sequence[int]) -> list[str]:
    return [cells[j] for j in chosen if j < len(cells)]


def _refuse_index(
    names: Sequence[str], body: Sequence[Row], chosen: Sequence[int], options: CsvOptions, source: str
) -> None:
    """Ask about a column without a name, or as pandas writes it, that counts the rows."""
    if not options.asks or options.columns is not None:
        return
    place = index_column([attrs.evolve(row, cells=_only(row.cells, chosen)) for row in body])
    if place is None:
        return
    j = chosen[place]
    if names[j] and not names[j].startswith("Unnamed:"):
        return
    rest = ",".join(names[k] if names[k] and "," not in names[k] else str(k + 1) for k in chosen if k != j)
    every = ",".join(str(k + 1) for k in chosen)
    raise DifrunError(
        f"{source}: column {j + 1} has no name and counts the rows ({body[0].cells[j]}, {body[1].cells[j]}, ...). Is "
        f"it an index, or data? Name the columns to read: --dataset.columns {shlex.quote(rest)} without it, "
        f"--dataset.columns {every} with it."
    )


def _values(
    body: Sequence[Row],
    first: Row,
    chosen: Sequence[int],
    columns: tuple[str, ...],
    source: str,
    options: CsvOptions,
    without_labels: bool,
) -> NDArray[np.float64]:
    values = np.empty((len(body), len(chosen)))
    for i, row in enumerate(body):
        where = f"{source}, line {row.line}"
        if len(row.cells) != len(first.cells):
            raise DifrunError(
                f"{where}: {len(row.cells)} values, but {len(first.cells)} in line {first.line}."
            )
        cells = [row.cells[j] for j in chosen]
        if options.gaps:
            cells = ["nan" if is_gap(cell) else cell for cell in cells]
        suggest = options.asks and without_labels
        values[i] = _finite(cells, columns or _numbers(chosen), where, options, suggest, i == 0)
    return values


def _numbers(chosen: Sequence[int]) -> tuple[int, ...]:
    """The numbers of columns without names, from 1 as spreadsheets count."""
    return tuple(j + 1 for j in chosen)


def _finite(
    cells: Sequence[str],
    columns: Sequence[str | int],
    where: str,
    options: CsvOptions,
    suggest: bool,
    is_first: bool,
) -> NDArray[np.float64]:
    """The cells of one row as finite numbers, or NaN where there may be gaps."""
    if not all(map(is_number, cells)):
        raise _bad_cell(cells, columns, where, options, suggest, is_first)
    values = np.array(cells, dtype=np.float64)
    bad = np.isinf(values) if options.gaps else ~np.isfinite(values)
    if bad.any():
        j = int(np.flatnonzero(bad)[0])
        hint = gap_hint(cells[j], options)
        raise DifrunError(
            f"{where}, {_column_name(columns[j])}: {values[j]:g}. Remove or fill that row.{hint}"
        )
    return values


def _bad_cell(
    cells: Sequence[str],
    columns: Sequence[str | int],
    where: str,
    options: CsvOptions,
    suggest: bool,
    is_first: bool,
) -> DifrunError:
    """The error for the first cell that is not a number."""
    j = next(j for j, cell in enumerate(cells) if not is_number(cell))
    what = f"'{clipped(cells[j])}' is not a number" if cells[j] else "the value is missing"
    hint = decimal_hint(cells[j], suggest) or gap_hint(cells[j], options)
    # Text in the first row is a column of text; further down it is a typing mistake.
    if suggest and is_first and not hint and isinstance(columns[j], str):
        hint = f" If these are classes: --dataset.label {shlex.quote(clipped(str(columns[j])))}."
    return DifrunError(f"{where}, {_column_name(columns[j])}: {what}.{hint}")


def _column_name(column: str | int) -> str:
    return f"column '{clipped(column)}'" if isinstance(column, str) else f"column {column}"


def _summary(
    body: Sequence[Row],
    names: tuple[str, ...],
    chosen: Sequence[int],
    conditions: Sequence[int],
    label_column: int | None,
    delimiter: str,
    first: Row,
) -> str:
    """What was read, in a sentence: a wrong guess shows in it."""
    if not body:
        return ""
    cells = len(first.cells)
    parts = [f"{len(body)} rows of {cells} column{'' if cells == 1 else 's'}"]
    if cells > 1:
        parts.append(f"separated by {DELIMITERS[delimiter]}")
    parts.append(f"names in line {first.line}" if names else "without names")
    left_out = [
        names[j] if names else f"column {j + 1}"
        for j in range(cells)
        if j not in (*chosen, *conditions, label_column)
    ]
    if left_out:
        parts.append(f"left out: {listed(map(clipped, left_out[:6]))}{', ...' if len(left_out) > 6 else ''}")
    shown = [clipped(f"{names[j]} = {body[0].cells[j]}" if names else body[0].cells[j]) for j in chosen[:6]]
    row = f"{', '.join(shown)}{', ...' if len(chosen) > 6 else ''}"
    if conditions:
        given = [f"{names[j]} = {body[0].cells[j]}" if names else body[0].cells[j] for j in conditions[:6]]
        row += f"; given {', '.join(given)}{', ...' if len(conditions) > 6 else ''}"
    if label_column is not None:
        row += f"; class {clipped(body[0].cells[label_column])}"
    return f"read {'; '.join(parts)}. First row: {row}"
