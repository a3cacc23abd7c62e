"""Tables of plain text."""

import math
from collections.abc import Mapping, Sequence


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
    """Each metric beside its floor: the same metric between two sets of real data."""
    rows = [("metric", "value", "floor", "value / floor")]
    for name, numbers in metrics.items():
        value, floor = numbers.get("value", math.nan), numbers.get("floor", math.nan)
        # A floor of an unbiased estimate may fall below zero; a ratio to it would say nothing.
        ratio = value / floor if floor > 0 else math.nan
        rows.append((name, _number(value), _number(floor, numbers.get("floor_sd")), _number(ratio)))
    return table(rows, right=(1, 3))


def _number(value: float, sd: float | None = None) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4g}" + (f" ± {sd:.2g}" if sd is not None and not math.isnan(sd) else "")
