"""What `difrun compare` prints: the table of a comparison, and its results in words."""

from typing import TYPE_CHECKING, Any

from difrun.cli.output import table
from difrun.report.verdict import short_names

if TYPE_CHECKING:
    from difrun.runs.compare.results import Comparison, ComparisonRow


def comparison_text(comparison: "Comparison") -> str:
    """Return the table of a comparison, its results in words, and the folder of its files."""
    several = _has_several_runs(comparison)
    lines = [_table(comparison)]
    if comparison.names():
        lines.append(
            "floor: the same metric between two sets of real data (± standard deviation). A row is at the floor\n"
            "if it is worse by at most two standard deviations of the difference, or as near as a row that is."
        )
    lines += comparison.best()
    lines += _of_exact(comparison)
    lines += [f"{_place(row, several)}: {row.problem}" for row in comparison.rows if row.problem]
    return "\n".join([*filter(None, lines), f"Comparison: {comparison.path}"])


def _has_several_runs(comparison: "Comparison") -> bool:
    return len({row.run for row in comparison.rows}) > 1


def _table(comparison: "Comparison") -> str:
    """The rows, then floors and exact values. Columns without content are left out."""
    rows, names = comparison.rows, comparison.names()
    heads = ["run", "sampler", "grid", "steps", "evaluations", "seconds", *short_names(names).values()]
    shown = [*range(0 if _has_several_runs(comparison) else 1, len(heads))]
    if any(row.exact or row.exact_note for row in rows):
        shown += [len(heads), len(heads) + 1]
    if any(row.exact and row.exact.other_mode is not None for row in rows):
        shown.append(len(heads) + 2)
    heads += ["from exact", "median", "other mode"]
    lines = [heads, *(_cells(row, names) for row in rows), *_floors(comparison), *_exact_values(comparison)]
    padded = [line + [""] * (len(heads) - len(line)) for line in lines]
    first_number = shown.index(heads.index("steps"))
    return table([[line[column] for column in shown] for line in padded], range(first_number, len(shown)))


def _cells(row: "ComparisonRow", names: list[str]) -> list[str]:
    """One row with every column that a table may have."""
    cells = [row.run, row.sampler, row.grid, str(row.steps)]
    cells += ["failed", ""] if row.failed else [f"{row.evaluations:g}", f"{row.seconds:.2g}"]
    cells += [_number(row.metrics.get(name), "value") for name in names]
    if row.exact is None:
        return [*cells, "-", "-", "-"]
    other_mode = "-" if row.exact.other_mode is None else f"{100 * row.exact.other_mode:.3g} %"
    return [*cells, f"{row.exact.rms:.2g}", f"{row.exact.median:.2g}", other_mode]


def _floors(comparison: "Comparison") -> list[list[str]]:
    """A row of floors for each run, or one for all runs if they are the same."""
    by_run: dict[str, list[str]] = {}
    for name in comparison.names():
        for run, number in comparison.floors(name).items():
            by_run.setdefault(run, []).append(_number(number, "floor"))
    rows = [[run, "floor", "", "", "", "", *cells] for run, cells in by_run.items()]
    if len({tuple(cells) for cells in by_run.values()}) == 1:
        return [["", *rows[0][1:]]]
    return rows


def _exact_values(comparison: "Comparison") -> list[list[str]]:
    """A row of the exact values, where any is known and all runs have the same."""
    cells = []
    for name in comparison.names():
        values = {number.get("exact") for number in comparison.floors(name).values()}
        value = values.pop() if len(values) == 1 else None
        cells.append("" if value is None else f"{value:.4g}")
    return [["", "exact", "", "", "", "", *cells]] if any(cells) else []


def _of_exact(comparison: "Comparison") -> list[str]:
    """The meaning of the distances to the exact endpoints, the nearest row, and the rows without a distance."""
    lines = []
    errors = {row.run: row.exact_reference_error for row in comparison.rows if row.exact}
    if errors:
        worst = max(error or 0.0 for error in errors.values())
        lines.append(
            "from exact: root mean square distance to the endpoint of the model's own probability flow from the same\n"
            f"noise, over the radius of the data: the error of the solver alone. The endpoint's own: {worst:.1g}."
        )
        lines.append(comparison.nearest())
    samplers_of: dict[str, list[str]] = {}
    for row in comparison.rows:
        if row.exact_note:
            samplers_of.setdefault(row.exact_note, []).append(row.sampler)
    return lines + [
        f"Not measured from exact: {', '.join(dict.fromkeys(samplers))} ({note})."
        for note, samplers in samplers_of.items()
    ]


def _number(number: Any, key: str) -> str:
    if number is None:
        return "-"
    deviation = number.get(f"{key}_sd")
    return f"{number[key]:.3g}" + (f" ± {deviation:.1g}" if deviation is not None else "")


def _place(row: "ComparisonRow", several: bool) -> str:
    return f"{row.sampler} on {row.grid}, {row.steps} steps" + (f", {row.run}" if several else "")
