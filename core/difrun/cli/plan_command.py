"""A command whose flags depend on the components that it is given.

The flags of a command depend on its components, and these are named by flags and files. So the command line is parsed
twice. The first pass looks for names; it knows the flags of every installed component, because it could mistake the
value of an unknown flag for an argument. The second pass has exactly the flags of the components that are used.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from difrun.cli.flags import (
    NAMED,
    KindFlag,
    OptionFlag,
    every_flag,
    named_by_flags,
    option_flags,
    stray_variables,
)
from difrun.cli.plan_builder import Offer, PlanBuilder
from difrun.cli.tell import tell
from difrun.cli.unknown_flag import explain
from difrun.config.selection import Choice
from difrun.config.settings import Settings, from_dict, read_file
from difrun.errors import DifrunError, no_run
from difrun.plugin.registry import Registry, get_registry

TITLES = {"train": "Training", "sample": "Sampling", "": "Run"}

FLAG_KINDS, BUILDER = "difrun.kinds", "difrun.builder"
"""Where the context of a command holds the kinds that its flags may name, and the `PlanBuilder`."""


class PlanCommand(click.Command):
    """A command that works on a `Plan`; its callback gets it as `request`.

    The plan starts from ``--config``, or from the run.toml of the folder that the argument RUN names.

    Attributes:
        kinds: The kinds of components that its flags name.
        sections: The other parts whose options it offers, each with the names of the options, None for all.
        new_seed: Take the seed after the run's if the user gives none.
    """

    def __init__(
        self,
        *args: Any,
        kinds: Iterable[str] = (),
        sections: Offer | None = None,
        new_seed: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.kinds = tuple(kinds)
        self.sections = dict(sections or {})
        self.new_seed = new_seed
        self.params = [*(KindFlag(kind) for kind in self.kinds), *self.params]

    def kinds_beside(self, ctx: click.Context, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The kinds that flags may name beside the arguments on the command line."""
        return self.kinds

    def base(self, registry: Registry, values: Mapping[str, Any]) -> Settings:
        """The settings that flags and the environment override: ``--config``, or the run.toml of RUN."""
        if values.get("config"):
            path, folder = Path(values["config"]), None
        elif values.get("folder"):
            folder = Path(values["folder"])
            path = folder / "run.toml"
            if not os.path.lexists(path):
                raise no_run(folder, path)
        else:
            return Settings()
        return from_dict(read_file(path, within=folder), registry, source=str(path))

    def chosen_note(self, ctx: click.Context, builder: PlanBuilder, kind: str) -> str:
        """What the help says about the components of a kind that are used."""
        return builder.note(kind)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the components that are named, then parse the arguments once with the flags of these."""
        registry = get_registry()
        # Help and completion go on as far as they can; help says what is wrong.
        tolerant = ctx.resilient_parsing or "--help" in args
        builder, trouble = None, ""
        try:
            builder = self._builder(ctx, registry, self._look_through(ctx, args), tolerant)
            trouble = builder.trouble
        except DifrunError as error:
            if not tolerant:
                raise
            trouble = str(error)
        if trouble and not ctx.resilient_parsing:
            tell(f"Error: {trouble}")
        ctx.meta[BUILDER] = builder
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            text = ""
            if builder is not None:
                text = explain(error.option_name, builder.flags, every_flag(registry, _kinds(ctx, self)))
            if not text:
                raise
            raise click.UsageError(text, ctx) from None
        values = _take_flags(ctx, self.get_params(ctx))
        if builder is not None and not ctx.resilient_parsing:
            for text in stray_variables(registry, os.environ):
                tell(f"Warning: {text}")
            ctx.params["request"] = builder.request(values)
        return rest

    def _look_through(self, ctx: click.Context, args: list[str]) -> dict[str, Any]:
        """The values on the command line, as text: parameter -> value. Flags of no installed component are ignored."""
        flags = [flag for flag, _ in every_flag(get_registry(), self.kinds).values()]
        # The parts of a run that are not components are the same in every run.
        flags += [flag for _, part in option_flags(Choice({}), self.sections, {}) for flag in part]
        reader = click.Command(self.name, params=[*self.params, *flags])
        reading = click.Context(
            reader,
            parent=ctx.parent,
            info_name=ctx.info_name,
            ignore_unknown_options=True,
            resilient_parsing=ctx.resilient_parsing,
        )
        try:
            values, _, _ = reader.make_parser(reading).parse_args(args=list(args))
        except click.UsageError as error:
            error.ctx = ctx
            raise
        # A parameter that is not given is None or a sentinel of Click's, depending on its version.
        given = {name: value for name, value in values.items() if isinstance(value, str | list | tuple)}
        # An unknown flag looks like an argument here. The second pass refuses it.
        arguments = [param.name for param in self.params if isinstance(param, click.Argument)]
        return {
            name: value for name, value in given.items() if name not in arguments or not _holds_a_flag(value)
        }

    def _builder(
        self, ctx: click.Context, registry: Registry, values: Mapping[str, Any], tolerant: bool
    ) -> PlanBuilder:
        kinds = ctx.meta[FLAG_KINDS] = self.kinds_beside(ctx, values)
        by_flags = named_by_flags(values, kinds)
        ctx.meta[NAMED] = by_flags.named
        works_on_a_run = any(param.name == "folder" for param in self.params)
        return PlanBuilder(
            registry,
            kinds,
            {**dict.fromkeys(kinds), **self.sections},
            self.base(registry, values),
            by_flags,
            new_seed=self.new_seed,
            run_is_unknown=works_on_a_run and not values.get("folder"),
            tolerant=tolerant,
        )

    def make_parser(self, ctx: click.Context) -> Any:
        """Click's parser, made to refuse a flag that is given twice: Click would use the last value."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_and_refuse(args: list[str]) -> Any:
            values, rest, order = parse(args=args)
            if not ctx.resilient_parsing:
                _refuse_repeated(ctx, order)
            return values, rest, order

        parser.parse_args = parse_and_refuse  # type: ignore[method-assign]
        return parser

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters and the flags of the chosen components."""
        kinds, builder = _kinds(ctx, self), ctx.meta.get(BUILDER)
        params = [
            param
            for param in super().get_params(ctx)
            if not isinstance(param, KindFlag) or param.kind in kinds
        ]
        return params + [flag for _, flags in (builder.flags if builder else ()) for flag in flags]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section for the names of components, one for the options of each part, one for the rest."""
        builder: PlanBuilder | None = ctx.meta[BUILDER]
        rows: dict[str, list[tuple[str, str]]] = {"Components": []}
        others: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if isinstance(param, KindFlag):
                name, text = record or ("", "")
                note = self.chosen_note(ctx, builder, param.kind) if builder else ""
                rows["Components"].append((name, text + note))
            elif record and isinstance(param, click.Option) and not isinstance(param, OptionFlag):
                others.append(record)
        for group, flags in builder.flags if builder else ():
            title = TITLES.get(group.section.name, group.owner)
            if group.entry is not None:
                title = f"{group.owner[0].upper()}{group.owner[1:]} ({group.entry.plugin.dist})"
            rows.setdefault(title, []).extend(filter(None, (flag.get_help_record(ctx) for flag in flags)))
        rows.setdefault("Run", []).extend(others)
        for title, records in rows.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records, col_max=36)


