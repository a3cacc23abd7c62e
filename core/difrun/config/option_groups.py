"""The options of a run, in groups: those of each component, of training, of sampling, of the run, and of loggers."""

from collections.abc import Mapping
from typing import Any

import attrs

from difrun.config.run_options import (
    GeneralOptions,
    PredictionOptions,
    SampleOptions,
    TrainOptions,
    WeightsOptions,
)
from difrun.config.selection import Choice
from difrun.config.settings import SAMPLE, TOP, TRAIN, option_from_environ, section_of
from difrun.options.attrs_fields import GivenValue, Section, fields
from difrun.plugin.registry import Registered, Registry, get_registry


@attrs.frozen
class OptionGroup:
    """The options of one part of a run.

    Attributes:
        section: Where the options are written.
        classes: Their attrs classes.
        owner: What messages call the part of the run.
        entry: The component; None for a part of a run that is not a component.
        is_logger: Whether the part is a logger, which any command may have and no run.toml records.
    """

    section: Section
    classes: tuple[type, ...]
    owner: str
    entry: Registered | None = None
    is_logger: bool = False


def option_groups(choice: Choice, registry: Registry | None = None) -> list[OptionGroup]:
    """Return the groups of options of a run with these components, and of loggers; registry: None discovers it."""
    gaussian = any(
        entry.kind == "process" and "gaussian" in entry.component.provides for entry in choice.all()
    )
    groups = []
    for entry in choice.all():
        classes: tuple[type, ...] = (entry.component.options,)
        if entry.kind == "model" and "network" in entry.component.provides:
            classes += (PredictionOptions, WeightsOptions) if gaussian else (WeightsOptions,)
        owner = f"{entry.kind} '{entry.label}'"
        groups.append(OptionGroup(section_of(entry.kind, entry.label), classes, owner, entry))
    groups.append(OptionGroup(TRAIN, (TrainOptions,), "training"))
    groups.append(OptionGroup(SAMPLE, (SampleOptions,), "sampling"))
    groups.append(OptionGroup(TOP, (GeneralOptions,), "the run"))
    return groups + logger_groups(registry or get_registry())


def logger_groups(registry: Registry) -> list[OptionGroup]:
    """Return the groups of options of the loggers of a registry."""
    return [
        OptionGroup(Section(name, f"{name}."), (settings,), f"logger '{name}'", is_logger=True)
        for name, settings in registry.settings.items()
    ]


def from_environ(group: OptionGroup, environ: Mapping[str, str]) -> dict[str, GivenValue]:
    """Return the options of a group that the environment sets, by name."""
    found = {
        field.name: option_from_environ(group.section, field, environ)
        for cls in group.classes
        for field in fields(cls)
    }
    return {name: given for name, given in found.items() if given is not None}


def suggested_settings(choice: Choice, section: str) -> dict[str, Any]:
    """Return the settings of a section that the chosen components ask for; the process has the last word."""
    settings: dict[str, Any] = {}
    for entry in reversed(choice.all()):
        for setting, value in entry.component.suits.items():
            owner, _, name = setting.rpartition(".")
            if owner == section and section:
                settings[name] = value
    return settings
