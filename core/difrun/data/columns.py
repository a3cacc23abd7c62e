"""A table from named columns, as .parquet files and DataFrames hold them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from difrun.data.table import Table
from difrun.errors import DifrunError
from difrun.text import closest, listed


def table_of_columns(
    names: Sequence[str],
    values: Sequence[NDArray],
    *,
    source: str,
    label: str | None = None,
    columns: Sequence[str] | None = None,
    condition: Sequence[str] | None = None,
) -> Table:
    """Return the table of columns that are told apart by name.

    Args:
        names: The names of the columns.
        values: Their values, (N,) each; None and NaN are missing values.
        source: How messages begin, for example ``file 'x.parquet'``.
        label: The column of the classes, by name or number from 1; None: there are none.
        columns: The columns of the examples, by name or number; None: all others.
        condition: The columns of the condition, by name or number; None: there is none.

    Raises:
        DifrunError: If there is no such column, one has two tasks, or one is not numeric.
    """
    given = [_place(names, name, source, "--dataset.condition") for name in condition or ()]
    classes = None if label is None else _place(names, label, source, "--dataset.label")
    taken = [*given, *([] if classes is None else [classes])]
    if columns is None:
        chosen = [j for j in range(len(names)) if j not in taken]
    else:
        chosen = [_place(names, name, source, "--dataset.columns") for name in columns]
    twice = next((j for j in (*chosen, *taken) if (*chosen, *taken).count(j) > 1), None)
    if twice is not None:
        raise DifrunError(
            f"{source}: column '{names[twice]}' is named twice by --dataset.columns, --dataset.condition and "
            "--dataset.label; each column has one task."
        )
    if not chosen:
        raise DifrunError(f"{source}: no column is left for the examples.")
    labels = None if classes is None else _as_classes(values[classes])
    return Table(
        _numbers(names, values, chosen, source, classes is None),
        tuple(names[j] for j in chosen),
        labels,
        (),
        _numbers(names, values, given, source, False) if given else None,
        tuple(names[j] for j in given),
    )


def _place(names: Sequence[str], name: str, source: str, flag: str) -> int:
    if list(names).count(name) == 1:
        return list(names).index(name)
    if name.isascii() and name.isdigit() and 1 <= int(name) <= len(names):
        return int(name) - 1
    guess = closest(name, names)
    shown = listed([*names[:8]]) + (", ..." if len(names) > 8 else "")
    raise DifrunError(
        f"{source} has no one column '{name}' ({flag})"
        + (f"; did you mean '{guess}'?" if guess and guess != name else ".")
        + f" Its columns: {shown}."
    )


def _as_classes(values: NDArray) -> NDArray:
    """Names of classes: whole numbers as they are, anything else as text, nothing for a missing one."""
    if values.dtype.kind in "biu":
        return values
    return np.array(["" if value is None or value != value else str(value) for value in values.tolist()])


def _numbers(
    names: Sequence[str], values: Sequence[NDArray], chosen: Sequence[int], source: str, suggest: bool
) -> NDArray[np.float64]:
    columns = []
    for j in chosen:
        column = values[j]
        if column.dtype.kind not in "biuf":
            try:
                # Columns with None among numbers come as objects; text must not become a number.
                if column.dtype.kind != "O" or any(isinstance(value, str | bytes) for value in column):
                    raise ValueError
                column = column.astype(np.float64)
            except (ValueError, TypeError):
                hint = f" If these are classes: --dataset.label {names[j]}." if suggest else ""
                raise DifrunError(
                    f"{source}: column '{names[j]}' holds {column.dtype} values; expected real numbers.{hint}"
                ) from None
        columns.append(column.astype(np.float64))
    return np.stack(columns, axis=1)
