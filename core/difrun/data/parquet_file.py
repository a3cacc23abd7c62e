"""Tables in .parquet files, read by pyarrow, which is imported only for them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from difrun.data.columns import Header, table_of_columns
from difrun.data.source import Source
from difrun.data.table import Table
from difrun.errors import DifrunError
from difrun.storage.arrays import ALWAYS_ALLOWED, MOST_EXPANSION
from difrun.storage.regular import open_regular, size
from difrun.text import clipped


def read_parquet(
    path: Path,
    label: str | None,
    columns: tuple[str, ...] | None,
    condition: tuple[str, ...] | None,
    asks: bool = False,
) -> Table:
    """Read the examples of a .parquet file; nulls become NaN.

    Args:
        path: The file.
        label: The column of the classes, by name or number from 1; None: there are none.
        columns: The columns of the examples, by name or number; None: all others.
        condition: The columns of the condition, by name or number; None: there is none.
        asks: Whether to ask about an index among the columns.

    Raises:
        DifrunError: If pyarrow is not installed, the file is damaged, a column is not numeric, or it is not certain
            whether one is an index.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DifrunError(
            f"file '{path}': .parquet files are read by pyarrow, which is not installed: pip install pyarrow. Or save "
            "the table as .csv."
        ) from None
    source = Source(f"file '{path}'")
    with open_regular(path) as stream:
        try:
            length = stream.seek(0, 2)
            file = parquet.ParquetFile(stream)
            _refuse_expansion(file.metadata, length, source)
            # Not `read_table`, which refuses two columns of one name even where neither is asked for.
            table: Any = file.read()
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            raise DifrunError(f"{source} cannot be read as .parquet: {clipped(str(error), 300)}.") from None
    header = Header(tuple(map(str, table.column_names)), source)
    tasks = header.tasks(label=label, columns=columns, condition=condition)

    def read(j: int) -> NDArray:
        try:
            return np.asarray(table.column(j).to_numpy())
        except (ValueError, pyarrow.ArrowException) as error:
            raise DifrunError(
                f"{source}: column '{clipped(header.names[j])}' cannot be read: {clipped(str(error), 300)}."
            ) from None

    return table_of_columns(header, read, tasks, asks and columns is None)


def _refuse_expansion(metadata: Any, length: int, source: Source) -> None:
    """Refuse a small file that claims to hold more than memory: equal numbers take no space in it."""
    claimed = 8 * metadata.num_rows * max(1, metadata.num_columns)
    if claimed > max(ALWAYS_ALLOWED, MOST_EXPANSION * length):
        raise DifrunError(f"{source} claims {size(claimed)} in a file of {size(length)}.")