def _kinds(ctx: click.Context, command: PlanCommand) -> tuple[str, ...]:
    return ctx.meta.get(FLAG_KINDS, command.kinds)


def _holds_a_flag(value: str | Iterable[str]) -> bool:
    return any(text.startswith("--") for text in ([value] if isinstance(value, str) else value))


def _take_flags(ctx: click.Context, params: Iterable[click.Parameter]) -> dict[OptionFlag, Any]:
    """Take the values of flags out of the callback's parameters, and return them: the callback gets the request."""
    values = {}
    for param in params:
        if isinstance(param, KindFlag | OptionFlag):
            value = ctx.params.pop(param.name or "", None)
            if isinstance(param, OptionFlag) and value is not None:
                values[param] = value
    return values


def _refuse_repeated(ctx: click.Context, order: Sequence[click.Parameter]) -> None:
    """Raise UsageError for a flag that is given twice, because the user has to say which value is meant."""
    for param in dict.fromkeys(order):
        takes_one = isinstance(param, click.Option) and not param.multiple
        switch = getattr(param, "is_flag", False) and not isinstance(param, OptionFlag)
        if takes_one and not switch and order.count(param) > 1:
            flags = " / ".join(param.opts + param.secondary_opts)
            raise click.UsageError(f"{flags} is given twice; give it once.", ctx)
