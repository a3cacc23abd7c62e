"""`difrun compare`: samplers, grids, numbers of steps and runs beside each other."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from difrun.cli.commands.tune import StepCounts
from difrun.cli.flags import NAMED, named_by_flags
from difrun.cli.output import table
from difrun.cli.plan_builder import CommandRequest, PlanBuilder
from difrun.cli.plan_command import PlanCommand
from difrun.cli.run_folder import QUIET, WHERE, work
from difrun.config.selection import find
from difrun.config.settings import Settings
from difrun.errors import ConfigError, DifrunError
from difrun.options.fields import GivenValue
from difrun.plugin.registry import Registry, flattened, get_registry
from difrun.report.verdict import short_names

if TYPE_CHECKING:
    from difrun.runs.compare.results import Comparison, ComparisonRow

OF_A_MODEL = ("process", "dataset", "model")


class Names(click.ParamType):
    """Names of components of one kind, separated by commas, or ``all``."""

    name = "names"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
        if "" in names:
            self.fail(f"expected names separated by commas, such as adams,heun; got {value!r}", param, ctx)
        for name in names:
            if name != "all":
                try:
                    get_registry().get(self.kind, name)
                except ConfigError as error:
                    self.fail(str(error), param, ctx)
        return names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        return [
            CompletionItem(before + comma + name)
            for name in [*get_registry().names(self.kind), *([] if comma else ["all"])]
            if name.startswith(last) and name not in taken
        ]


class CompareCommand(PlanCommand):
    """`compare` with the flags for its runs; without a run, with those of a model that needs no training."""

    def kinds_beside(self, ctx: click.Context, values: Mapping[str, Any]) -> tuple[str, ...]:
        if not values.get("runs"):
            return self.kinds
        for kind in OF_A_MODEL:
            if f"named_{kind}" in values:
                text = f"--{kind} is for a comparison without a run; {values['runs'][0]} has its own."
                raise click.UsageError(text, ctx)
        return tuple(kind for kind in self.kinds if kind not in OF_A_MODEL)

    def base(self, registry: Registry, values: Mapping[str, Any]) -> Settings:
        """The run.toml of the first run; without one model `exact`, which needs no training, if it fits."""
        if values.get("runs"):
            return super().base(registry, {"folder": Path(values["runs"][0])})
        named = named_by_flags(values, OF_A_MODEL).named
        if "exact" not in registry.compatible("model", find(registry, named)):
            return Settings()
        return Settings({"model": GivenValue("exact", "the default of 'difrun compare'", "file")})

    def chosen_note(self, ctx: click.Context, builder: PlanBuilder, kind: str) -> str:
        picked = builder.choice.entries.get(kind)
        if kind == "metric" and kind not in ctx.meta.get(NAMED, {}) and picked:
            return (
                f"  [default: the first of {', '.join(entry.label for entry in flattened({kind: picked}))}]"
            )
        return super().chosen_note(ctx, builder, kind)


def _compare(
    request: CommandRequest,
    runs: tuple[str, ...],
    sampler: tuple[str, ...] | None,
    steps: tuple[int, ...],
    grid: tuple[str, ...] | None,
    exact: bool,
    out: str | None,
    quiet: bool,
    force: bool,
) -> None:
    plan = request.plan
    # A metric whose options are given is asked for as much as one that is named.
    given = {section for section, _ in request.given}
    metrics = [
        metric for metric in plan.metrics if "metric" in request.named or f"metric.{metric.name}" in given
    ]
    guided = "guidance" in request.named or any(section.startswith("guidance.") for section in given)
    with work(quiet) as listener:
        from difrun.runs.compare.compare import compare as compared

        get_registry().report = listener.note
        found = compared(
            *(runs or (plan,)),
            samplers=sampler,
            steps=steps,
            grids=grid,
            metrics=metrics or None,
            guidance=plan.guidance if runs and guided else None,
            label=request.only_given("sample", "label", plan.sample.label),
            n=request.only_given("sample", "n", plan.sample.n),
            seed=request.only_given("", "seed", plan.seed),
            exact=exact,
            out=out,
            force=force,
            listener=listener,
            device=request.only_given("", "device", plan.device),
            threads=request.only_given("", "threads", plan.threads),
        )
    click.echo(comparison_text(found))
    if all(row.failed for row in found.rows):
        raise DifrunError(f"No sampler gave samples. The reasons are in {found.path / 'compare.csv'}.")


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


compare = CompareCommand(
    "compare",
    callback=_compare,
    params=[
        click.Argument(["runs"], metavar="[RUN]...", nargs=-1, type=click.Path(file_okay=False)),
        click.Option(
            ["--sampler"],
            type=Names("sampler"),
            metavar="NAME[,NAME...]",
            help="Samplers to compare, or all.  [default: the run's, adams, heun]",
        ),
        click.Option(
            ["--steps"],
            type=StepCounts(),
            default="5,10,20,50",
            show_default=True,
            metavar="N[,N...]",
            help="Numbers of steps.",
        ),
        click.Option(
            ["--grid"],
            type=Names("grid"),
            metavar="NAME[,NAME...]",
            help="Time grids, or all, each with every sampler.  [default: the run's, or what a sampler prefers]",
        ),
        click.Option(
            ["--exact"],
            is_flag=True,
            help="Measure how far deterministic samplers end from the exact endpoint of the probability flow.",
        ),
        click.Option(
            ["--out"],
            metavar="FOLDER",
            type=click.Path(),
            help="Where compare.csv, compare.json and compare.png go.  [default: runs/compare-K]",
        ),
        QUIET,
        click.Option(["--force"], is_flag=True, help="Overwrite the comparison in --out."),
    ],
    kinds=(*OF_A_MODEL, "guidance", "metric"),
    sections={"sample": ("n", "label"), "": ("seed", *WHERE)},
    help="Compare samplers, grids, numbers of steps and runs: quality, network evaluations, time.\n\n"
    "Every row starts from the same noise and is measured against the same real data. Of the metrics of the first "
    "run its first is taken unless --metric names others; a run's own sampler and grid have the run's options, "
    "all others their defaults ('difrun sample' and 'difrun evaluate --samples' take any). Without a RUN, samples "
    "are drawn from a model that needs no training: difrun compare --process ou --dataset gmm --model exact.",
    short_help="Compare samplers, grids, step counts, runs.",
)
