"""Verdicts on the samplers of diffusers, k-diffusion and azula: the tables of docs/verdicts.md.

    python benchmarks/verdicts.py [--package diffusers] [--out docs/verdicts.md] [--cache FILE]

Needs benchmarks/requirements-peers.txt, the plugins ddpm, edm, flow and diffusers, and about half an hour.
"""

import argparse
import contextlib
import json
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
from verdict_measures import REFERENCE, failures, own_grid
from verdict_methods import SOURCES, Method
from verdict_orders import STEPS, WIDE, Order, order_of, sets_its_own_grid, two_views

from difrun.errors import DifrunError

PAGE = Path(__file__).parents[1] / "docs" / "verdicts.md"
MARK = "<!-- measured: {} -->"


def measured(method: Method) -> dict[str, Any]:
    """All that is measured of one method, as JSON can hold it."""
    row: dict[str, Any] = {
        key: getattr(method, key) for key in ("package", "name", "settings", "claim", "stochastic")
    }
    if not sets_its_own_grid(method):
        try:
            row["order"] = attrs.asdict(order_of(method, REFERENCE))
        except ImportError:  # of ours, and no verdict
            raise
        except Exception as error:
            row["order_failure"] = _line(error)
    if method.sampler is not None:
        row["own"] = attrs.asdict(own_grid(method))
        row["failures"] = failures(method)
        if "use_karras_sigmas=true" in method.settings and not method.stochastic:
            with contextlib.suppress(DifrunError):  # no such grid: `failures` says why
                row["views"] = [attrs.asdict(view) for view in two_views(method)]
    return row


def _line(error: Exception) -> str:
    return str(error).splitlines()[0].replace("|", "/")[:200]


def rows_of(package: str, cache: Path) -> list[dict[str, Any]]:
    """The rows of a package; those that the cache file holds are not measured again."""
    known = json.loads(cache.read_text("utf-8")) if cache.is_file() else {}
    rows = []
    for method in SOURCES[package]():
        key = f"{package} {version(package)} {method.name} {method.settings}"
        if key not in known:
            known[key] = measured(method)
            cache.write_text(json.dumps(known), encoding="utf-8")
            print(
                key,
                known[key].get("order") or known[key].get("order_failure", ""),
                file=sys.stderr,
                flush=True,
            )
        rows.append(known[key])
    return rows


def _claim(row: dict[str, Any]) -> str:
    return "–" if row["claim"] is None else str(row["claim"])


def _order(row: dict[str, Any]) -> tuple[str, str]:
    if "order" not in row:
        return ("–", "–") if "order_failure" not in row else ("fails", "–")
    order = Order(**row["order"])
    first, last = order.steps
    if order.measured:
        usual = (WIDE if (row["claim"] or 1) > 2 else STEPS)[0]
        finer = f" (from {first} to {last} steps)" if order.errors and first > usual else ""
        return f"{order.value:.2f} ± {order.bar:.2f}{finer}", f"{order.error:.1e}"
    shown = ", ".join(f"{error:.1e}" for error in order.errors)
    return f"not measurable: up to {last} steps the errors fall as no power ({shown})", f"{order.error:.1e}"


def _failures(row: dict[str, Any]) -> str:
    by_reason: dict[str, list[int]] = {}
    for what, steps in (row.get("failures") or {}).items():
        by_reason.setdefault(_short(what), []).extend(steps)
    found = [f"{', '.join(map(str, sorted(steps)))}: {reason}" for reason, steps in by_reason.items()]
    if "order_failure" in row:
        found.append(f"on given levels: {_short(row['order_failure'])}")
    return "; ".join(found)


def _short(text: str) -> str:
    """What the package said, without the adapter's introduction."""
    if "gives no decreasing grid" in text:
        return "a level repeats"
    return text.partition(" steps: ")[2] or text


def main_table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The lines of the table of a package."""
    own = any("own" in row for row in rows)
    head = ["sampler", "settings", "noise", "claims", "measured order", "error at 40 steps"]
    if own:
        head += [
            "own grid, 20 steps: before the last step",
            "at the end",
            "evaluations",
            "last levels",
            "fails at steps",
        ]
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        cells = [
            f"`{row['name']}`",
            row["settings"].replace(",", ", ") or "defaults",
            "yes" if row["stochastic"] else "",
        ]
        cells += [_claim(row), *_order(row)]
        if own:
            cells += [*_own(row["own"]), _failures(row)]
        yield "| " + " | ".join(cells) + " |"


def _own(own: dict[str, Any]) -> list[str]:
    if own["error"] is None:
        return ["–"] * 4
    ends = ", ".join(f"{r:.3g}" for r in own["ends"])
    return [f"{own['before']:.1e}", f"{own['error']:.1e}", str(own["evaluations"]), ends]


def views_table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The lines of the table of the two views of the level."""
    yield "| sampler | settings | order, asked at σ | error at 40 | order, asked at the timestep | error at 40 |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        if "views" in row:
            exact, told = row["views"]
            numbers = [
                f"{exact['value']:.2f}",
                f"{exact['error']:.1e}",
                f"{told['value']:.2f}",
                f"{told['error']:.1e}",
            ]
            yield f"| `{row['name']}` | {row['settings'].replace(',', ', ')} | " + " | ".join(numbers) + " |"


def replaced(page: str, name: str, lines: Iterator[str]) -> str:
    """The page with the lines between the marks of a table."""
    start, end = MARK.format(name), MARK.format(f"end of {name}")
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}\n" + "\n".join(lines) + f"\n{end}{after}"


def main() -> None:
    """Measure, and write the tables into the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--package", choices=list(SOURCES), help="one package alone")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page whose tables are replaced")
    parser.add_argument(
        "--cache", type=Path, default=Path("verdicts.json"), help="rows that are already measured"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for package in [options.package] if options.package else list(SOURCES):
        rows = rows_of(package, options.cache)
        page = options.out.read_text("utf-8")
        page = replaced(page, package, main_table(rows))
        if package == "diffusers":
            page = replaced(page, "two views", views_table(rows))
        options.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
