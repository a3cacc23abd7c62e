"""A command whose flags depend on the components that it is given."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from difrun.cli.flags import (
    KindFlag,
    OptionFlag,
    every_flag,
    named_by_flags,
    option_flags,
    stray_variables,
    without_name,
)
from difrun.config.plan import OptionGroup, Plan, assemble
from difrun.config.selection import MANY, Choice, choose, find
from difrun.config.settings import Settings, from_dict, from_environ, merge, option_from_environ, read_file
from difrun.errors import ConfigError, DifrunError, no_run
from difrun.options.fields import GivenValue
from difrun.plugin.registry import Registered, Registry, get_registry
from difrun.text import did_you_mean, listed, plural

TITLES = {"train": "Training", "sample": "Sampling", "": "Run"}


@attrs.frozen
class CommandRequest:
    """What a command line asks for.

    plan: everything resolved.
    named: the kinds that a flag or the environment names.
    given: (section, option) of the options that a flag or the environment sets.
    """

    plan: Plan
    named: frozenset[str]
    given: frozenset[tuple[str, str]]

    def only_given(self, section: str, option: str, value: Any) -> Any:
        """`value` if a flag or the environment set that option, else None."""
        return value if (section, option) in self.given else None


class PlanCommand(click.Command):
    """A command that works on a `Plan`; its callback gets it as `request`.

    kinds: the components that its flags name.
    sections: the other parts whose options it offers, each with the names of the options, None for all.
    new_seed: where the user gives no seed, take the one after the run's.
    The plan starts from ``--config``, or from the run.toml of the folder that the argument RUN names.
    """

    def __init__(
        self,
        *args: Any,
        kinds: Iterable[str] = (),
        sections: Mapping[str, Iterable[str] | None] | None = None,
        new_seed: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.new_seed = new_seed
        self.kinds = tuple(kinds)
        self.offered = {**dict.fromkeys(self.kinds), **(sections or {})}
        self.params = [*(KindFlag(kind) for kind in self.kinds), *self.params]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        registry = get_registry()
        union = every_flag(registry, self.kinds)
        # Help and completion go on as far as they can; help says what is wrong.
        loosely = ctx.resilient_parsing or "--help" in args
        reading = None
        try:
            params = self._probe(ctx, args, [flag for flag, _ in union.values()])
            ctx.meta["difrun.named"] = named_by_flags(params, self.kinds).named
            reading = _Reading(self, registry, params, loosely)
            trouble = reading.trouble
        except DifrunError as error:
            if not loosely:
                raise
            trouble = str(error)
        if trouble and not ctx.resilient_parsing:
            click.echo(f"Error: {trouble}", err=True)
        ctx.meta["difrun.flags"] = reading.flags if reading else []
        ctx.meta["difrun.choice"] = reading.choice if reading else Choice({})
        ctx.meta["difrun.note"] = reading.note if reading else lambda kind: ""
        try:
            self._refuse_repeated(ctx, args)
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name not in union or reading is None:
                text = _of_whom(error.option_name, reading, union) if reading is not None else ""
                if not text:
                    raise
                raise click.UsageError(text, ctx) from None
            text = _ambiguous(error.option_name, reading)
            if text:
                raise click.UsageError(text, ctx) from None
            _, owner = union[error.option_name]
            kind = owner.split()[0]
            used = (
                ", ".join(part.owner for part, _ in reading.flags if part.owner.startswith(kind))
                or "no " + kind
            )
            text = f"{error.option_name} is an option of {owner}; this run uses {used}."
            raise click.UsageError(text, ctx) from None
        values = {param: ctx.params.pop(param.name or "") for param in self._option_flags(ctx)}
        for param in self.params:
            if isinstance(param, KindFlag):
                ctx.params.pop(param.name or "", None)
        if not ctx.resilient_parsing and reading is not None:
            for text in stray_variables(registry, os.environ):
                click.echo(f"Warning: {text}", err=True)
            ctx.params["request"] = reading.request(
                {flag: value for flag, value in values.items() if value is not None}
            )
        return rest

    def _refuse_repeated(self, ctx: click.Context, args: list[str]) -> None:
        """A flag that is given twice: which value is meant is for the user to say."""
        if ctx.resilient_parsing:
            return
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for param in dict.fromkeys(order):
            single = isinstance(param, click.Option) and not param.multiple
            switch = getattr(param, "is_flag", False) and not isinstance(param, OptionFlag)
            if single and not switch and order.count(param) > 1:
                raise click.UsageError(
                    f"{' / '.join(param.opts + param.secondary_opts)} is given twice; give it once.", ctx
                )

    def _probe(self, ctx: click.Context, args: list[str], flags: list[OptionFlag]) -> dict[str, Any]:
        """The first reading, for names and files alone."""
        # The parts without components are the same in every run.
        plain = [flag for _, part in option_flags(Choice({}), self.offered, {}) for flag in part]
        help_flag = click.Option(["--help"], is_flag=True, expose_value=False)
        relaxed = [_relaxed(param) for param in self.params]
        settings = {"ignore_unknown_options": True, "allow_extra_args": True}
        probe = click.Command(
            self.name,
            params=[*relaxed, *plain, *flags, help_flag],
            add_help_option=False,
            context_settings=settings,
        )
        try:
            resilient = ctx.resilient_parsing
            with probe.make_context(
                ctx.info_name, list(args), parent=ctx.parent, resilient_parsing=resilient
            ) as first:
                return dict(first.params)
        except click.UsageError as error:
            error.ctx = ctx
            raise

    def _option_flags(self, ctx: click.Context) -> list[OptionFlag]:
        return [flag for _, flags in ctx.meta.get("difrun.flags", ()) for flag in flags]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *self._option_flags(ctx)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section for the names of components, one for the options of each part, one for the rest."""
        rows: dict[str, list[tuple[str, str]]] = {"Components": []}
        for param in self.params:
            if isinstance(param, KindFlag):
                name, text = param.get_help_record(ctx) or ("", "")
                rows["Components"].append((name, text + self.chosen_note(ctx, param.kind)))
        for part, flags in ctx.meta["difrun.flags"]:
            title = TITLES.get(part.section.name, part.owner)
            if part.entry is not None:
                title = f"{part.owner[0].upper()}{part.owner[1:]} ({part.entry.plugin.dist})"
            rows.setdefault(title, []).extend(filter(None, (flag.get_help_record(ctx) for flag in flags)))
        own = [
            p for p in super().get_params(ctx) if isinstance(p, click.Option) and not isinstance(p, KindFlag)
        ]
        rows.setdefault("Run", []).extend(filter(None, (param.get_help_record(ctx) for param in own)))
        for title, records in rows.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records, col_max=36)

    def base(self, registry: Registry, params: Mapping[str, Any]) -> Settings:
        """What holds where neither a flag nor the environment says anything: ``--config``, or the run.toml of RUN."""
        return _file_settings(registry, params)

    def chosen_note(self, ctx: click.Context, kind: str) -> str:
        """What the help says of the components of a kind that are taken."""
        return ctx.meta["difrun.note"](kind)


