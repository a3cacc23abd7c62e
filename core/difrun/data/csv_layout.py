"""How a .csv file is laid out: separator, decimal sign, header and index column; what is not certain is asked."""

import csv
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import attrs

from difrun.errors import DifrunError
from difrun.text import clipped

DELIMITERS = {"\t": "tabs", ";": "semicolons", ",": "commas"}
"""In the order in which they are taken where several separate all lines alike: numbers may hold commas, never tabs."""

LOOKED_AT = 200
"""Lines from which the separator is found."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+", re.ASCII)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_FRACTION = re.compile(r"\d+", re.ASCII)


@attrs.frozen
class CsvOptions:
    """How the user says that a .csv file is to be read.

    Attributes:
        header: Whether the first line holds names; "auto" finds out, and asks where that is not certain.
        columns: The columns to read, by name or number from 1; None for all.
        decimal: The decimal sign; "auto" is the point, and asks where commas look like decimal signs.
        asks: Whether to ask. If not, what is not certain is read as numbers that need no header.
        names: The names that a first line is expected to hold, numbers or not; empty if none are known.
        condition: The columns that hold the condition, by name or number from 1; None if there is none.
        gaps: Whether cells may be empty, nan or NA, for a missing value.
    """

    header: Literal["auto", "yes", "no"] = "auto"
    columns: tuple[str, ...] | None = None
    decimal: Literal["auto", "point", "comma"] = "auto"
    asks: bool = True
    names: tuple[str, ...] = ()
    condition: tuple[str, ...] | None = None
    gaps: bool = False

    def reads(self, cell: str) -> bool:
        """Whether a cell is a number, or a missing value where these are allowed."""
        return is_number(cell) or (self.gaps and is_gap(cell))


@attrs.frozen
class Row:
    """A line with data.

    Attributes:
        line: Its number in the file, from 1.
        cells: Its cells; decimal commas have become points.
        pointed: Where the decimal sign is the comma, the numbers with a point, from 0: 1.234 may be 1234.
    """

    line: int
    cells: list[str]
    pointed: tuple[int, ...] = ()


def is_number(cell: str) -> bool:
    """Whether a cell is a number with a decimal point, or nan or inf; Python's 1_000 is none."""
    return _NUMBER.fullmatch(cell) is not None


def is_gap(cell: str) -> bool:
    """Whether a cell stands for a missing value."""
    return cell.strip().lower() in ("", "na", "n/a", "nan", "null", "none")


