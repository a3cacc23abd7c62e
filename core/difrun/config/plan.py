"""The resolved plan of a run: which components, with which options, and how it is written as TOML."""

import os
import platform
from collections.abc import Mapping
from html import escape
from typing import Any

import attrs

from difrun.config.option_groups import from_environ, option_groups, suggested_settings
from difrun.config.run_options import (
    GeneralOptions,
    PredictionOptions,
    SampleOptions,
    Threads,
    TrainOptions,
    WeightsOptions,
)
from difrun.config.selection import ORDER, Choice, choose
from difrun.config.settings import Settings, from_dict, section_of, with_file_dataset
from difrun.errors import ConfigError
from difrun.options.attrs_fields import GivenValue, Section, build, build_all, names_of, record, values
from difrun.plugin.own import replaced
from difrun.plugin.own_component import YOURS, Own
from difrun.plugin.registry import Registered, Registry, get_registry
from difrun.report.card import card
from difrun.text import described, did_you_mean


@attrs.frozen
class ChosenComponent:
    """A component and the values of its options.

    Attributes:
        kind: The kind of component.
        entry: The component.
        options: An instance of its options class.
        prediction: How the output of a network under a Gaussian process is interpreted; else None.
        start: Where a network takes its weights from; None for what is no network.
    """

    kind: str
    entry: Registered
    options: Any
    prediction: PredictionOptions | None = None
    start: WeightsOptions | None = None

    @property
    def name(self) -> str:
        """What a user writes to name it."""
        return self.entry.label

    def make(self, **offered: Any) -> Any:
        """Call the target with its options, and with the values on offer that its signature names."""
        return self.entry.call(offered, values(self.options))

    def refuse_misfit(self) -> None:
        """Refuse a target whose signature does not fit, before it is called (`Registered.refuse_misfit`)."""
        self.entry.refuse_misfit(values(self.options))

    def record(self) -> dict[str, Any]:
        """Return every option as TOML can hold it."""
        written = record(self.options) | (record(self.prediction) if self.prediction else {})
        # Weights that are random, as most are, need no line in run.toml.
        return written | (record(self.start) if self.start and self.start.weights else {})

    @property
    def is_off(self) -> bool:
        """Whether it is a guidance with the values at which it leaves the model as it is (`Component.off`)."""
        off = self.entry.component.off
        return bool(off) and all(getattr(self.options, name) == value for name, value in off.items())


@attrs.frozen(repr=False)
class Plan:
    """All that a run depends on: the component of each kind, and the options of training, sampling and the run.

    Attributes:
        loss: None for an exact model.
        guidance: The first is innermost around the model.
        defaulted: The kinds that the user did not name; == ignores them.
        notes: What the user should know; == ignores them.
        loggers: Name of a plugin -> the options of its logger. They are no part of run.toml, and == ignores them.
    """

    process: ChosenComponent
    dataset: ChosenComponent
    model: ChosenComponent
    loss: ChosenComponent | None
    sampler: ChosenComponent
    grid: ChosenComponent
    guidance: tuple[ChosenComponent, ...] = ()
    metrics: tuple[ChosenComponent, ...] = ()
    train: TrainOptions = attrs.field(factory=TrainOptions)
    sample: SampleOptions = attrs.field(factory=SampleOptions)
    seed: int = 0
    device: str = "auto"
    threads: Threads = "auto"
    defaulted: tuple[str, ...] = attrs.field(default=(), eq=False)
    notes: tuple[str, ...] = attrs.field(default=(), eq=False)
    loggers: Mapping[str, Any] = attrs.field(factory=dict, eq=False)

    def __repr__(self) -> str:
        chosen = ((kind, getattr(self, kind)) for kind in ORDER)
        parts = [f"{kind} {component.name}" for kind, component in chosen if component is not None]
        return (
            f"<Plan {', '.join(parts)}; {self.sample.steps} steps, {self.sample.n} samples, seed {self.seed}>"
        )

    def _repr_html_(self) -> str:
        return card(repr(self).strip("<>"), after=f"<pre>{escape(self.to_toml())}</pre>")

    @property
    def guides(self) -> tuple[ChosenComponent, ...]:
        """The guidances that change the model; one that is off leaves no trace but its record."""
        return tuple(chosen for chosen in self.guidance if not chosen.is_off)

    def components(self) -> list[ChosenComponent]:
        """Return every chosen component."""
        single = [getattr(self, kind) for kind in ORDER]
        return [chosen for chosen in (*single, *self.guidance, *self.metrics) if chosen is not None]

    def own(self) -> list[tuple[Section, Own]]:
        """Return the user's own classes and objects, each with the section of its options."""
        return [
            (section_of(chosen.kind, chosen.name), chosen.entry)
            for chosen in self.components()
            if isinstance(chosen.entry, Own)
        ]

    def to_dict(self, torch: str | None = None) -> dict[str, Any]:
        """Return every resolved value and the versions behind it, as TOML can hold them.

        Args:
            torch: The version of torch, if known.
        """
        data: dict[str, Any] = record(
            GeneralOptions(seed=self.seed, device=self.device, threads=self.threads)
        )
        for kind in ORDER:
            chosen = getattr(self, kind)
            if chosen is not None:
                data[kind] = {"name": chosen.name, **chosen.record()}
        if self.guidance:
            data["guidance"] = [{"name": chosen.name, **chosen.record()} for chosen in self.guidance]
        data["metrics"] = {"names": [chosen.name for chosen in self.metrics]}
        data["metrics"] |= {chosen.name: chosen.record() for chosen in self.metrics if chosen.record()}
        data["train"] = record(self.train)
        data["sample"] = record(self.sample)
        data["versions"] = self.versions(torch)
        own = {section.name: dict(entry.record) for section, entry in self.own()}
        if own:
            data[YOURS] = own
        return data

    def versions(self, torch: str | None = None) -> dict[str, str]:
        """Return the versions of Python, torch (if given), difrun and the plugins that the run uses."""
        versions = {"python": platform.python_version()} | ({"torch": torch} if torch else {})
        plugins = {
            chosen.entry.plugin.dist: chosen.entry.plugin.version
            for chosen in self.components()
            if not isinstance(chosen.entry, Own)
        }
        return versions | dict(sorted(plugins.items()))

    def to_toml(self, torch: str | None = None) -> str:
        """Return `to_dict` as the text of a TOML file."""
        import tomli_w

        return tomli_w.dumps(self.to_dict(torch))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], registry: Registry, source: str = "run.toml") -> "Plan":
        """Return the plan that a parsed TOML file describes; what it leaves out takes the defaults.

        Args:
            data: The parsed file.
            registry: The installed components.
            source: What messages call the file.

        Raises:
            ConfigError: If a key, a name or a value does not work.
        """
        settings = from_dict(data, registry, source)
        plan = assemble(choose(registry, settings.named), settings.options, registry)
        return attrs.evolve(plan, notes=(*settings.notes, *plan.notes))


