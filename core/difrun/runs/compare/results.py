"""What a comparison of samplers found: rows, and the table, the files and the picture that are made of them."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from difrun.analysis.reference import Distance
from difrun.errors import DifrunError
from difrun.report import verdict
from difrun.storage import atomic
from difrun.text import listed

Numbers = Mapping[str, Mapping[str, Any]]

OWN = ("run", "sampler", "grid", "steps", "evaluations", "seconds")
EXACT = ("exact_rms", "exact_median", "exact_other_mode", "exact_reference_error", "exact_note")
FILES = ("compare.csv", "compare.json", "compare.png")


@attrs.frozen(kw_only=True)
class ComparisonRow:
    """One sampler on one grid of so many steps, for one run.

    evaluations: of the network per sample, counted; seconds: of sampling alone, all samples. Both None where sampling
    failed; `problem` then says how, and else which metrics could not be computed. metrics: as in metrics.json. exact:
    distance to the endpoint of the probability flow, where it was asked for; None with the reason in `exact_note`.
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
        """The line to which it belongs in the picture."""
        return self.run, self.sampler, self.grid

    @property
    def failed(self) -> bool:
        """Whether there are no samples."""
        return self.seconds is None

    def record(self) -> dict[str, Any]:
        """Everything in one flat dict, as a line of compare.csv and an object of compare.json hold it.

        ``NAME``, ``NAME_sd``, ``NAME_floor``, ``NAME_floor_sd`` for every number of every metric, ``NAME_exact``
        where its exact value is known.
        """
        told = {name: getattr(self, name) for name in OWN}
        for name, number in self.metrics.items():
            for key, suffix in (
                ("value", ""),
                ("value_sd", "_sd"),
                ("floor", "_floor"),
                ("floor_sd", "_floor_sd"),
            ):
                told[name + suffix] = number.get(key)
            if verdict.has_exact(number):
                told[f"{name}_exact"] = number["exact"]
        if self.exact is not None:
            told |= {f"exact_{name}": value for name, value in attrs.asdict(self.exact).items()}
            told["exact_reference_error"] = self.exact_reference_error
        if self.exact_note:
            told["exact_note"] = self.exact_note
        return told | {"problem": self.problem}