def split_rows(lines: Sequence[str], decimal: str, source: str) -> tuple[list[Row], str]:
    """Split the lines of a file into rows of cells.

    Args:
        lines: The lines. Empty ones and comments, which start with #, are left out.
        decimal: The decimal sign: with "comma" commas do not separate, and become points in numbers.
        source: How messages begin, for example ``file 'x.csv'``.

    Returns:
        The rows, and the separator.

    Raises:
        DifrunError: If quotes are not closed, or a cell is too long.
    """
    numbered = [(i, line) for i, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    texts = [line for _, line in numbered]
    candidates = [mark for mark in DELIMITERS if decimal != "comma" or mark != ","]
    said = _SEPARATOR_LINE.fullmatch(texts[0].strip("\r\n ")) if texts else None
    if said and said[1] in DELIMITERS:  # Excel's first line, which names the separator
        numbered, texts, candidates = numbered[1:], texts[1:], [said[1]]
    delimiter = _delimiter(texts, candidates)
    rows, start = [], 0
    reader = csv.reader(texts, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            rows.append(Row(numbered[start][0], [cell.strip() for cell in cells]))
            start = reader.line_num
    except csv.Error as error:
        line = numbered[min(start, len(numbered) - 1)][0]
        raise DifrunError(
            f"{source}, line {line}: this is no CSV ({error}). Check the quotes there."
        ) from None
    if decimal == "comma":
        rows = [_with_points(row) for row in rows]
    return rows, delimiter


def _delimiter(lines: Sequence[str], candidates: Sequence[str]) -> str:
    """The separator that splits all lines into equally many cells, more than one; else the most frequent one."""
    for mark in candidates:
        try:
            some = lines[:LOOKED_AT]
            counts = {
                len(cells) for cells in csv.reader(some, delimiter=mark, skipinitialspace=True, strict=True)
            }
        except csv.Error:
            continue
        if len(counts) == 1 and counts.pop() > 1:
            return mark
    outside_quotes = re.sub(r'"[^"]*"', "", lines[0]) if lines else ""
    return max(reversed(candidates), key=outside_quotes.count)


def _with_points(row: Row) -> Row:
    """A row of numbers with decimal commas, with points in their place."""
    pointed = tuple(j for j, cell in enumerate(row.cells) if "." in cell and is_number(cell))
    return Row(row.line, [_with_point(cell) for cell in row.cells], pointed)


def _with_point(cell: str) -> str:
    with_point = cell.replace(",", ".")
    return with_point if "." not in cell and is_number(with_point) else cell


def length_hint(row: Row, first: Row) -> str:
    """What to do about a row that has more cells than the first one; empty if nothing is known to help."""
    if len(row.cells) == 2 * len(first.cells) and all(map(is_number, row.cells)):
        return " If commas are decimal signs: --dataset.decimal comma."
    if len(row.cells) != len(first.cells) + 1:
        return ""
    if not row.cells[-1]:
        return " The line ends with a separator that the first one does not have."
    if any(map(is_number, first.cells)):
        return ""
    return f" If the first column is an index, give it a name in line {first.line}."


def refuse_decimal_commas(rows: Sequence[Row], delimiter: str, options: CsvOptions, source: str) -> None:
    """Ask if commas that separate look like decimal signs: 1,05 is no pair of numbers.

    Raises:
        DifrunError: If every second cell could be a fraction, and one of them starts with 0, as no whole number does.
    """
    body = rows[1:] if rows and not any(map(is_number, rows[0].cells)) else rows
    if options.decimal != "auto" or delimiter != "," or not options.asks or not body:
        return
    pairs = all(
        len(row.cells) % 2 == 0
        and all(map(_WHOLE.fullmatch, row.cells[::2]))
        and all(map(_FRACTION.fullmatch, row.cells[1::2]))
        for row in body
    )
    for row in body if pairs else ():
        for whole, fraction in zip(row.cells[::2], row.cells[1::2], strict=True):
            if (len(fraction) > 1 and fraction.startswith("0")) or whole == "-0":
                raise DifrunError(
                    f"{source}, line {row.line}: is '{whole},{fraction}' one number or two? Say so: "
                    "--dataset.decimal comma if commas are decimal signs, --dataset.decimal point if they separate."
                )


def has_header(rows: Sequence[Row], chosen: Sequence[int], options: CsvOptions, source: str) -> bool:
    """Whether the first row holds names.

    Args:
        rows: All rows, at least one.
        chosen: The columns of the examples, from 0; other cells may be text anywhere.
        options: What the user says.
        source: How messages begin.

    Raises:
        DifrunError: If that is not certain: the first row holds numbers that could be names, or only some numbers.
    """
    if options.header != "auto":
        return options.header == "yes"
    if options.names and tuple(rows[0].cells[j] for j in chosen) == options.names:
        return True
    cells = [(j, rows[0].cells[j]) for j in chosen]
    numeric = [options.reads(cell) for _, cell in cells]
    if not any(is_number(cell) for _, cell in cells):
        return True
    if not all(numeric):
        _refuse_mixed(rows, [j for j, cell in cells if not options.reads(cell)], options, source)
    if options.asks and _could_be_names(rows, chosen):
        raise DifrunError(
            f"{source}: are the numbers of line {rows[0].line} ({', '.join(map(clipped, rows[0].cells[:6]))}"
            f"{', ...' if len(rows[0].cells) > 6 else ''}) names of columns, or data? Say so: --dataset.header yes, or "
            "--dataset.header no."
        )
    return False


def _refuse_mixed(rows: Sequence[Row], text: Sequence[int], options: CsvOptions, source: str) -> None:
    first, j = rows[0], text[0]
    cell = first.cells[j]
    what = f"'{clipped(cell)}' is not a number" if cell else "the value is missing"
    hint = decimal_hint(cell, options.asks)
    if options.asks and not hint and any(len(row.cells) > j and is_number(row.cells[j]) for row in rows[1:2]):
        hint = " If the line holds names: --dataset.header yes."
    hint += gap_hint(cell, options)
    raise DifrunError(f"{source}, line {first.line}, column {j + 1}: {what}.{hint}")


def decimal_hint(cell: str, asks: bool) -> str:
    """What to do about a cell with a decimal comma; empty for another cell."""
    if _THOUSANDS.fullmatch(cell):
        groups, whole = cell.split(","), cell.replace(",", "")
        either = f"Is it {whole}, or {'.'.join(groups)}?" if len(groups) == 2 else f"If it is {whole}:"
        says = ", or say --dataset.decimal comma" if asks and len(groups) == 2 else ""
        return f" {either} Write numbers without separators of thousands{says}."
    if "," not in cell or not is_number(cell.replace(",", ".", 1)):
        return ""
    return " Write decimals with a point" + (", or say --dataset.decimal comma." if asks else ".")


def gap_hint(cell: str, options: CsvOptions) -> str:
    """What to do about a missing value; empty for another cell, and where it was said what is done about it."""
    if not options.asks or options.gaps or not is_gap(cell):
        return ""
    return " Rows with missing values are left out by --dataset.missing drop, and filled by --dataset.missing mean."


def _could_be_names(rows: Sequence[Row], columns: Sequence[int]) -> bool:
    """Whether a first row of numbers may be names: equally spaced ones, or whole ones above decimals or far out."""
    first, rest = rows[0].cells, [row.cells for row in rows[1:]]
    values = [first[j] for j in columns]
    if not rest:
        return False
    if _rise_equally(values) and not any(_rise_equally(_only(cells, columns)) for cells in rest[:LOOKED_AT]):
        return True
    if not all(map(_WHOLE.fullmatch, values)):
        return False
    numbers = [int(value) for value in values if len(value) < 19]
    counting = numbers == list(range(numbers[0], numbers[0] + len(values))) if numbers else False
    if counting and len(numbers) > 2:
        return True
    columns_below = [[cells[j] for cells in rest if j < len(cells)] for j in columns]
    if len(set(values)) < len(values):
        return False  # names differ
    decimals = any(
        2 * sum(_WHOLE.fullmatch(cell) is None for cell in below) > len(rest) for below in columns_below
    )
    return decimals or all(map(_far_from, values, columns_below))


def _rise_equally(cells: Sequence[str]) -> bool:
    """Whether at least three numbers rise in equal steps, as times and wavelengths in names of columns do."""
    if len(cells) < 3 or not all(map(is_number, cells)):
        return False
    steps = [b - a for a, b in pairwise(map(float, cells))]
    # Not of exactly one length: 0.1, 0.2, 0.30000000000000004.
    return all(0 < step < math.inf for step in steps) and max(steps) - min(steps) < 1e-6 * min(steps)


def _only(cells: Sequence[str], chosen: Sequence[int]) -> list[str]:
    return [cells[j] for j in chosen if j < len(cells)]


def _far_from(value: str, below: Sequence[str]) -> bool:
    """Whether a number is more than ten times as large as all numbers below it, as a year above measurements."""
    sizes = [abs(float(cell)) for cell in below if is_number(cell)]
    return len(sizes) > 1 and abs(float(value)) > 10 * max(sizes) > 0


def index_column(rows: Sequence[Row], chosen: Sequence[int]) -> int | None:
    """The first chosen column that counts the rows, each value the last plus 1; None if none does or rows are few."""
    if len(rows) < 20:
        return None
    for j in chosen:
        cells = [row.cells[j] for row in rows if j < len(row.cells)]
        if len(cells) == len(rows) and all(_WHOLE.fullmatch(cell) and len(cell) < 19 for cell in cells):
            first = int(cells[0])
            if all(int(cell) == first + i for i, cell in enumerate(cells)):
                return j
    return None