class _Reading:
    """What the names on a command line lead to: components, their flags, and in the end the plan."""

    def __init__(
        self, command: PlanCommand, registry: Registry, params: Mapping[str, Any], loosely: bool
    ) -> None:
        self.command, self.registry = command, registry
        self.trouble = ""
        file = command.base(registry, params)
        environ = from_environ()
        environ.named = {kind: name for kind, name in environ.named.items() if kind in command.kinds}
        environ.options = {kind: given for kind, given in environ.options.items() if kind in command.kinds}
        self.upper = merge(registry, environ, named_by_flags(params, command.kinds))
        _follow_the_sampler(registry, file, self.upper)
        self.settings = merge(registry, file, self.upper)
        # Without its argument RUN a command can tell no more than what is named.
        unknown_run = "folder" in params and not params["folder"]
        try:
            named = self.settings.named
            self.choice = Choice(find(registry, named)) if unknown_run else choose(registry, named)
        except ConfigError as error:
            if not loosely:
                raise
            self.trouble = str(error)
            self.choice = Choice(find(registry, self.settings.named))
        self.flags: list[tuple[OptionGroup, list[OptionFlag]]] = option_flags(
            self.choice, command.offered, {}
        )
        self.from_environ: dict[str, dict[str, GivenValue]] = {}
        for part, flags in self.flags:
            for flag in flags:
                given = option_from_environ(part.section, flag.field, os.environ)
                if given is not None:
                    self.from_environ.setdefault(part.section.name, {})[flag.field.name] = given
        lower = {name: {**self.settings.options.get(name, {})} for name in self.settings.options}
        for name, options in self.from_environ.items():
            lower.setdefault(name, {}).update(options)
        seed = lower.get("", {}).get("seed")
        if command.new_seed and seed is not None and isinstance(seed.value, int) and seed.layer == "file":
            lower[""]["seed"] = attrs.evolve(seed, value=seed.value + 1, source=f"{seed.source}, plus 1")
        self.lower = lower
        self.unknown_run = unknown_run
        self.flags = option_flags(self.choice, command.offered, lower, self._unset)

    def _unset(self, flag: str) -> str:
        """What a flag that is not given stands for, where its default depends on a run that is not named."""
        if not self.unknown_run:
            return ""
        return "the run's, plus 1" if flag == "--seed" and self.command.new_seed else "as in the run"

    def note(self, kind: str) -> str:
        """Which component of a kind is taken, and who names it, for the help of its flag."""
        picked = self.choice.entries.get(kind)
        if not picked:
            return "  [default: as in the run]" if self.unknown_run else ""
        entries = picked if isinstance(picked, tuple) else (picked,)
        names = ", ".join(entry.label for entry in entries)
        if kind in self.choice.defaulted:
            every = f"all {plural(kind)} that fit: " if kind == "metric" else ""
            return f"  [default: {every}{names}]"
        named = self.settings.named.get(kind)
        first = named[0] if isinstance(named, list) and named else named
        if isinstance(first, GivenValue) and first.layer != "flag":
            return f"  [now: {names}, from {first.source}]"
        return f"  [chosen: {names}]"

    def request(self, values: Mapping[OptionFlag, Any]) -> CommandRequest:
        """The plan, with the flags' values above all others."""
        options = {name: dict(given) for name, given in self.lower.items()}
        by_user = {(name, option) for name, given in self.from_environ.items() for option in given}
        by_user |= {(name, option) for name, given in self.upper.options.items() for option in given}
        for flag, value in values.items():
            options.setdefault(flag.section.name, {})[flag.field.name] = flag.given(value)
            by_user.add((flag.section.name, flag.field.name))
        plan = assemble(self.choice, options)
        plan = attrs.evolve(plan, notes=(*self.settings.notes, *plan.notes))
        return CommandRequest(plan, frozenset(self.upper.named), frozenset(by_user))


