"""Flags for the components of a run and for their options.

Click carries the texts of values; `difrun.options.attrs_fields` reads and checks them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from difrun.api import MANY
from difrun.config.option_groups import OptionGroup, option_groups, suggested_settings
from difrun.config.run_options import PredictionOptions, WeightsOptions
from difrun.config.selection import Choice, find
from difrun.config.settings import Settings, section_of, with_file_dataset
from difrun.errors import DifrunError
from difrun.options.attrs_fields import Field, GivenValue, Section, fields, variable
from difrun.options.parsing import shown
from difrun.plugin.registry import Registry, get_registry
from difrun.text import did_you_mean

NAMED = "difrun.named"
"""Where the context of a command holds the components that its flags name."""

HELP = {
    "process": "Forward process.",
    "dataset": "Dataset, or .npy, .npz, .csv, .parquet.",
    "model": "Network, or exact model.",
    "loss": "Training loss.",
    "sampler": "Sampler.",
    "grid": "Time grid of the sampler.",
    "guidance": "Guidance; may be repeated.",
    "metric": "Metric; may be repeated.",
}


class KindFlag(click.Option):
    """``--process NAME``."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            [f"--{kind}", f"named_{kind}"],
            metavar="NAME",
            help=HELP[kind],
            multiple=kind in MANY,
            shell_complete=_complete_names,
        )
        self.kind = kind


class OptionFlag(click.Option):
    """``--process.theta NUMBER``, the flag of one option of one part of a run."""

    def __init__(
        self,
        section: Section,
        field: Field,
        default: GivenValue | None = None,
        unset: str = "",
        also: Section | None = None,
    ) -> None:
        """also: a section whose flag means the same, ``--guidance.scale`` for ``--guidance.cfg.scale``."""
        places = [also, section] if also is not None else [section]
        note = field.note
        if default is not None or unset:
            now = f"now: {shown(default.value)}, from {default.source}" if default else f"default: {unset}"
            note = "; ".join(filter(None, (now, field.range)))
        super().__init__(
            [
                *(
                    f"{place.flag(field.name)}/{place.negative(field.name)}"
                    if field.is_flag
                    else place.flag(field.name)
                    for place in places
                ),
                section.variable(field.name).lower(),
            ],
            default=None,
            type=click.BOOL if field.is_flag else click.STRING,
            metavar=None if field.is_flag else field.metavar,
            help=f"{field.help}  [{note}]",
            shell_complete=None if field.is_flag else _completer(field),
        )
        self.section, self.field = section, field

    def given(self, value: Any) -> GivenValue:
        """Return the value as the user gave it."""
        if isinstance(value, bool):
            flag = self.section.flag if value else self.section.negative
            return GivenValue("yes" if value else "no", flag(self.field.name), "flag")
        return GivenValue(value, self.section.flag(self.field.name), "flag")


def _completer(field: Field) -> Any:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if "PATH" in field.metavar or "FILE" in field.metavar:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(choice) for choice in field.choices if choice.startswith(incomplete)]

    return complete


def _complete_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names that fit with the components named so far, each with its summary."""
    assert isinstance(param, KindFlag)
    if param.kind == "dataset" and ("/" in incomplete or "." in incomplete):
        return [CompletionItem(incomplete, type="file")]
    registry = get_registry()
    chosen: dict[str, Any] = {}
    for kind, name in ctx.meta.get(NAMED, {}).items():
        try:
            chosen |= find(registry, {kind: name})
        except DifrunError:
            continue
    labels = registry.compatible(param.kind, chosen) or registry.names(param.kind)
    return [
        CompletionItem(label, help=registry.get(param.kind, label).component.summary)
        for label in labels
        if label.startswith(incomplete)
    ]


def offered_options(
    registry: Registry, choice: Choice, offered: Mapping[str, Iterable[str] | None]
) -> list[tuple[OptionGroup, list[Field]]]:
    """The options of each part of a run that a command offers, and those of every logger.

    Args:
        registry: The installed components.
        choice: The components of the run.
        offered: Kind or section -> names of the options on offer, or None for all of them.
    """
    groups = []
    for group in option_groups(choice, registry):
        key = group.section.name if group.entry is None else group.entry.kind
        if key in offered or group.is_logger:
            names = offered.get(key)
            options = [field for cls in group.classes for field in fields(cls)]
            groups.append((group, [field for field in options if names is None or field.name in names]))
    return groups


def option_flags(
    registry: Registry,
    choice: Choice,
    offered: Mapping[str, Iterable[str] | None],
    set_by: Mapping[str, Mapping[str, GivenValue]],
    unset: Callable[[str], str] = lambda flag: "",
) -> list[tuple[OptionGroup, list[OptionFlag]]]:
    """The flags of each part of a run, with what already sets them.

    Args:
        registry: The installed components.
        choice: The components of the run.
        offered: Kind or section -> names of the options on offer, or None for all of them.
        set_by: Section -> option -> its value so far.
        unset: Flag -> what the help says instead of the default. If that is empty, the help says what the chosen
            components ask for (`Component.suits`).
    """
    guidances = choice.entries.get("guidance", ())
    guidances = guidances if isinstance(guidances, tuple) else (guidances,)
    owners = Counter(field.name for entry in guidances for field in fields(entry.component.options))
    groups = []
    for group, options in offered_options(registry, choice, offered):
        section = group.section
        given = set_by.get(section.name, {})
        suggested = suggested_settings(choice, section.name)
        is_guidance = group.entry is not None and group.entry.kind == "guidance"
        flags = []
        for field in options:
            default = "" if group.is_logger else unset(section.flag(field.name))
            if not default and field.name in suggested:
                default = shown(suggested[field.name])
            also = without_name(section) if is_guidance and owners[field.name] == 1 else None
            flags.append(OptionFlag(section, field, given.get(field.name), default, also))
        groups.append((group, flags))
    return groups


def without_name(section: Section) -> Section:
    """Return the section of a guidance's options without its name: ``--guidance.scale``."""
    return Section(section.name, f"{section.name.partition('.')[0]}.")


