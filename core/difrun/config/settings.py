"""What the user asked for, from the command line, the environment and a TOML file, before it becomes a plan.

Precedence: flag, environment, file, default. A file names installed components, never import paths.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from difrun.api import KINDS, MANY
from difrun.config.selection import ORDER, lookup
from difrun.config.versions import version_notes
from difrun.errors import ConfigError, DifrunError
from difrun.options.attrs_fields import Field, GivenValue, Section, names_of, variable
from difrun.options.parsing import shown_briefly
from difrun.plugin import own
from difrun.plugin.own_component import YOURS
from difrun.plugin.registry import Registry
from difrun.storage.regular import read_bounded
from difrun.text import did_you_mean, listed

TOP = Section("", "")
TRAIN = Section("train", "train.")
SAMPLE = Section("sample", "")  # its flags are the plain --n, --steps, --chunk and --noise
TOP_KEYS = ("seed", "device", "threads")

MOST_OF_A_FILE = 2**20
"""The most bytes of a TOML file."""

_QUOTED = re.compile(r"""\"(?:\\.|[^"\\\n])*\"|'[^'\n]*'""")
_DEEP_KEY = re.compile(r"(?<![\w-])(?:[\w-]+[ \t]*\.[ \t]*){64}")
"""A key of more than 64 parts: the memory that tomllib takes grows with the square of their number."""


@attrs.define
class Settings:
    """Names and options from one source, or merged.

    Attributes:
        named: Kind -> name, or a list of names (guidance, metric).
        options: Name of a `Section` -> option -> value.
        notes: What the user should know.
    """

    named: dict[str, Any] = attrs.field(factory=dict)
    options: dict[str, dict[str, GivenValue]] = attrs.field(factory=dict)
    notes: list[str] = attrs.field(factory=list)

    def give(self, section: str, option: str, given: GivenValue) -> None:
        """Set an option."""
        self.options.setdefault(section, {})[option] = given


def section_of(kind: str, label: str) -> Section:
    """Return the section of a component's options. Guidances and metrics have one section for each name."""
    return Section(f"{kind}.{label}", f"{kind}.{label}.") if kind in MANY else Section(kind, f"{kind}.")


def read_file(path: Path | str, within: Path | None = None) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: The file.
        within: The folder that a link may not leave; None allows any link.

    Raises:
        ConfigError: If it does not exist, cannot be read, is not TOML, or is a link out of `within`.
    """
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; expected a TOML file, such as {path / 'run.toml'}.")
    try:
        text = read_bounded(path, MOST_OF_A_FILE, within=within).decode("utf-8")
        if _DEEP_KEY.search(_QUOTED.sub("q", text)):
            raise RecursionError
        data = tomllib.loads(text)
        _refuse_long_numbers(data, "")
        return data
    except FileNotFoundError:
        raise ConfigError(f"The file {path} does not exist.") from None
    except DifrunError as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:  # tomllib's own, bad UTF-8, or a number of thousands of digits
        raise ConfigError(f"The file {path} is not valid TOML: {str(error).rstrip('.')}.") from None
    except RecursionError:
        raise ConfigError(f"The file {path} is not valid TOML: it is nested too deeply.") from None


def _refuse_long_numbers(value: Any, key: str) -> None:
    """Raise ValueError for a whole number beyond the 64 bits of TOML: others can neither be used nor be written."""
    if isinstance(value, int) and abs(value) > 2**64:
        raise ValueError(f"{key} is a whole number of more than 64 bits")
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inner:
        _refuse_long_numbers(part, f"{key}.{name}".strip("."))


def from_dict(data: Mapping[str, Any], registry: Registry, source: str = "run.toml") -> Settings:
    """Read the settings in a parsed TOML file. Raises ConfigError for a key or a value that does not belong there."""
    settings = Settings()
    known = [*TOP_KEYS, *ORDER, "guidance", "metrics", "train", "sample", "data", "versions", YOURS]
    known += registry.settings
    # First of all: what is said of an absent plugin says more than that its components are not found.
    if isinstance(data.get("versions"), Mapping):
        settings.notes += version_notes(data["versions"], registry, source)
    for key, value in data.items():
        if key not in known:
            raise ConfigError(
                f"Unknown key {shown_briefly(key)} in {source}.{_table_of(key, registry) or did_you_mean(key, known)}"
            )
        if key in TOP_KEYS:
            settings.give("", key, GivenValue(value, f"{key} in {source}", "file"))
        elif key == "guidance":
            _guidances(settings, registry, value, source)
        elif not isinstance(value, Mapping):
            example = f'[{key}] and, below it, name = "..."' if key in ORDER else f"[{key}]"
            raise ConfigError(f"Invalid value for {key} in {source}: expected a table: {example}.")
        elif key == "metrics":
            _metrics(settings, registry, value, source)
        elif key in ("data", YOURS, "versions"):
            pass  # the fingerprint of the examples, which `difrun.runs.folder.dataset` compares; what people read
        else:
            for option, inner in value.items():
                given = GivenValue(inner, f"{key}.{shown_briefly(option)} in {source}", "file")
                if key in ORDER and option == "name":
                    settings.named[key] = _name(given)
                else:
                    settings.give(key, option, given)
    return with_file_dataset(settings)


def _table_of(key: str, registry: Registry) -> str:
    """The tables that have an option of this name, as a sentence; empty if none has."""
    from difrun.config.run_options import SampleOptions, TrainOptions

    option = key.replace("-", "_")
    plain = {SAMPLE: SampleOptions, TRAIN: TrainOptions}
    found = [section.key(option) for section, cls in plain.items() if option in names_of(cls)]
    for entry in registry.entries():
        if option in names_of(entry.component.options):
            found.append(section_of(entry.kind, entry.label).key(option))
    tables = dict.fromkeys(f"[{place.rpartition('.')[0]}] {option}" for place in found)
    return f" It belongs in a table: {listed(list(tables)[:4], last=' or ')}." if tables else ""


def _name(given: GivenValue) -> GivenValue:
    if not isinstance(given.value, str):
        raise ConfigError(f"Invalid value for {given.source}: expected the name of a component, as text.")
    return given


def _guidances(settings: Settings, registry: Registry, tables: Any, source: str) -> None:
    if not isinstance(tables, list) or not all(
        isinstance(table, Mapping) and "name" in table for table in tables
    ):
        raise ConfigError(
            f'Invalid value for guidance in {source}: expected [[guidance]] and, below it, name = "...".'
        )
    names = settings.named.setdefault("guidance", [])
    for index, table in enumerate(tables, start=1):
        place = f"guidance.{{}} in {source} (table {index})"
        name = _name(GivenValue(table["name"], place.format("name"), "file"))
        names.append(name)
        section = f"guidance.{lookup(registry, 'guidance', name).label}"
        for option, value in table.items():
            if option != "name":
                settings.give(section, option, GivenValue(value, place.format(shown_briefly(option)), "file"))


def _metrics(settings: Settings, registry: Registry, table: Mapping[str, Any], source: str) -> None:
    names = table.get("names")
    if names is not None:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"Invalid value for metrics.names in {source}: expected a list of names.")
        settings.named["metric"] = [GivenValue(name, f"metrics.names in {source}", "file") for name in names]
    wanted = [registry.get("metric", name).label for name in names or () if _is_installed(registry, name)]
    for name, options in table.items():
        if name == "names":
            continue
        if not isinstance(options, Mapping):
            guess = did_you_mean(name, ["names"])
            raise ConfigError(
                f"Unknown key metrics.{name} in {source}.{guess} Options stand in [metrics.{name}]."
            )
        label = lookup(registry, "metric", GivenValue(name, f"[metrics.{name}] in {source}", "file")).label
        if names is not None and label not in wanted:
            raise ConfigError(f"[metrics.{name}] in {source}: '{name}' is not among metrics.names.")
        for option, value in options.items():
            given = GivenValue(value, f"metrics.{name}.{shown_briefly(option)} in {source}", "file")
            settings.give(f"metric.{label}", option, given)


def _is_installed(registry: Registry, name: str) -> bool:
    return own.is_path(name) or any(
        name in (entry.name, entry.qualified) for entry in registry.entries("metric")
    )


def from_environ(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the components that DIFRUN_PROCESS, ..., DIFRUN_METRIC (names joined by commas) name."""
    environ = os.environ if environ is None else environ
    settings = Settings()
    for kind in KINDS:
        name = variable(kind)
        text = environ.get(name, "").strip()
        if text and kind in MANY:
            settings.named[kind] = [GivenValue(part.strip(), name, "environment") for part in text.split(",")]
        elif text:
            settings.named[kind] = GivenValue(text, name, "environment")
    return with_file_dataset(settings)


