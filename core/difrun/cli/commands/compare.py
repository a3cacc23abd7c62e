"""`difrun compare`: samplers, grids, numbers of steps and runs beside each other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from difrun.cli.commands.tune import StepCounts
from difrun.cli.comparison_table import comparison_text
from difrun.cli.flags import NAMED, named_by_flags
from difrun.cli.plan_builder import CommandRequest, PlanBuilder
from difrun.cli.plan_command import PlanCommand
from difrun.cli.run_folder import QUIET, WHERE, work
from difrun.cli.run_path import RunPath
from difrun.config.selection import find
from difrun.config.settings import Settings
from difrun.errors import ConfigError, DifrunError
from difrun.options.attrs_fields import GivenValue
from difrun.plugin.compatibility import flattened
from difrun.plugin.registry import Registry, get_registry

OF_A_MODEL = ("process", "dataset", "model")


class Names(click.ParamType):
    """Names of components of one kind, separated by commas, or ``all``."""

    name = "names"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Read names of components separated by commas, or `all`."""
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
        """Complete the last name after a comma."""
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        return [
            CompletionItem(before + comma + name)
            for name in [*get_registry().names(self.kind), *([] if comma else ["all"])]
            if name.startswith(last) and name not in taken
        ]


class CompareCommand(PlanCommand):
    """`compare`, with flags that depend on whether it gets runs or a model that needs no training."""

    def kinds_beside(self, ctx: click.Context, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Leave out the kinds of a model where runs bring their own."""
        if not values.get("runs"):
            return self.kinds
        for kind in OF_A_MODEL:
            if f"named_{kind}" in values:
                text = f"--{kind} is for a comparison without a run; {values['runs'][0]} has its own."
                raise click.UsageError(text, ctx)
        return tuple(kind for kind in self.kinds if kind not in OF_A_MODEL)

    def base(self, registry: Registry, values: Mapping[str, Any]) -> Settings:
        """The run.toml of the first run; without a run, the model `exact`, which needs no training, if it fits."""
        if values.get("runs"):
            return super().base(registry, {"folder": Path(values["runs"][0])})
        chosen = find(registry, named_by_flags(values, OF_A_MODEL).named)
        if "exact" not in registry.compatible("model", chosen) or _prefers_another(registry, chosen):
            return Settings()
        return Settings({"model": GivenValue("exact", "the default of 'difrun compare'", "file")})

    def chosen_note(self, ctx: click.Context, builder: PlanBuilder, kind: str) -> str:
        """Say in the help which metric is the default."""
        picked = builder.choice.entries.get(kind)
        if kind == "metric" and kind not in ctx.meta.get(NAMED, {}) and picked:
            return (
                f"  [default: the first of {', '.join(entry.label for entry in flattened({kind: picked}))}]"
            )
        return super().chosen_note(ctx, builder, kind)


def _prefers_another(registry: Registry, chosen: Mapping[str, Any]) -> bool:
    """Whether a process or a dataset brings a model of its own that needs no training."""
    preferred = {entry.component.prefers.get("model") for entry in flattened(chosen)}
    return any(
        "exact" in entry.component.provides for entry in registry.entries("model") if entry.name in preferred
    )


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
    # Giving an option of a metric asks for that metric, as naming it does.
    given = {section for section, _ in request.given}
    metrics = [
        metric for metric in plan.metrics if "metric" in request.named or f"metric.{metric.name}" in given
    ]
    guided = request.sets_options_of("guidance")
    with work(quiet) as listener:
        from difrun.runs.compare.compare import compare as compared

        get_registry().report = listener.note
        comparison = compared(
            *(runs or (plan,)),
            samplers=sampler,
            steps=steps,
            grids=grid,
            metrics=metrics or None,
            guidance=plan.guidance if runs and guided else None,
            label=request.only_given("sample", "label", plan.sample.label),
            condition=request.only_given("sample", "condition", plan.sample.condition),
            n=request.only_given("sample", "n", plan.sample.n),
            seed=request.only_given("", "seed", plan.seed),
            exact=exact,
            out=out,
            force=force,
            listener=listener,
            device=request.only_given("", "device", plan.device),
            threads=request.only_given("", "threads", plan.threads),
            loggers=plan.loggers,
        )
    click.echo(comparison_text(comparison))
    if all(row.failed for row in comparison.rows):
        raise DifrunError(f"No sampler gave samples. The reasons are in {comparison.path / 'compare.csv'}.")


compare = CompareCommand(
    "compare",
    callback=_compare,
    params=[
        click.Argument(["runs"], metavar="[RUN]...", nargs=-1, type=RunPath()),
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
    sections={"sample": ("n", "label", "condition"), "": ("seed", *WHERE)},
    help="Compare samplers, grids, numbers of steps and runs: quality, network evaluations, time.\n\n"
    "Every row starts from the same noise and is measured against the same real data, with the first metric of the "
    "first run unless --metric names others. A run's own sampler and grid have the options of the run, all others "
    "their defaults; for other options use 'difrun sample' and 'difrun evaluate --samples'.\n\n"
    "Without a RUN, samples are drawn from a model that needs no training: "
    "difrun compare --process ou --dataset gmm --model exact.",
    short_help="Compare samplers, grids, step counts, runs.",
)
