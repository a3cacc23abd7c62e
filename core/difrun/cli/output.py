"""Tables of plain text."""

import math
from collections.abc import Mapping, Sequence

NOTE = (
    "floor: the same metric between two sets of real data (± standard deviation). Best is a value equal to its floor:\n"
    "distances come down to it, density and coverage up to it."
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


def metrics_table(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Each metric beside its floor, the same metric between two sets of real data; `NOTE` below.

    metrics: name -> "value", "value_sd", "floor", "floor_sd", and "n", how many samples were compared; what is
    not there is left out.
    """
    if not metrics:
        return "No metric was computed."
    counted = any("n" in numbers for numbers in metrics.values())
    rows = [("metric", "value", "floor", "value / floor", *(["n"] if counted else []))]
    for name, numbers in metrics.items():
        value, floor = numbers.get("value", math.nan), numbers.get("floor", math.nan)
        # A floor of an unbiased estimate may fall below zero; a ratio to it would say nothing.
        ratio = value / floor if floor > 0 else math.nan
        row = [name, _number(value, numbers.get("value_sd")), _number(floor, numbers.get("floor_sd"))]
        row.append(_number(ratio))
        rows.append((*row, *([f"{numbers['n']:.0f}" if "n" in numbers else "-"] if counted else [])))
    return f"{table(rows, right=(3, 4))}\n{NOTE}"


def _number(value: float, sd: float | None = None) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4g}" + (f" ± {sd:.2g}" if sd is not None and not math.isnan(sd) else "")
