"""The results of a comparison of samplers: rows, and the files and the picture that are made of them."""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from difrun.analysis.reference import Distance
from difrun.errors import DifrunError
from difrun.report.card import card, paragraphs
from difrun.report.floors import at_floor, factor, has_exact
from difrun.report.verdict import short_names, times
from difrun.report.verdict import text as written
from difrun.storage import atomic
from difrun.text import listed

if TYPE_CHECKING:
    import pandas

Numbers = Mapping[str, Mapping[str, Any]]

COLUMNS = ("run", "sampler", "grid", "steps", "evaluations", "seconds")
EXACT = ("exact_rms", "exact_median", "exact_other_mode", "exact_reference_error", "exact_note")
FILES = ("compare.csv", "compare.json", "compare.png")


@attrs.frozen(kw_only=True)
class ComparisonRow:
    """One sampler on one grid in one number of steps, for one run.

    Attributes:
        run: The name of the run.
        sampler: The name of the sampler.
        grid: The name of the grid.
        steps: The number of steps.
        evaluations: Network evaluations per sample, counted; None if sampling failed.
        seconds: Time of sampling alone, for all samples; None if sampling failed.
        metrics: The numbers, as in metrics.json.
        exact: Distance to the endpoint of the probability flow; None if it was not asked for or not measured.
        exact_reference_error: The error of the endpoint itself.
        exact_note: Why `exact` was not measured.
        problem: How sampling failed, or which metrics could not be computed.
    """

    run: str
    sampler: str
    grid: str
    steps: int
    evaluations: float | None = None
    seconds: float | None = None
    metrics: Numbers = attrs.field(factory=dict)
    exact: Distance | None = None
    exact_reference_error: float | None = None
    exact_note: str = ""
    problem: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """The line in the picture to which the row belongs."""
        return self.run, self.sampler, self.grid

    @property
    def failed(self) -> bool:
        """Whether there are no samples."""
        return self.seconds is None

    def record(self) -> dict[str, Any]:
        """Return the row as one flat dict, which is a line of compare.csv and an object of compare.json.

        It has ``NAME``, ``NAME_sd``, ``NAME_floor`` and ``NAME_floor_sd`` for every number of every metric, and
        ``NAME_exact`` if its exact value is known.
        """
        record = {name: getattr(self, name) for name in COLUMNS}
        for name, number in self.metrics.items():
            record[name] = number.get("value")
            record[f"{name}_sd"] = number.get("value_sd")
            record[f"{name}_floor"] = number.get("floor")
            record[f"{name}_floor_sd"] = number.get("floor_sd")
            if has_exact(number):
                record[f"{name}_exact"] = number["exact"]
        if self.exact is not None:
            record |= {f"exact_{name}": value for name, value in attrs.asdict(self.exact).items()}
            record["exact_reference_error"] = self.exact_reference_error
        if self.exact_note:
            record["exact_note"] = self.exact_note
        return record | {"problem": self.problem}