def installed_options(registry: Registry, kinds: Iterable[str]) -> Iterator[tuple[Section, Field, str]]:
    """Yield (section, option, owner of the option) for all installed components of some kinds.

    An option of a guidance comes twice, the second time with the section of its short flag, ``--guidance.scale``.
    """
    for kind in kinds:
        for entry in registry.entries(kind):
            choice = Choice({"process": (), kind: (entry,) if kind in MANY else entry})
            for part in option_groups(choice, registry):
                if part.entry is None:
                    continue
                for field in (field for cls in part.classes for field in fields(cls)):
                    yield part.section, field, part.owner
                    if kind == "guidance":
                        yield without_name(part.section), field, part.owner
        if kind == "model":
            for field in fields(PredictionOptions):
                yield section_of("model", ""), field, "networks under a gaussian process"
            for field in fields(WeightsOptions):
                yield section_of("model", ""), field, "networks"


def installed_owners(registry: Registry, kinds: Iterable[str]) -> dict[str, str]:
    """Return flag -> the first component that has it, for all installed components of some kinds."""
    owners: dict[str, str] = {}
    for section, field, owner in installed_options(registry, kinds):
        owners.setdefault(section.flag(field.name), owner)
    return owners


def named_by_flags(params: Mapping[str, Any], kinds: Iterable[str]) -> Settings:
    """Return the components that the command line names."""
    settings = Settings()
    for kind in kinds:
        value = params.get(f"named_{kind}")
        if kind in MANY and value:
            settings.named[kind] = [GivenValue(name, f"--{kind}", "flag") for name in value]
        elif kind not in MANY and value is not None:
            settings.named[kind] = GivenValue(value, f"--{kind}", "flag")
    return with_file_dataset(settings)


OWN_VARIABLES = ("DIFRUN_PLUGINS", "DIFRUN_STRICT", "DIFRUN_DEBUG", "DIFRUN_ISOLATED", "DIFRUN_IMPORT")


def stray_variables(registry: Registry, environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable DIFRUN_... of the environment that nothing reads, with a suggestion.

    A variable of a component that this run does not use is read by other runs, and is not reported.
    """
    options = [(section, field) for section, field, _ in installed_options(registry, HELP)]
    plain = {"train": None, "sample": None, "": None}
    for group, others in offered_options(registry, Choice({}), plain):
        options += [(group.section, field) for field in others]
    known = {section.variable(field.name): section.flag(field.name) for section, field in options}
    known |= {variable(kind): f"--{kind}" for kind in HELP} | dict.fromkeys(OWN_VARIABLES, "")
    prefix, sentences = variable(""), []
    for name in sorted(environ):
        if name.startswith(prefix) and name not in known:
            rest = name.removeprefix(prefix)
            # DIFRUN_STEPS for --steps: the flag of that name is meant, not the variable that looks most alike.
            same = [other for other, flag in known.items() if flag == "--" + rest.lower().replace("_", "-")]
            near = did_you_mean(rest, [other.removeprefix(prefix) for other in known]).replace(
                "'", f"'{prefix}", 1
            )
            guess = f" Did you mean '{same[0]}'?" if same else near
            sentences.append(f"{name} is set, but nothing reads a variable of that name.{guess}")
    return sentences