@attrs.define(eq=False)
class Comparison:
    """Rows in the order in which they were computed, in a folder with `FILES`.

    facts: what all rows share, for compare.json: n, seed, the number of rows asked for. notes: what was left out, why.
    """

    path: Path
    facts: dict[str, Any] = attrs.field(factory=dict)
    notes: list[str] = attrs.field(factory=list)
    rows: list[ComparisonRow] = attrs.field(factory=list)

    def __repr__(self) -> str:
        return f"<Comparison {self.path}: {len(self.rows)} rows>"

    def names(self) -> list[str]:
        """The numbers of all metrics, in the order of the rows."""
        return list(dict.fromkeys(name for row in self.rows for name in row.metrics))

    def records(self) -> list[dict[str, Any]]:
        """The rows as flat dicts with the same keys, those of `EXACT` always; None where a row has nothing to say."""
        told = [row.record() for row in self.rows]
        keys = [
            key
            for key in dict.fromkeys(key for record in told for key in record)
            if key not in (*EXACT, "problem")
        ]
        return [{key: record.get(key) for key in [*keys, *EXACT, "problem"]} for record in told]

    def floors(self, name: str) -> dict[str, Mapping[str, Any]]:
        """Run -> the number of a metric that its floor is in; runs with the same floor share the first's place."""
        found: dict[str, Mapping[str, Any]] = {}
        for row in self.rows:
            if name in row.metrics:
                found.setdefault(row.run, row.metrics[name])
        return found

    def best(self) -> list[str]:
        """Sentences: which row comes to the floor of a metric with the fewest evaluations, or which comes nearest."""
        told: dict[str, list[str]] = {}
        names = verdict.short_names(self.names())
        for name, short in names.items():
            rows = [row for row in self.rows if name in row.metrics and not row.failed]
            good = [row for row in rows if verdict.at_floor(row.metrics[name])]
            if good:
                # One that is as near has come there too, though its own number is told more sharply.
                far = max(verdict.factor(row.metrics[name]) for row in good)
                good += [row for row in rows if 1 < verdict.factor(row.metrics[name]) <= far]
                row = min(good, key=lambda row: row.evaluations or 0)
                said = f"At the floor with the fewest evaluations, {row.evaluations:g}: {self._told(row)}"
            else:
                row = min(rows, key=lambda row: verdict.factor(row.metrics[name]))
                apart = verdict.times(row.metrics[name])
                said = f"Nearest to the floor, {apart or 'but off it'}, with {row.evaluations:g}: {self._told(row)}"
            told.setdefault(said, []).append(short)
        return [f"{said} ({listed(of)})." for said, of in told.items()]

    def nearest(self) -> str:
        """A sentence: which row ends nearest to the exact endpoint. Empty where that was not measured."""
        rows = [row for row in self.rows if row.exact is not None]
        if not rows:
            return ""
        row = min(rows, key=lambda row: row.exact.rms)  # type: ignore[union-attr]
        assert row.exact is not None
        return (
            f"Nearest to the exact endpoint: {self._told(row)}, {row.exact.rms:.2g} with {row.evaluations:g} "
            "evaluations."
        )

    def write(self) -> None:
        """Write compare.csv and compare.json with the rows so far, each whole or not at all."""
        records = self.records()
        text = io.StringIO()
        writer = csv.DictWriter(
            text, list(records[0]) if records else [*OWN, *EXACT, "problem"], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(records)
        content = {"rows": records, **self.facts, "notes": self.notes}
        atomic.write_text(self.path / "compare.csv", text.getvalue())
        atomic.write_text(self.path / "compare.json", json.dumps(content, indent=1) + "\n")

    def draw(self) -> Path | None:
        """Write compare.png and return its path; None where no row can be drawn."""
        from difrun import draw

        panels = []
        for name, short in verdict.short_names(self.names()).items():
            of = [row for row in self.rows if name in row.metrics]
            number = of[0].metrics[name]
            numbers = self.floors(name).values()
            known = all(verdict.has_exact(one) for one in numbers)
            floors = {(one["exact" if known else "floor"], one["floor_sd"]) for one in numbers}
            panels.append(
                draw.Panel(
                    short,
                    self._curves(
                        of, lambda row, name=name: (row.metrics[name]["value"], row.metrics[name]["value_sd"])
                    ),
                    sorted(floors),
                    number.get("better"),
                    "exact" if known else "floor",
                )
            )
        of = [row for row in self.rows if row.exact is not None]
        if of:
            lowest = min(row.exact.rms for row in of)  # type: ignore[union-attr]
            worst = max(row.exact_reference_error or 0.0 for row in of)
            # A reference that is far better than all is not seen, and would leave the axis empty.
            errors = [(worst, 0.0)] if worst > lowest / 100 else []
            curves = self._curves(of, lambda row: (row.exact.rms, 0.0))
            name = "distance to the exact endpoint"
            panels.append(draw.Panel(name, curves, errors, "lower", "error of the endpoint itself"))
        if not panels:
            return None
        return draw.save(draw.quality(panels), self.path / "compare.png")

    def _curves(
        self, rows: list[ComparisonRow], number: Any
    ) -> dict[tuple[str, ...], list[tuple[float, float, float]]]:
        curves: dict[tuple[str, ...], list[tuple[float, float, float]]] = {}
        for row in rows:
            curves.setdefault(row.key, []).append((row.evaluations or 0.0, *number(row)))
        return curves

    def _told(self, row: ComparisonRow) -> str:
        several = len({other.run for other in self.rows}) > 1
        return f"{row.sampler} on {row.grid}" + (f" of {row.run}" if several else "")


def output_folder(out: Path | str | None, force: bool) -> Path:
    """The folder for the results. Raises DifrunError when it holds others, or cannot be made."""
    try:
        if out is not None:
            path = Path(out)
            if path.exists() and not path.is_dir():
                raise DifrunError(f"--out {path} is a file; a comparison needs a folder.")
            held = [name for name in FILES if (path / name).exists()]
            if held and not force:
                raise DifrunError(
                    f"--out {path} already holds a comparison ({held[0]}). Choose another folder, or replace it: "
                    "--force."
                )
            path.mkdir(parents=True, exist_ok=True)
            for name in held:
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