@attrs.define(eq=False)
class Comparison:
    """Rows in the order in which they were computed, and the folder of their files.

    Attributes:
        path: The folder of `FILES`.
        facts: What all rows share, for compare.json: n, seed, the number of rows asked for.
        notes: What was left out and why.
        rows: The rows so far.
    """

    path: Path
    facts: dict[str, Any] = attrs.field(factory=dict)
    notes: list[str] = attrs.field(factory=list)
    rows: list[ComparisonRow] = attrs.field(factory=list)

    def __repr__(self) -> str:
        return f"<Comparison {self.path}: {len(self.rows)} rows>"

    def _repr_html_(self) -> str:
        records = self.records()
        head = [
            key
            for key in (records[0] if records else ())
            if any(row[key] not in (None, "") for row in records)
        ]
        rows = [["" if row[key] is None else written(row[key]) for key in head] for row in records]
        return card(repr(self).strip("<>"), rows, head, paragraphs(*self.best(), self.nearest(), *self.notes))

    def frame(self) -> "pandas.DataFrame":
        """Return the rows (`records`) as a pandas.DataFrame.

        Raises:
            DifrunError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise DifrunError(
                "a DataFrame needs pandas: pip install pandas. records() gives the same rows as dicts."
            ) from None
        return pandas.DataFrame(self.records())

    def names(self) -> list[str]:
        """Return the names of the numbers of all metrics, in the order of the rows."""
        return list(dict.fromkeys(name for row in self.rows for name in row.metrics))

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as flat dicts with the same keys, `EXACT` among them; None where a row has no value."""
        records = [row.record() for row in self.rows]
        last = (*EXACT, "problem")
        first = [key for key in dict.fromkeys(key for record in records for key in record) if key not in last]
        return [{key: record.get(key) for key in (*first, *last)} for record in records]

    def floors(self, name: str) -> dict[str, Mapping[str, Any]]:
        """Return run -> the number of a metric in the run's first row. All rows of a run have the same floor."""
        numbers: dict[str, Mapping[str, Any]] = {}
        for row in self.rows:
            if name in row.metrics:
                numbers.setdefault(row.run, row.metrics[name])
        return numbers

    def best(self) -> list[str]:
        """Say which row reaches the floor of a metric with the fewest evaluations, or which comes nearest to it."""
        sentences: dict[str, list[str]] = {}
        names = short_names(self.names())
        for name, short in names.items():
            rows = [row for row in self.rows if name in row.metrics and not row.failed]
            good = [row for row in rows if at_floor(row.metrics[name])]
            if good:
                # A row that is just as near counts too, even if its smaller deviation puts it off the floor.
                farthest = max(factor(row.metrics[name]) for row in good)
                good += [row for row in rows if 1 < factor(row.metrics[name]) <= farthest]
                row = min(good, key=lambda row: row.evaluations or 0)
                sentence = (
                    f"At the floor with the fewest evaluations, {row.evaluations:g}: {self._label(row)}"
                )
            else:
                row = min(rows, key=lambda row: factor(row.metrics[name]))
                ratio = times(row.metrics[name]) or "but off it"
                sentence = f"Nearest to the floor, {ratio}, with {row.evaluations:g}: {self._label(row)}"
            sentences.setdefault(sentence, []).append(short)
        return [f"{sentence} ({listed(metrics)})." for sentence, metrics in sentences.items()]

    def nearest(self) -> str:
        """Say which row ends nearest to the exact endpoint; empty if that was not measured."""
        distances = [(row.exact.rms, row) for row in self.rows if row.exact is not None]
        if not distances:
            return ""
        rms, row = min(distances, key=lambda pair: pair[0])
        return f"Nearest to the exact endpoint: {self._label(row)}, {rms:.2g} with {row.evaluations:g} evaluations."

    def write(self) -> None:
        """Write compare.csv and compare.json with the rows so far, each whole or not at all."""
        records = self.records()
        text = io.StringIO()
        writer = csv.DictWriter(
            text, list(records[0]) if records else [*COLUMNS, *EXACT, "problem"], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(records)
        content = {"rows": records, **self.facts, "notes": self.notes}
        atomic.write_text(self.path / "compare.csv", text.getvalue())
        atomic.write_text(self.path / "compare.json", json.dumps(content, indent=1) + "\n")

    def draw(self) -> Path | None:
        """Write compare.png and return its path; None where no row can be drawn."""
        from difrun import draw

        panels = [self._metric_panel(name, short) for name, short in short_names(self.names()).items()]
        distances = [row for row in self.rows if row.exact is not None]
        if distances:
            panels.append(self._distance_panel(distances))
        return draw.save(draw.quality(panels), self.path / "compare.png") if panels else None

    def _metric_panel(self, name: str, title: str) -> Any:
        """One metric against the evaluations, with its floors or its exact value."""
        from difrun import draw

        rows = [row for row in self.rows if name in row.metrics]
        numbers = self.floors(name).values()
        mark = "exact" if all(has_exact(number) for number in numbers) else "floor"
        marks = sorted({(number[mark], number["floor_sd"]) for number in numbers})

        def value(row: ComparisonRow) -> tuple[float, float]:
            return row.metrics[name]["value"], row.metrics[name]["value_sd"]

        return draw.Panel(title, self._curves(rows, value), marks, rows[0].metrics[name].get("better"), mark)

    def _distance_panel(self, rows: list[ComparisonRow]) -> Any:
        """The distance to the exact endpoint against the evaluations."""
        from difrun import draw

        lowest = min(row.exact.rms for row in rows if row.exact is not None)
        worst = max(row.exact_reference_error or 0.0 for row in rows)
        # The error of a reference that is far better than all rows would leave most of the axis empty.
        errors = [(worst, 0.0)] if worst > lowest / 100 else []
        curves = self._curves(rows, lambda row: (row.exact.rms if row.exact else math.nan, 0.0))
        title = "distance to the exact endpoint"
        return draw.Panel(title, curves, errors, "lower", "error of the endpoint itself")

    def _curves(
        self, rows: list[ComparisonRow], number: Callable[[ComparisonRow], tuple[float, float]]
    ) -> dict[tuple[str, ...], list[tuple[float, float, float]]]:
        curves: dict[tuple[str, ...], list[tuple[float, float, float]]] = {}
        for row in rows:
            curves.setdefault(row.key, []).append((row.evaluations or 0.0, *number(row)))
        return curves

    def _label(self, row: ComparisonRow) -> str:
        several = len({other.run for other in self.rows}) > 1
        return f"{row.sampler} on {row.grid}" + (f" of {row.run}" if several else "")


def output_folder(out: Path | str | None, force: bool) -> Path:
    """Return the folder for the results.

    Args:
        out: The folder; None makes the next free ``runs/compare-<k>``.
        force: Remove the results of an earlier comparison.

    Raises:
        DifrunError: If it holds other results, or cannot be made.
    """
    try:
        if out is not None:
            path = Path(out)
            if path.exists() and not path.is_dir():
                raise DifrunError(f"--out {path} is a file; a comparison needs a folder.")
            earlier = [name for name in FILES if (path / name).exists()]
            if earlier and not force:
                raise DifrunError(
                    f"--out {path} already holds a comparison ({earlier[0]}). Choose another folder, or replace it: "
                    "--force."
                )
            path.mkdir(parents=True, exist_ok=True)
            for name in earlier:
                (path / name).unlink()
            return path
        number = 1
        while True:
            path = Path("runs") / f"compare-{number}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                number += 1
            else:
                return path
    except OSError as error:
        raise DifrunError(
            f"cannot make the folder {out or 'runs'}: {error.strerror}. Choose another place with --out."
        ) from error
