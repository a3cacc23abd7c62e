"""A command whose flags depend on the components that it is given.

The components are named by flags and files. So the parser knows the flags of every installed component, and collects
what is written after each (`difrun.cli.written_flags`). From the names among them follow the components and their
options, and Click converts the values of these alone.
"""

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from difrun.api import KINDS
from difrun.cli.flags import (
    NAMED,
    KindFlag,
    OptionFlag,
    installed_owners,
    named_by_flags,
    stray_variables,
)
from difrun.cli.plan_builder import Offer, PlanBuilder
from difrun.cli.refusals import refuse_repeated, refuse_unwritable
from difrun.cli.tell import tell
from difrun.cli.unknown_flag import advice_for_a_run, explain, flag_for
from difrun.cli.written_flags import WrittenFlag, written_flags
from difrun.config.settings import Settings, from_dict, read_file
from difrun.errors import DifrunError
from difrun.plugin.registry import Registry, get_registry
from difrun.storage.run_folders import CONFIG, is_run, no_run
from difrun.text import clipped, quoted

TITLES = {"train": "Training", "sample": "Sampling", "": "Run"}

FLAG_KINDS, BUILDER = "difrun.kinds", "difrun.builder"
"""Where the context of a command holds the kinds that its flags may name, and the `PlanBuilder`."""

WRITTEN, TOLERANT = "difrun.written", "difrun.tolerant"
"""Where it holds the flags that may be written, and whether to go on after an error."""

