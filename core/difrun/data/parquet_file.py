"""Tables in .parquet files, read by pyarrow, which is imported only for them."""

from pathlib import Path
from typing import Any

from difrun.data.columns import table_of_columns
from difrun.data.table import Table
from difrun.errors import DifrunError
from difrun.storage.regular import open_regular


def read_parquet(
    path: Path,
    label: str | None,
    columns: tuple[str, ...] | None,
    condition: tuple[str, ...] | None,
) -> Table:
    """Read the examples of a .parquet file; nulls become NaN.

    Args:
        path: The file.
        label: The column of the classes, by name or number from 1; None: there are none.
        columns: The columns of the examples, by name or number; None: all others.
        condition: The columns of the condition, by name or number; None: there is none.

    Raises:
        DifrunError: If pyarrow is not installed, the file is damaged, or a column is not numeric.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise DifrunError(
            f"file '{path}': .parquet files are read by pyarrow, which is not installed: pip install pyarrow. Or save "
            "the table as .csv."
        ) from None
    try:
        with open_regular(path) as stream:
            table: Any = parquet.read_table(stream)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise DifrunError(f"file '{path}' cannot be read as .parquet: {error}.") from None
    names = [str(name) for name in table.column_names]
    values = [column.to_numpy() for column in table.columns]
    return table_of_columns(
        names, values, source=f"file '{path}'", label=label, columns=columns, condition=condition
    )