def _ambiguous(flag: str, reading: _Reading) -> str:
    """What to write where a flag ``--guidance.option`` is of several guidances of the run; empty where it is not."""
    meant = [
        (part.owner, option.opts[0])
        for part, flags in reading.flags
        for option in flags
        if part.entry is not None
        and part.entry.kind in MANY
        and flag in (place.flag(option.field.name) for place in [without_name(part.section)])
    ]
    if len(meant) < 2:
        return ""
    owners, flags = (
        listed([owner for owner, _ in meant], " and "),
        listed([long for _, long in meant], " or "),
    )
    return f"{flag} is an option of {owners}; write {flags}."


def _of_whom(flag: str, reading: _Reading, union: Mapping[str, tuple[OptionFlag, str]]) -> str:
    """Why no component has the option that a flag ``--kind.option`` asks for, and which flag may be meant, and whose.

    Empty where the flag does not begin with a kind that this run uses.
    """
    kind, dot, option = flag.removeprefix("--").partition(".")
    used = [(part.owner, flags) for part, flags in reading.flags if part.owner.split()[0] == kind]
    if not dot or not used:
        return ""
    owners = listed([owner for owner, _ in used], " and ")
    own = [flag.opts[0] for _, flags in used for flag in flags]
    begin = [name for name in sorted(union) if name.startswith(flag)]
    others = [name for name in begin if name not in own]
    near = did_you_mean(option, [name.removeprefix(f"--{kind}.") for name in own]).replace(
        "'", f"'--{kind}.", 1
    )
    if others and begin == others:
        of = listed(dict.fromkeys(union[name][1] for name in others), " and ")
        are = "is an option" if len(others) == 1 else "are options"
        near = f" {listed(others, ' and ')} {are} of {of}."
    told = f" Its options: {listed(own)}." if own else " It has no options."
    return f"{owners} has no option '{option}' ({flag}).{near}{told}"


def _file_settings(registry: Registry, params: Mapping[str, Any]) -> Settings:
    if params.get("config"):
        path = Path(params["config"])
    elif params.get("folder"):
        path = Path(params["folder"]) / "run.toml"
        if not path.exists():
            raise no_run(params["folder"], path)
    else:
        return Settings()
    return from_dict(read_file(path), registry, source=str(path))


def _follow_the_sampler(registry: Registry, file: Settings, upper: Settings) -> None:
    """A sampler that the user names and that prefers a grid brings it, in place of the grid in the file."""
    if "sampler" in upper.named and "grid" not in upper.named:
        sampler = find(registry, {"sampler": upper.named["sampler"]})["sampler"]
        if isinstance(sampler, Registered) and "grid" in sampler.component.prefers:
            file.named.pop("grid", None)
            file.options.pop("grid", None)


def _relaxed(param: click.Parameter) -> click.Parameter:
    """A copy of an argument that may be absent, so that the second reading tells what is missing."""
    if isinstance(param, click.Argument):
        return click.Argument([param.name or ""], required=False, type=click.STRING, nargs=param.nargs)
    return param
