"""Tables of plain text."""

import math
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from difrun.verdict import alone, legend, ratio, times, verdict


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Columns padded to equal width; `right`: the columns that are aligned to the right."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Each metric beside its floor, the same metric between two sets of real data; the legend and the verdict below.

    metrics: name -> "value", "value_sd", "floor", "floor_sd", and "n", how many samples were compared; what is
    not there is left out.
    """
    if not metrics:
        return "No metric was computed."
    counted = any("n" in numbers for numbers in metrics.values())
    rows = [("metric", "value", "floor", "value / floor", *(["n"] if counted else []))]
    for name, numbers in metrics.items():
        quotient = ratio(numbers)
        row = [name, _number(numbers, "value"), _number(numbers, "floor")]
        row.append("-" if quotient is None else f"{quotient:.4g}" if quotient < 1e4 else times(numbers)[:-1])
        rows.append((*row, *([f"{numbers['n']:.0f}" if "n" in numbers else "-"] if counted else [])))
    notes = [line for note in legend(metrics) for line in textwrap.wrap(note, max(width(), 40))]
    return "\n".join([table(rows, right=(3, 4)), *notes, verdict(metrics)])


def width() -> int:
    """The width of the terminal in columns; 80 where there is none."""
    return shutil.get_terminal_size().columns


def _number(numbers: Mapping[str, Any], key: str) -> str:
    value, sd = numbers.get(key, math.nan), numbers.get(f"{key}_sd")
    if value is None or math.isnan(value):
        return "-"
    spread = " ± –" if alone(numbers, key) else "" if sd is None or math.isnan(sd) else f" ± {sd:.2g}"
    return f"{value:.4g}{spread}"
