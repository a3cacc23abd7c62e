"""Tables of plain text."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from difrun.verdict import ratio, verdict

NOTE = (
    "floor: the same metric between two sets of real data (± standard deviation). Best is a value equal to its floor:\n"
    "distances come down to it, density, coverage, precision and recall up to it."
)


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
    """Each metric beside its floor, the same metric between two sets of real data; `NOTE` and the verdict below.

    metrics: name -> "value", "value_sd", "floor", "floor_sd", and "n", how many samples were compared; what is
    not there is left out. "units": said below the table where it is there.
    """
    if not metrics:
        return "No metric was computed."
    counted = any("n" in numbers for numbers in metrics.values())
    rows = [("metric", "value", "floor", "value / floor", *(["n"] if counted else []))]
    for name, numbers in metrics.items():
        value, floor = numbers.get("value", math.nan), numbers.get("floor", math.nan)
        quotient = ratio(numbers)
        row = [name, _number(value, numbers.get("value_sd")), _number(floor, numbers.get("floor_sd"))]
        row.append(_number(math.nan if quotient is None else quotient))
        rows.append((*row, *([f"{numbers['n']:.0f}" if "n" in numbers else "-"] if counted else [])))
    units = {numbers["units"]: None for numbers in metrics.values() if "units" in numbers}
    return "\n".join(
        [table(rows, right=(3, 4)), NOTE, *(f"Units: {unit}." for unit in units), verdict(metrics)]
    )


def _number(value: float, sd: float | None = None) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4g}" + (f" ± {sd:.2g}" if sd is not None and not math.isnan(sd) else "")