def option_from_environ(section: Section, field: Field, environ: Mapping[str, str]) -> GivenValue | None:
    """Read one option from the environment; None if its variable is not set."""
    name = section.variable(field.name)
    return GivenValue(environ[name], name, "environment") if environ.get(name) else None


def with_file_dataset(settings: Settings) -> Settings:
    """Replace a path given as a dataset, as in ``--dataset points.csv``, by the dataset 'file' with that path."""
    from difrun.builtin.options import looks_like_file

    named = settings.named.get("dataset")
    value = named.value if isinstance(named, GivenValue) else named
    if isinstance(value, Path) or (isinstance(value, str) and looks_like_file(value)):
        given = named if isinstance(named, GivenValue) else GivenValue(value, "dataset")
        settings.named["dataset"] = attrs.evolve(given, value="file")
        settings.give("dataset", "path", given)
    return settings


def merge(registry: Registry, lower: Settings, upper: Settings) -> Settings:
    """Merge settings; where they differ, `upper` wins. Options of a component that `upper` replaces are dropped."""
    options = {name: dict(given) for name, given in lower.options.items()}
    notes = [*lower.notes, *upper.notes]
    named = {**lower.named, **upper.named}
    for kind in ORDER:
        before, after = lower.named.get(kind), upper.named.get(kind)
        if before is None or after is None or before.value == after.value:
            continue
        replaced = lookup(registry, kind, after) != lookup(registry, kind, before)
        if replaced and options.pop(kind, {}):
            notes.append(f"options of {kind} '{before.value}' ({before.source}) are not used: {after.source}")
    for kind in MANY:
        if kind in upper.named:
            labels = {lookup(registry, kind, name).label for name in upper.named[kind]}
            sections = [name for name in options if name.startswith(f"{kind}.")]
            for section in sections:
                if section.partition(".")[2] not in labels:
                    del options[section]
    # An exact model has no loss: a loss that only a lower source names is dropped.
    model = upper.named.get("model")
    exact = model is not None and "exact" in lookup(registry, "model", model).component.provides
    if exact and "loss" not in upper.named:
        named.pop("loss", None)
        options.pop("loss", None)
    for section, given in upper.options.items():
        options.setdefault(section, {}).update(given)
    return Settings(named, options, notes)
