"""Tables of plain text."""

import itertools
import math
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click

from difrun.report.verdict import alone, has_exact, legend, ratio, times, verdict

GAP = "  "
NARROWEST = 24
"""Columns that a cell of text gets at least, however narrow the terminal."""


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = (), within: int | None = None) -> str:
    """Columns padded to equal width; `right`: the columns that are aligned to the right.

    within: the width to keep to (None: any). The widest column is then broken between words into several lines.
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
    """A docstring in lines of at most that width: paragraphs are filled; what is indented, such as formulas, is not.

    A line of what is indented that is too long goes on below it, two columns further in. Text that fits is left as
    it is.
    """
    found = []
    for block in text.split("\n\n"):
        lines, more = block.split("\n"), "  "
        if max(map(len, lines)) > within and not any(line.startswith((" ", "* ", "- ")) for line in lines):
            lines, more = [" ".join(lines)], ""
        for line in lines:
            indent = line[: len(line) - len(line.lstrip())]
            found += paragraph(line, within, indent + more) or [""]
        found.append("")
    return "\n".join(found).rstrip("\n")


def paragraph(text: str, within: int, more: str = "") -> list[str]:
    """A text in lines of at most that width, broken between words; `more` stands before all lines but the first."""
    return textwrap.wrap(text, within, subsequent_indent=more, break_long_words=False, break_on_hyphens=False)


def options_table(rows: Sequence[tuple[str, str]], within: int) -> str:
    """Flags and what they do, as in ``--help``."""
    formatter = click.HelpFormatter(width=within)
    with formatter.indentation():
        formatter.write_dl(rows, col_max=36)
    return formatter.getvalue().rstrip("\n")


def metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Each metric beside its floor, the same metric between two sets of real data; the legend and the verdict below.

    metrics: name -> "value", "value_sd", "floor", "floor_sd", and "n", how many samples were compared; what is
    not there is left out.
    """
    if not metrics:
        return "No metric was computed."
    counted = any("n" in numbers for numbers in metrics.values())
    known = any(has_exact(numbers) for numbers in metrics.values())
    rows = [
        (
            "metric",
            "value",
            *(["exact"] if known else []),
            "floor",
            "value / floor",
            *(["n"] if counted else []),
        )
    ]
    for name, numbers in metrics.items():
        quotient = ratio(numbers)
        row = [name, _number(numbers, "value")]
        if known:
            row.append(f"{numbers['exact']:.4g}" if has_exact(numbers) else "-")
        row.append(_number(numbers, "floor"))
        row.append("-" if quotient is None else f"{quotient:.4g}" if quotient < 1e4 else times(numbers)[:-1])
        rows.append((*row, *([f"{numbers['n']:.0f}" if "n" in numbers else "-"] if counted else [])))
    notes = [line for note in legend(metrics) for line in paragraph(note, max(width(), 40))]
    right = (2, 4, 5) if known else (3, 4)
    return "\n".join([table(rows, right=right), *notes, verdict(metrics)])


def width() -> int:
    """The width of the terminal in columns; 80 where there is none."""
    return shutil.get_terminal_size().columns


def _number(numbers: Mapping[str, Any], key: str) -> str:
    value, sd = numbers.get(key, math.nan), numbers.get(f"{key}_sd")
    if value is None or math.isnan(value):
        return "-"
    spread = " ± –" if alone(numbers, key) else "" if sd is None or math.isnan(sd) else f" ± {sd:.2g}"
    return f"{value:.4g}{spread}"