def assemble(
    choice: Choice, options: Mapping[str, Mapping[str, Any]], registry: Registry | None = None
) -> Plan:
    """Return the plan of a choice of components and their options (name of a section -> option -> value).

    Args:
        choice: The components.
        options: Their options, those of the run, and those of loggers, which the environment may set as well.
        registry: The installed loggers; None discovers them.

    Raises:
        ConfigError: If a section or option is unknown, or a value does not fit.
    """
    parts = {part.section.name: part for part in option_groups(choice, registry)}
    for name, own_options in options.items():
        if name not in parts and own_options:
            raise ConfigError(f"There are no options of '{name}' in this run.{did_you_mean(name, parts)}")
    chosen: dict[str, list[ChosenComponent]] = {}
    plain: dict[str, Any] = {}
    for name, part in parts.items():
        own_options = options.get(name, {})
        if part.entry is None:
            suggested = {
                option: GivenValue(value, f"{name}.{option}, which the components of this run ask for")
                for option, value in suggested_settings(choice, name).items()
            }
            if part.is_logger:
                suggested = from_environ(part, os.environ)
            plain[name] = build(part.classes[0], {**suggested, **own_options}, part.owner, part.section)
        else:
            built = build_all(part.classes, own_options, part.owner, part.section)
            chosen.setdefault(part.entry.kind, []).append(_with_options(part.entry, built))
    return Plan(
        process=chosen["process"][0],
        dataset=chosen["dataset"][0],
        model=chosen["model"][0],
        loss=chosen["loss"][0] if "loss" in chosen else None,
        sampler=chosen["sampler"][0],
        grid=chosen["grid"][0],
        guidance=tuple(chosen.get("guidance", ())),
        metrics=tuple(chosen.get("metric", ())),
        train=plain["train"],
        sample=plain["sample"],
        **values(plain[""]),
        defaulted=choice.defaulted,
        notes=choice.notes,
        loggers={name: plain[name] for name, part in parts.items() if part.is_logger},
    )


def _with_options(entry: Registered, built: list[Any]) -> ChosenComponent:
    """A component with its options and, if it is a network, those of every network."""
    of_class = {type(options): options for options in built[1:]}
    return ChosenComponent(
        entry.kind, entry, built[0], of_class.get(PredictionOptions), of_class.get(WeightsOptions)
    )


def resolve(
    named: Mapping[str, Any] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    registry: Registry | None = None,
) -> Plan:
    """Return the plan of a run, from Python.

    Args:
        named: Kind -> name (a list of names for guidance and metric), for example ``{"process": "ou"}``; the rest is
            chosen to fit (see `difrun.config.selection.choose`). In the place of a name, a class, a function or an
            object of the user's (`difrun.plugin.own`).
        options: Section -> option -> value, for example
            ``{"process": {"theta": 0.5}, "metric.w2": {"max_points": 500}, "": {"seed": 1}}``.
        registry: The installed components; None discovers them.

    Raises:
        ConfigError: If a name, a combination, an option or a value does not work.
    """
    for argument, value in (("named", named), ("options", options)):
        if value is not None and not isinstance(value, Mapping):
            raise ConfigError(f"Invalid value for {argument}: expected a dict; got {described(value)}.")
    for section, inner in (options or {}).items():
        if not isinstance(inner, Mapping):
            raise ConfigError(_not_a_section(section, inner))
    registry = registry or get_registry()
    settings = with_file_dataset(Settings(*replaced(registry, named or {}, options or {})))
    return assemble(choose(registry, settings.named), settings.options, registry)


def _not_a_section(name: str, value: Any) -> str:
    """What is wrong with options that do not stand in a section, and how they are written."""
    plain = {"": GeneralOptions, "train": TrainOptions, "sample": SampleOptions}
    places = [{section: {name: value}} for section, cls in plain.items() if name in names_of(cls)]
    written = " or ".join(map(str, places)) or '{"process": {"theta": 0.5}}'
    return f"Invalid options: '{name}' is {value!r}; expected a section and its options, such as {written}."
