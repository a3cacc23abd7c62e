"""Examples in .csv files, one per line, with the line and the column of every mistake."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from difrun.data.columns import SHOWN, Header, is_unnamed, what_was_read, which_columns
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
    length_hint,
    refuse_decimal_commas,
    split_rows,
)
from difrun.data.source import Source
from difrun.data.table import Table
from difrun.errors import DifrunError
from difrun.storage.regular import open_regular
from difrun.text import clipped, counted


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
    lines = _lines(path)
    comments = sum(line.startswith("#") for line in lines)
    rows, delimiter = split_rows(lines, options.decimal, source)
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
    _refuse_index(first.cells if header else None, body, chosen, options, source)
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
    width = len(first.cells)
    layout = [f"separated by {DELIMITERS[delimiter]}"] * (width > 1)
    layout += [f"names in line {first.line}" if header else "without names"]
    layout += [f"without {counted(comments, 'line')} of comments (#)"] * (comments > 0)
    values, of_condition = numbers[:, : len(chosen)], numbers[:, len(chosen) :]
    return Table(
        values,
        columns,
        labels,
        (what_was_read(len(body), layout, names, width, tasks, body[0].cells.__getitem__),) if body else (),
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


def _refuse_index(
    names: Sequence[str] | None,
    body: Sequence[Row],
    chosen: Sequence[int],
    options: CsvOptions,
    source: Source,
) -> None:
    """Ask about a column without a name, or as pandas writes it; where no column has a name, about one that counts."""
    if not options.asks or options.columns is not None or len(chosen) < 2 or not body:
        return
    counting = index_column(body, chosen)
    if names is None:
        j = counting
    else:
        unnamed = [j for j in chosen if is_unnamed(names[j])]
        j = unnamed[0] if unnamed else None
    if j is None:
        return
    cells = [row.cells[j] for row in body if j < len(row.cells)]
    if not any(cells):
        rest = ",".join(str(k + 1) for k in chosen if k != j)
        raise DifrunError(
            f"{source}: column {j + 1} has neither a name nor values. Leave it out: "
            f"{source.option('columns', clipped(rest, SHOWN))}."
        )
    shown = ", ".join(map(clipped, cells[:2]))
    what = f"has no name{' and counts the rows' if j == counting else ''} ({shown}, ...)"
    raise DifrunError(f"{source}: column {j + 1} {what}. {which_columns(names, chosen, j, source)}")


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
    shown = columns or _numbers(chosen)
    for i, row in enumerate(body):
        where = f"{source}, line {row.line}"
        if len(row.cells) != len(first.cells):
            raise DifrunError(
                f"{where}: {counted(len(row.cells), 'value')}, but {len(first.cells)} in line {first.line}."
                f"{length_hint(row, first)}"
            )
        _refuse_points(row, chosen, shown, where)
        cells = [row.cells[j] for j in chosen]
        if options.gaps:
            cells = ["nan" if is_gap(cell) else cell for cell in cells]
        suggest = options.asks and without_labels
        values[i] = _finite(cells, shown, where, options, suggest, i == 0)
    return values


def _refuse_points(row: Row, chosen: Sequence[int], columns: Sequence[str | int], where: str) -> None:
    """Raise DifrunError if a number has a point where the user says that commas are decimal signs."""
    for j, column in zip(chosen, columns, strict=True) if row.pointed else ():
        if j in row.pointed:
            cell = row.cells[j]
            raise DifrunError(
                f"{where}, {_column_name(column)}: is '{clipped(cell)}' {clipped(cell.replace('.', ''))}? With "
                "--dataset.decimal comma numbers have no points. Remove separators of thousands, or write decimals "
                "with commas."
            )


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
