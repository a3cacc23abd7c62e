"""What the functions of this package take: options as one flat dict, listeners, names or objects of components."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import attrs

from difrun.api import MANY
from difrun.config.plan import Plan, assemble
from difrun.config.run_options import GeneralOptions, SampleOptions
from difrun.config.selection import ORDER, choose
from difrun.config.settings import section_of
from difrun.data.casts import data_on_cpu
from difrun.errors import ConfigError
from difrun.options.attrs_fields import GivenValue, names_of, values
from difrun.plugin.listener import Listener
from difrun.plugin.own import replaced
from difrun.plugin.registry import Registered, get_registry
from difrun.text import described, listed

Options = Mapping[str, Any]
"""Options as ``{"process.theta": 0.5}``, the names of the command's flags without the dashes before them."""

Sections = dict[str, dict[str, Any]]

Heard = Listener | Callable[[str], Any] | None
"""A listener, or a function that receives the notes."""


class Notes(Listener):
    """A listener that hands every note to a function, such as `print`."""

    def __init__(self, tell: Callable[[str], Any]) -> None:
        self.tell = tell

    def note(self, text: str) -> None:
        """Hand a note on."""
        self.tell(text)


def listening(listener: Heard) -> Listener:
    """Return a listener: the one that is given, or one that hands its notes to the function that is given."""
    if listener is None:
        return Listener()
    if hasattr(listener, "note") and hasattr(listener, "stopping"):
        return cast(Listener, listener)
    if callable(listener):
        return Notes(listener)
    raise ConfigError(
        f"Invalid value for listener: expected a difrun.Listener, or a function of a text such as print; got "
        f"{listener!r}."
    )


def sections(options: Options | None, **plain: Any) -> Sections:
    """Return options by section, from a flat dict and the arguments that stand for single options.

    Args:
        options: ``{"process.theta": 0.5, "train.steps": 500, "metric.w2.max_points": 500, "seed": 1}``. A whole section
            may be a dict, or an instance of a class of options: ``{"train": TrainOptions(steps=500)}``.
        **plain: Options of sampling and of the run, such as ``steps`` and ``seed``; None is not given.

    Raises:
        ConfigError: If it is no dict, a key is no option, or an option is given twice.
    """
    if options is not None and not isinstance(options, Mapping):
        raise ConfigError(
            f"Invalid value for options: expected a dict such as {{'process.theta': 0.5}}; got {described(options)}."
        )
    found: Sections = {}
    for key, value in (options or {}).items():
        if not isinstance(key, str):
            raise ConfigError(f"Invalid options: a key is a text such as 'process.theta', not {key!r}.")
        if isinstance(value, Mapping) or attrs.has(type(value)):
            inner = value if isinstance(value, Mapping) else values(value)
            for name, part in inner.items():
                _give(found, key, str(name), part, f"options['{key}']['{name}']")
        else:
            section, _, name = key.rpartition(".")
            _give(found, section or _section_of_plain(key), name, value, f"options['{key}']")
    for name, value in plain.items():
        if value is not None:
            _give(found, _section_of_plain(name), name, value, f"{name}=")
    return found


def _give(found: Sections, section: str, name: str, value: Any, source: str) -> None:
    option = name.replace("-", "_")
    if option in found.get(section, {}):
        raise ConfigError(f"{source} is given twice; give it once.")
    found.setdefault(section, {})[option] = GivenValue(value, source)


def _section_of_plain(name: str) -> str:
    """The section of an option without one: those of the run and, as in the flags of the command, of sampling."""
    option = name.replace("-", "_")
    if option in names_of(GeneralOptions):
        return ""
    if option in names_of(SampleOptions):
        return "sample"
    plain = listed([*names_of(GeneralOptions), *names_of(SampleOptions)])
    raise ConfigError(
        f"Invalid options: '{name}' names no part of the run; write 'process.{name}', 'train.{name}' and so on. "
        f"Without a part: {plain}."
    )


def given_kinds(**things: Any) -> dict[str, Any]:
    """Return the kinds that are given."""
    return {kind: thing for kind, thing in things.items() if thing is not None}


def as_flag(condition: Any) -> str | None:
    """Return one row of a condition as the text of ``--condition``; a file of rows stays as it is.

    Raises:
        ConfigError: If there are several rows.
    """
    if condition is None or isinstance(condition, str | Path):
        return None if condition is None else str(condition)
    rows = data_on_cpu(condition, "condition").double()
    if rows.ndim > 1 and len(rows) != 1:
        raise ConfigError(
            "samples of a run are drawn given one condition, or a file of them; for an array of conditions c: "
            "difrun.evaluate(run, difrun.sample(run, len(c), condition=c), condition=c)."
        )
    return ",".join(repr(value) for value in rows.flatten().tolist())


def altered(plan: Plan, named: Mapping[str, Any], options: Sections) -> Plan:
    """Return a plan with other components and options; a sampler that prefers a grid of its own brings it.

    Args:
        plan: The plan.
        named: Kind -> a name, a class or an object.
        options: Section -> option -> value.

    Raises:
        ConfigError: If components do not fit together, or an option does not exist.
    """
    registry = get_registry()
    named, options = replaced(registry, _as_lists(named), options)
    entries: dict[str, Any] = {kind: getattr(plan, kind).entry for kind in ORDER if getattr(plan, kind)}
    entries["guidance"] = [chosen.entry for chosen in plan.guidance]
    entries["metric"] = [chosen.entry for chosen in plan.metrics]
    kept = _options_of(plan)
    for kind, wanted in named.items():
        if kind == "sampler" and "grid" not in named:
            sampler = choose(registry, {**entries, "sampler": wanted}).entries["sampler"]
            if isinstance(sampler, Registered) and "grid" in sampler.component.prefers:
                entries.pop("grid")
                kept.pop("grid", None)
        before, entries[kind] = entries.get(kind), wanted
        if kind not in MANY and not _same(before, wanted):
            kept.pop(kind, None)
    choice = choose(registry, entries)
    labels = {section_of(entry.kind, entry.label).name for entry in choice.all()} | {"train", "sample", ""}
    merged = {name: given for name, given in kept.items() if name in labels}
    for name, given in options.items():
        merged[name] = {**merged.get(name, {}), **given}
    return assemble(choice, merged)


def _as_lists(named: Mapping[str, Any]) -> dict[str, Any]:
    return {
        kind: list(thing) if kind in MANY and isinstance(thing, list | tuple) else thing
        for kind, thing in named.items()
    }


def _same(before: Any, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return before is not None and wanted in (before.name, before.qualified, before.label)
    return before == wanted


def _options_of(plan: Plan) -> Sections:
    """Every option of a plan, by section."""
    found: Sections = {}
    for chosen in plan.components():
        own = dict(values(chosen.options))
        if chosen.prediction is not None:
            own |= values(chosen.prediction)
        found[section_of(chosen.kind, chosen.name).name] = own
    found["train"], found["sample"] = values(plan.train), values(plan.sample)
    found[""] = {"seed": plan.seed, "device": plan.device, "threads": plan.threads}
    return found
