"""Which column of a table has which task, and a table from named columns, as in .parquet files and DataFrames."""

import math
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from difrun.data.classes import as_classes, is_missing
from difrun.data.source import Source
from difrun.data.table import Table
from difrun.errors import DifrunError
from difrun.text import clipped, counted, did_you_mean, listed

SHOWN = 500
"""The most characters of a list of columns in a message."""

MOST_NAMED = 20
"""The most columns that a message names one by one."""


@attrs.frozen
class Tasks:
    """The columns of the examples, of their condition and of their classes, numbered from 0."""

    examples: tuple[int, ...]
    condition: tuple[int, ...] = ()
    label: int | None = None


@attrs.frozen
class Header:
    """The names of columns, among which those that the user names are looked up.

    Attributes:
        names: The names.
        source: How messages begin, and how options are written.
        numbers: Whether a number, from 1, stands for a column as well.
        certain: Whether these are names. If not, they may be the first row of numbers, in which nothing is looked up
            but text.
    """

    names: tuple[str, ...]
    source: Source
    numbers: bool = True
    certain: bool = True

    def place(self, column: str, option: str) -> int:
        """Return a column, from 0: by its name or, if no column has that name, by its number from 1.

        Raises:
            DifrunError: If there is no such column, or there are two.
        """
        number = (
            int(column)
            if self.numbers and column.isascii() and column.isdigit() and len(column) < 10
            else None
        )
        count = self.names.count(column) if self.certain or number is None else 0
        if count == 1:
            return self.names.index(column)
        written = self.source.option(option)
        if count > 1 and number is None:
            advice = (
                f"Give the number of one, 1 to {len(self.names)}." if self.numbers else "Rename one of them."
            )
            raise DifrunError(f"{self.source} has {count} columns '{clipped(column)}' ({written}). {advice}")
        if number is not None and 1 <= number <= len(self.names):
            return number - 1
        what = "columns" if self.certain else "first line"
        others = f", or the number of a column, 1 to {len(self.names)}." if self.numbers else "."
        raise DifrunError(
            f"{self.source} has no column '{clipped(column)}' ({written}).{did_you_mean(column, self.names)} "
            f"Its {what}: {clipped(', '.join(self.names), SHOWN)}. Give one of these names{others}"
        )

    def tasks(
        self, *, label: str | None, columns: Sequence[str] | None, condition: Sequence[str] | None
    ) -> Tasks:
        """Return which column has which task.

        Args:
            label: The column of the classes; None: there are none.
            columns: The columns of the examples; None: all others.
            condition: The columns of the condition; None: there is none.

        Raises:
            DifrunError: If there is no such column, a column has two tasks, or none is left for the examples.
        """
        of_label = None if label is None else self.place(label, "label")
        given = self._places(condition or (), "condition")
        if of_label in given:
            raise DifrunError(
                f"{self.source}: {self.source.option('condition')} and {self.source.option('label')} name the same "
                "column; each column has one task."
            )
        if columns is None:
            chosen = [j for j in range(len(self.names)) if j != of_label and j not in given]
            if not chosen:
                named = " and ".join(
                    self.source.option(name)
                    for name, places in (
                        ("condition", given),
                        ("label", () if of_label is None else (of_label,)),
                    )
                    if places
                )
                raise DifrunError(
                    f"{self.source}: no column is left for the examples"
                    + (f", as {named} name{'' if ' and ' in named else 's'} all of them." if named else ".")
                )
            return Tasks(tuple(chosen), tuple(given), of_label)
        return Tasks(tuple(self._examples(columns, given, of_label)), tuple(given), of_label)

    def _examples(self, columns: Sequence[str], given: Sequence[int], of_label: int | None) -> list[int]:
        chosen = self._places(columns, "columns")
        written = self.source.option("columns")
        for j in chosen:
            other = "label" if j == of_label else "condition" if j in given else None
            if other is not None:
                what = "holds the classes" if other == "label" else "is a condition"
                raise DifrunError(
                    f"{self.source}: column '{clipped(self.names[j])}' {what} ({self.source.option(other)}); leave it "
                    f"out of {written}."
                )
        if not chosen:
            raise DifrunError(f"{self.source}: {written} names no column; name at least one.")
        return chosen

    def _places(self, columns: Sequence[str], option: str) -> list[int]:
        places = [self.place(column, option) for column in columns]
        twice = next((name for name, j in zip(columns, places, strict=True) if places.count(j) > 1), None)
        if twice is not None:
            raise DifrunError(
                f"{self.source}: {self.source.option(option)} names column '{clipped(twice)}' twice; name each column "
                "once."
            )
        return places


def is_unnamed(name: str) -> bool:
    """Whether a column has no name, or what pandas and pyarrow call an index without one."""
    return not name or re.fullmatch(r"Unnamed: \d+|__index_level_\d+__", name) is not None


