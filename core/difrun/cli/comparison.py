"""What `difrun compare` prints: the table of a comparison, and what it says in words."""

from typing import TYPE_CHECKING, Any

from difrun.cli.output import table
from difrun.report.verdict import short_names

if TYPE_CHECKING:
    from difrun.runs.compare.results import Comparison, ComparisonRow


def comparison_text(found: "Comparison") -> str:
    """The table of a comparison, what it says in words, and where it is."""
    several = len({row.run for row in found.rows}) > 1
    names, exact = found.names(), any(row.exact or row.exact_note for row in found.rows)
    moved = any(row.exact and row.exact.other_mode is not None for row in found.rows)
    heads = ["run"] * several + [
        "sampler",
        "grid",
        "steps",
        "evaluations",
        "seconds",
        *short_names(names).values(),
    ]
    heads += ["from exact", "median"] * exact + ["other mode"] * moved
    left = 2 + several
    rows = [tuple(heads)]
    for row in found.rows:
        cells = [row.run] * several + [row.sampler, row.grid, str(row.steps)]
        cells += ["failed", ""] if row.failed else [f"{row.evaluations:g}", f"{row.seconds:.2g}"]
        cells += [_number(row.metrics.get(name), "value") for name in names]
        if exact:
            cells += [f"{row.exact.rms:.2g}", f"{row.exact.median:.2g}"] if row.exact else ["-", "-"]
        if moved:
            share = row.exact.other_mode if row.exact else None
            cells.append("-" if share is None else f"{100 * share:.3g} %")
        rows.append(tuple(cells))
    rows += _floors(found, several, len(heads)) + _known(found, several, len(heads))
    lines = [table(rows, right=range(left, len(heads)))]
    if names:
        lines.append(
            "floor: the same metric between two sets of real data (± standard deviation). A row is at the floor\n"
            "if it is worse by at most two deviations of both together, or as near as one that is."
        )
    lines += found.best()
    lines += _of_exact(found) if exact else []
    lines += [f"{_place(row, several)}: {row.problem}" for row in found.rows if row.problem]
    return "\n".join([*filter(None, lines), f"Comparison: {found.path}"])


def _floors(found: "Comparison", several: bool, columns: int) -> list[tuple[str, ...]]:
    """A row of floors for each run whose floors differ from those of the first."""
    by_run: dict[str, list[str]] = {}
    for name in found.names():
        for run, number in found.floors(name).items():
            by_run.setdefault(run, []).append(_number(number, "floor"))
    same = len({tuple(cells) for cells in by_run.values()}) == 1
    rows = []
    for run, cells in list(by_run.items())[: 1 if same else None]:
        row = ([run if not same else ""] if several else []) + ["floor", "", "", "", "", *cells]
        rows.append(tuple(row + [""] * (columns - len(row))))
    return rows


def _known(found: "Comparison", several: bool, columns: int) -> list[tuple[str, ...]]:
    """A row of the exact values, where any is known and all runs have the same."""
    cells = []
    for name in found.names():
        values = {number.get("exact") for number in found.floors(name).values()}
        value = values.pop() if len(values) == 1 else None
        cells.append("" if value is None else f"{value:.4g}")
    if not any(cells):
        return []
    row = ([""] if several else []) + ["exact", "", "", "", "", *cells]
    return [tuple(row + [""] * (columns - len(row)))]


def _of_exact(found: "Comparison") -> list[str]:
    lines = []
    errors = {row.run: row.exact_reference_error for row in found.rows if row.exact}
    if errors:
        worst = max(error or 0.0 for error in errors.values())
        lines.append(
            "from exact: root mean square distance to the endpoint of the model's own probability flow from the same\n"
            f"noise, over the radius of the data: the error of the solver alone. The endpoint's own: {worst:.1g}."
        )
        lines.append(found.nearest())
    why: dict[str, list[str]] = {}
    for row in found.rows:
        if row.exact_note and row.sampler not in why.setdefault(row.exact_note, []):
            why[row.exact_note].append(row.sampler)
    return lines + [
        f"Not measured from exact: {', '.join(samplers)} ({note})." for note, samplers in why.items()
    ]


def _number(number: Any, key: str) -> str:
    if number is None:
        return "-"
    spread = number.get(f"{key}_sd")
    return f"{number[key]:.3g}" + (f" ± {spread:.1g}" if spread is not None else "")


def _place(row: "ComparisonRow", several: bool) -> str:
    return f"{row.sampler} on {row.grid}, {row.steps} steps" + (f", {row.run}" if several else "")
