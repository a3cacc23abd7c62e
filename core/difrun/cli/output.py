"""Tables of plain text."""

import itertools
import math
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click

from difrun.report.floors import alone, has_exact, ratio
from difrun.report.verdict import legend, times, verdict

GAP = "  "
NARROWEST = 24
"""The least width of a cell of text, however narrow the terminal."""


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = (), within: int | None = None) -> str:
    """Lay out rows in columns of equal width.

    Args:
        rows: The cells, the head first.
        right: The columns that are aligned to the right.
        within: The largest width. To keep it, cells of the widest column are broken into lines. None: any width.
    """
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    if within is not None:
        widest = widths.index(max(widths))
        rest = sum(widths) - widths[widest] + len(GAP) * (len(widths) - 1)
        widths[widest] = min(widths[widest], max(within - rest, NARROWEST))
    lines = []
    for row in rows:
        broken = [_lines(cell, width) for cell, width in zip(row, widths, strict=True)]
        for cells in itertools.zip_longest(*broken, fillvalue=""):
            padded = [
                cell.rjust(width) if column in right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            lines.append(GAP.join(padded).rstrip())
    return "\n".join(lines)


def _lines(cell: str, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    return paragraph(cell, width)


def reflowed(text: str, within: int) -> str:
    """Break a docstring into lines of at most that width.

    Paragraphs are filled. Indented text, such as a formula, is not: if a line is too long, it continues on the next
    line, indented by two more columns. Text that fits is left as it is.
    """
    reflowed_lines = []
    for block in text.split("\n\n"):
        lines, more = block.split("\n"), "  "
        if max(map(len, lines)) > within and not any(line.startswith((" ", "* ", "- ")) for line in lines):
            lines, more = [" ".join(lines)], ""
        for line in lines:
            indent = line[: len(line) - len(line.lstrip())]
            reflowed_lines += paragraph(line, within, indent + more) or [""]
        reflowed_lines.append("")
    return "\n".join(reflowed_lines).rstrip("\n")


def paragraph(text: str, within: int, more: str = "") -> list[str]:
    """Break a text between words into lines of at most that width; `more` indents all lines but the first."""
    return textwrap.wrap(text, within, subsequent_indent=more, break_long_words=False, break_on_hyphens=False)


def options_table(rows: Sequence[tuple[str, str]], within: int) -> str:
    """Lay out flags and what they do, as in ``--help``."""
    formatter = click.HelpFormatter(width=within)
    with formatter.indentation():
        formatter.write_dl(rows, col_max=36)
    return formatter.getvalue().rstrip("\n")


def metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of each metric beside its floor, the same metric between two sets of real data, and the verdict.

    Args:
        metrics: Name -> "value", "value_sd", "floor", "floor_sd", and "n", how many samples were compared; any of them
            may be missing.
    """
    if not metrics:
        return "No metric was computed."
    counted = any("n" in numbers for numbers in metrics.values())
    known = any(has_exact(numbers) for numbers in metrics.values())
    rows = [["metric", "value", "exact", "floor", "value / floor", "n"]]
    for name, numbers in metrics.items():
        exact = f"{numbers['exact']:.4g}" if has_exact(numbers) else "-"
        n = f"{numbers['n']:.0f}" if "n" in numbers else "-"
        rows.append([name, _number(numbers, "value"), exact, _number(numbers, "floor"), _ratio(numbers), n])
    shown = [0, 1, *([2] if known else []), 3, 4, *([5] if counted else [])]
    right = (2, 4, 5) if known else (3, 4)
    notes = [line for note in legend(metrics) for line in paragraph(note, max(width(), 40))]
    cells = [[row[column] for column in shown] for row in rows]
    return "\n".join([table(cells, right=right), *notes, verdict(metrics)])


def width() -> int:
    """Return the width of the terminal in columns; 80 where there is none."""
    return shutil.get_terminal_size().columns


def _ratio(numbers: Mapping[str, Any]) -> str:
    quotient = ratio(numbers)
    if quotient is None:
        return "-"
    return f"{quotient:.4g}" if quotient < 1e4 else times(numbers).removesuffix("×")


def _number(numbers: Mapping[str, Any], key: str) -> str:
    value, sd = numbers.get(key, math.nan), numbers.get(f"{key}_sd")
    if value is None or math.isnan(value):
        return "-"
    if alone(numbers, key):
        return f"{value:.4g} ± –"
    return f"{value:.4g}" if sd is None or math.isnan(sd) else f"{value:.4g} ± {sd:.2g}"