def which_columns(names: Sequence[str] | None, chosen: Sequence[int], index: int, source: Source) -> str:
    """Return the question whether one of the chosen columns is an index, with the option for either answer.

    Args:
        names: The names of all columns; None where they have none.
        chosen: The columns that would be read, from 0.
        index: The one in question.
        source: How options are written.
    """

    def called(j: int) -> str:
        plain = names is not None and names[j] and "," not in names[j]
        return names[j] if names is not None and (plain or source.form != "flag") else str(j + 1)

    few, more = chosen[:MOST_NAMED], ["..."] if len(chosen) > MOST_NAMED else []
    rest: Any = [called(j) for j in few if j != index] + more
    every: Any = [str(j + 1) if source.form == "flag" else called(j) for j in few] + more
    if source.form == "flag":
        rest, every = shlex.quote(",".join(map(clipped, rest))), ",".join(every)
    return (
        f"Is it an index, or data? Name the columns to read: {source.option('columns', rest)} without it, "
        f"{source.option('columns', every)} with it."
    )


def what_was_read(
    rows: int,
    layout: Sequence[str],
    names: Sequence[str],
    width: int,
    tasks: Tasks,
    text: Callable[[int], str],
) -> str:
    """Return what was read, in a sentence: a wrong guess shows in it.

    Args:
        rows: How many rows were read.
        layout: How the file is laid out, in words.
        names: The names of all columns; empty where they have none.
        width: How many columns there are.
        tasks: Which of them are read, and for what.
        text: What the first row has in a column.
    """
    parts = [f"{counted(rows, 'row')} of {counted(width, 'column')}", *layout]
    read = (*tasks.examples, *tasks.condition, tasks.label)
    left_out = [names[j] if names else f"column {j + 1}" for j in range(width) if j not in read]
    if left_out:
        parts.append(f"left out: {listed(map(clipped, left_out[:6]))}{', ...' if len(left_out) > 6 else ''}")

    def first(columns: Sequence[int]) -> str:
        cells = [clipped(f"{names[j]} = {text(j)}" if names else text(j)) for j in columns[:6]]
        return ", ".join(cells) + (", ..." if len(columns) > 6 else "")

    row = first(tasks.examples)
    if tasks.condition:
        row += f"; given {first(tasks.condition)}"
    if tasks.label is not None:
        row += f"; class {clipped(text(tasks.label))}"
    return f"read {'; '.join(parts)}. First row: {row}"


def table_of_columns(
    header: Header, read: Callable[[int], NDArray], tasks: Tasks, asks: bool = False
) -> Table:
    """Return the table of columns that are told apart by name.

    Args:
        header: The names of the columns.
        read: The values of a column, (N,); None and NaN are missing values.
        tasks: Which columns are read, and for what.
        asks: Whether to ask about an index among them.

    Raises:
        DifrunError: If a column is not numeric, or one without a name leaves open whether it is an index.
    """
    label, chosen = tasks.label, tasks.examples
    unnamed = [j for j in chosen if is_unnamed(header.names[j])] if asks and len(chosen) > 1 else []
    if unnamed:
        raise DifrunError(
            f"{header.source}: column {unnamed[0] + 1} has no name of its own ('{header.names[unnamed[0]]}'). "
            f"{which_columns(header.names, chosen, unnamed[0], header.source)}"
        )
    numbers = _numbers(header, read, chosen, suggest=label is None)
    how = (
        what_was_read(len(numbers), (), header.names, len(header.names), tasks, lambda j: str(read(j)[0]))
        if len(numbers)
        else ""
    )
    return Table(
        numbers,
        tuple(header.names[j] for j in chosen),
        None
        if label is None
        else as_classes(read(label), f"{header.source}, column '{clipped(header.names[label])}'"),
        (how,) if how else (),
        _numbers(header, read, tasks.condition) if tasks.condition else None,
        tuple(header.names[j] for j in tasks.condition),
    )


def _numbers(
    header: Header, read: Callable[[int], NDArray], chosen: Sequence[int], suggest: bool = False
) -> NDArray[np.float64]:
    """Columns of numbers, (N, columns). suggest: say how a column of classes is named."""
    columns = []
    for j in chosen:
        column, name = read(j), header.names[j]
        if column.dtype.kind not in "biuf":
            try:
                # Columns with None among numbers come as objects; text must not become a number.
                if column.dtype.kind != "O" or any(isinstance(value, str | bytes) for value in column):
                    raise ValueError
                column = np.array([math.nan if is_missing(value) else float(value) for value in column])
            except (ValueError, TypeError):
                kind = (
                    "text" if column.dtype.kind in "OUS" and _has_text(column) else f"{column.dtype} values"
                )
                hint = (
                    f" If these are classes: {header.source.option('label', _shown(header, name))}."
                    if suggest
                    else ""
                )
                raise DifrunError(
                    f"{header.source}: column '{clipped(name)}' holds {kind}; expected real numbers.{hint}"
                ) from None
        columns.append(column.astype(np.float64))
    return np.stack(columns, axis=1)


def _has_text(column: NDArray) -> bool:
    return any(isinstance(value, str | bytes) for value in column)


def _shown(header: Header, name: str) -> str:
    return shlex.quote(clipped(name)) if header.source.form == "flag" else clipped(name)