MOST_WORDS = 4000
"""The longest message on a flag, in characters: a list of all samplers fits."""


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
        self.allow_extra_args = True  # so that the error for them can say which flag was left out

    def kinds_beside(self, ctx: click.Context, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The kinds that flags may name beside the arguments on the command line."""
        return self.kinds

    def base(self, registry: Registry, values: Mapping[str, Any]) -> Settings:
        """The settings that flags and the environment override: ``--config``, or the run.toml of RUN."""
        if values.get("config"):
            path, folder = Path(values["config"]), None
        elif values.get("folder"):
            folder = Path(values["folder"])
            path = folder / CONFIG
            if not os.path.lexists(path):
                raise no_run(folder, self._flag_for(str(folder)))
        else:
            return Settings()
        return from_dict(read_file(path, within=folder), registry, source=str(path))

    def chosen_note(self, ctx: click.Context, builder: PlanBuilder, kind: str) -> str:
        """What the help says about the components of a kind that are used."""
        return builder.note(kind)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, and build what they ask for from the components that they name."""
        # Help and completion go on as far as they can; help says what is wrong.
        ctx.meta.pop(BUILDER, None)
        ctx.meta[TOLERANT] = ctx.resilient_parsing or "--help" in args
        refuse_unwritable(args, ctx)
        own = [text for param in super().get_params(ctx) for text in param.opts + param.secondary_opts]
        ctx.meta[WRITTEN] = written_flags(get_registry(), self.kinds, self.sections, own, args)
        written = list(args)  # Click empties the list
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise self._with_advice(error, written) from None
        except click.UsageError as error:
            said = error.format_message()  # Click repeats what was written, all of it
            if len(said) <= MOST_WORDS:
                raise
            raise click.UsageError(clipped(said, MOST_WORDS), error.ctx) from None
        if rest and not ctx.resilient_parsing:
            raise self._unexpected(ctx, rest[0])
        values = _take_flags(ctx, self.get_params(ctx))
        builder = ctx.meta[BUILDER]
        if builder is not None and not ctx.resilient_parsing:
            for text in stray_variables(get_registry(), os.environ):
                tell(f"Warning: {text}")
            ctx.params["request"] = builder.request(values)
        return rest

    def make_parser(self, ctx: click.Context) -> Any:
        """Click's parser, which finds the components of the run before Click converts any value."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_and_choose(args: list[str]) -> Any:
            values, rest, order = parse(args=args)
            self._choose(ctx, values)
            order = self._hand_over(ctx, values, order)
            if not ctx.resilient_parsing:
                refuse_repeated(ctx, order)
            return values, rest, order

        parser.parse_args = parse_and_choose  # type: ignore[method-assign]
        return parser

    def _choose(self, ctx: click.Context, values: Mapping[str, Any]) -> None:
        """Find the components that are named, and with them the flags of this run."""
        builder, trouble = None, ""
        # A parameter that is not given is None or a sentinel of Click's, depending on its version.
        given = {name: value for name, value in values.items() if isinstance(value, str | list | tuple)}
        try:
            builder = self._builder(ctx, get_registry(), given, ctx.meta[TOLERANT])
            trouble = builder.trouble
        except DifrunError as error:
            if not ctx.meta[TOLERANT]:
                raise
            trouble = str(error)
        if trouble and not ctx.resilient_parsing:
            tell(f"Error: {trouble}")
        ctx.meta[BUILDER] = builder

    def _hand_over(
        self, ctx: click.Context, values: dict[str, Any], order: Sequence[click.Parameter]
    ) -> list[click.Parameter]:
        """Hand what is written to the options of the chosen components, and return their order on the command line.

        Raises:
            click.UsageError: If no chosen component has a flag that is written, or the value does not go with it.
        """
        builder = ctx.meta[BUILDER]
        options = {
            spelling: option
            for _, part in (builder.flags if builder else ())
            for option in part
            for spelling in option.opts + option.secondary_opts
        }
        handed_over: list[click.Parameter] = []
        for param in order:
            if not isinstance(param, WrittenFlag):
                handed_over.append(param)
            elif ctx.resilient_parsing:
                continue  # completion needs names, not values
            elif param.spelling in options:
                option = options[param.spelling]
                values[option.name or ""] = param.value_for(option, values[param.spelling], ctx)
                handed_over.append(option)
            elif builder is not None:
                raise self._unknown_flag(ctx, builder, param.spelling)
        return handed_over

    def _unknown_flag(self, ctx: click.Context, builder: PlanBuilder, flag: str) -> click.UsageError:
        """The error for a flag that no component of the run has."""
        text = explain(flag, builder.flags, installed_owners(get_registry(), _kinds(ctx, self)))
        if text:
            return click.UsageError(text, ctx)
        known = [text for param in self.get_params(ctx) for text in param.opts + param.secondary_opts]
        return click.NoSuchOption(flag, possibilities=difflib.get_close_matches(flag, known), ctx=ctx)

    def _unexpected(self, ctx: click.Context, word: str) -> click.UsageError:
        """The error for a word that follows no flag, and is no argument of the command."""
        advice = self._flag_for(word)
        if "config" in ctx.params and is_run(word):
            run = quoted(word)
            advice = f"To go on with this run: difrun resume {run}. To begin with its weights: --from {run}"
        return click.UsageError(f"Got unexpected extra argument ({clipped(word)}). {advice}".rstrip(), ctx)

    def _flag_for(self, word: str) -> str:
        """Say which flag of this command takes a word; empty if none does."""
        own = {text for param in self.params for text in param.opts}
        return flag_for(word, [kind for kind in KINDS if f"--{kind}" in own], get_registry())

    def _with_advice(self, error: click.NoSuchOption, args: Sequence[str]) -> click.UsageError:
        """The error for an unknown flag of a command on a run, with what to do instead where another command has it."""
        if not any(param.name in ("folder", "runs") for param in self.params):
            return error
        folder = next((word for word in args if is_run(word)), "RUN")
        advice = advice_for_a_run(error.option_name, self.name or "", folder)
        if not advice:
            return error
        return click.UsageError(
            f"'difrun {self.name}' has no option '{error.option_name}'. {advice}", error.ctx
        )

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

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters and the flags of the chosen components; before these, of all."""
        if BUILDER not in ctx.meta:
            return [*super().get_params(ctx), *ctx.meta.get(WRITTEN, ())]
        kinds, builder = _kinds(ctx, self), ctx.meta[BUILDER]
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
            owner = f"{group.owner[0].upper()}{group.owner[1:]}"
            title = TITLES.get(group.section.name, owner)
            if group.entry is not None:
                title = f"{owner} ({group.entry.plugin.dist})"
            rows.setdefault(title, []).extend(filter(None, (flag.get_help_record(ctx) for flag in flags)))
        rows.setdefault("Run", []).extend(others)
        for title, records in rows.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records, col_max=36)


def _kinds(ctx: click.Context, command: PlanCommand) -> tuple[str, ...]:
    return ctx.meta.get(FLAG_KINDS, command.kinds)


def _take_flags(ctx: click.Context, params: Iterable[click.Parameter]) -> dict[OptionFlag, Any]:
    """Take the values of flags out of the callback's parameters, and return them: the callback gets the request."""
    values = {}
    for param in params:
        if isinstance(param, KindFlag | OptionFlag):
            value = ctx.params.pop(param.name or "", None)
            if isinstance(param, OptionFlag) and value is not None:
                values[param] = value
    return values
