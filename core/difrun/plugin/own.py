"""Components of the user's own: classes, functions and objects that no plugin offers.

Wherever a name is taken in Python, one of these is taken as well. `own_entry` makes a component of it, which a run
then treats as any other. run.toml names it by where Python finds it, ``module:Class``; an object, or a class of a
notebook, has no such place and is called ``yours:Class``.

A run folder may come from a stranger, so a name in it imports nothing. ``module:Class`` is found again if this process
has used that class before, or if the variable DIFRUN_IMPORT names the module. Nothing here imports torch.
"""

import importlib
import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from difrun.api import KINDS, MANY, Component, NoOptions
from difrun.errors import ConfigError
from difrun.options.attrs_fields import names_of
from difrun.options.given import GivenValue
from difrun.options.parsing import plain, shown_briefly
from difrun.plugin import own_kinds, own_options
from difrun.plugin.own_component import YOURS, Own
from difrun.plugin.packages import Plugin
from difrun.plugin.registered import Registered
from difrun.text import in_one_line, listed

if TYPE_CHECKING:
    from difrun.plugin.registry import Registry

VARIABLE = "DIFRUN_IMPORT"
"""The variable that names modules, joined by commas, from which classes that a run.toml names may be imported."""

_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")

_known: dict[str, Any] = {}
"""``module:Class`` -> what this process has used under that name."""


def own_entry(registry: "Registry", kind: str, thing: Any) -> tuple[Registered, dict[str, Any]]:
    """Return the component of a class, a function or an object, and its options.

    What an installed plugin offers is found under its name: its class, or an object of that class, whose options are
    read from it.

    Args:
        registry: The installed components.
        kind: A key of `difrun.api.KINDS`.
        thing: The class, the function or the object.

    Raises:
        ConfigError: If a component of this kind cannot be made of it.
    """
    own_kinds.refuse_wrong(kind, thing)
    installed = installed_entry(registry, kind, thing)
    if installed is not None:
        return installed, {}
    made_of = own_options.construction(kind, thing)
    if made_of is not None:
        cls, given = made_of
        installed = installed_entry(registry, kind, cls)
        if installed is not None and set(names_of(installed.component.options)) >= set(given):
            return installed, given
        return _from_class(registry, kind, cls), given
    if own_kinds.is_target(kind, thing):
        return _from_class(registry, kind, thing), {}
    return _from_object(registry, kind, thing), {}


def installed_entry(registry: "Registry", kind: str, thing: Any) -> Registered | None:
    """Return the installed component whose target is this very class or function; None if there is none."""
    for entry in registry.entries(kind):
        module, _, attribute = entry.component.target.partition(":")
        if getattr(sys.modules.get(module), attribute, None) is thing:
            return entry
    return None


def replaced(
    registry: "Registry", named: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Replace everything that is no name by its component, and add the options that objects bring.

    Args:
        registry: The installed components.
        named: Kind -> a name, a class, a function or an object; a list of them for guidance and metric.
        options: Section -> option -> value.

    Raises:
        ConfigError: If a component cannot be made, or an option is given beside an object that has it.
    """
    found: dict[str, Any] = {}
    merged = {section: dict(given) for section, given in options.items()}
    for kind, wanted in named.items():
        if kind not in KINDS or wanted is None or is_name(wanted):
            found[kind] = wanted
            continue
        many = kind in MANY
        things = list(wanted) if many and isinstance(wanted, list | tuple) else [wanted]
        entries = []
        for thing in things:
            if is_name(thing):
                entries.append(thing)
                continue
            entry, given = own_entry(registry, kind, thing)
            entries.append(entry)
            section = f"{kind}.{entry.label}" if many else kind
            if many and isinstance(entry, Own) and f"{kind}.{entry.name}" in merged:
                merged[section] = merged.pop(f"{kind}.{entry.name}")
            _add_options(merged, section, given, f"{kind}={shown_briefly(thing)}")
        found[kind] = entries if many else entries[0]
    return found, merged


def with_given(
    registry: "Registry", given: Mapping[str, Any], data: Mapping[str, Any], source: str
) -> "Registry":
    """Return a registry in which the user's own classes and objects stand for the names in a run.toml.

    Args:
        registry: The installed components.
        given: Kind -> a class, a function or an object; a list of them for guidance and metric.
        data: The parsed run.toml.
        source: What messages call it.

    Raises:
        ConfigError: If run.toml names something else, or says other options than an object has.
    """
    found: dict[tuple[str, str], Registered] = {}
    for kind, things in given.items():
        recorded = _recorded(data, kind)
        for thing in things if kind in MANY and isinstance(things, list | tuple) else [things]:
            entry, options = own_entry(registry, kind, thing)
            if entry.label not in recorded:
                raise ConfigError(
                    f"{source} names {kind} {listed(map(repr, recorded), ' and ') or 'no component'}; what was "
                    f"given is '{entry.label}'."
                )
            for name, value in options.items():
                said = recorded[entry.label].get(name, plain(value))
                if said != plain(value):
                    raise ConfigError(
                        f"{source} says {kind}.{name} = {said!r}; the object that was given has {value!r}. Give one "
                        "like that of the run, or its class."
                    )
            found[kind, entry.label] = entry
    return attrs.evolve(registry, given=found)


def _recorded(data: Mapping[str, Any], kind: str) -> dict[str, Mapping[str, Any]]:
    """The names of a kind in a run.toml, each with the table of its options."""
    table = data.get("metrics" if kind == "metric" else kind, {})
    if kind == "metric":
        return {name: table.get(name, {}) for name in table.get("names", ())}
    tables = table if isinstance(table, list) else [table]
    return {str(part["name"]): part for part in tables if isinstance(part, Mapping) and "name" in part}


def _add_options(
    merged: dict[str, dict[str, Any]], section: str, given: Mapping[str, Any], thing: str
) -> None:
    twice = sorted(set(merged.get(section, {})) & set(given))
    if twice:
        raise ConfigError(
            f"{section}.{twice[0]} is given twice: as an option, and by the object {thing}. Give one of the two."
        )
    if given:
        merged.setdefault(section, {}).update(given)


def is_name(wanted: Any) -> bool:
    """Return whether something names a component: text, a path, a value with its source, or a component itself."""
    return isinstance(wanted, str | os.PathLike | Registered | GivenValue)


def path_of(thing: Any) -> str | None:
    """Return ``module:Class``, under which Python finds a class or a function; None if there is no such place."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
    path = f"{module}:{name}"
    if module in (None, "__main__", "builtins") or not _PATH.fullmatch(path):
        return None
    return path if getattr(sys.modules.get(module), name, None) is thing else None


def is_path(name: str) -> bool:
    """Return whether a name has the form ``module:Class``, which no component of a plugin needs to have."""
    return bool(_PATH.fullmatch(name))


def by_path(registry: "Registry", kind: str, path: str, guess: str = "") -> Registered:
    """Return the component that run.toml, or a flag, calls ``module:Class``.

    Args:
        registry: The installed components.
        kind: The kind of component.
        path: What it is called.
        guess: What messages say of the name of a component that may be meant.

    Raises:
        ConfigError: If it is an object, if its module may not be imported or cannot be, or if it is of another kind.
    """
    module, _, name = path.partition(":")
    if module == YOURS:
        raise ConfigError(
            f"{kind} '{path}' was made in Python and has no name that leads back to it, so the command cannot open "
            f"this run. Python can, given it again: difrun.reopen(FOLDER, {kind}=...)."
        )
    if path not in _known:
        if not _allowed(module):
            raise ConfigError(
                f"No {kind} is called '{path}': no installed plugin '{module}' has it.{guess} If {name} is a "
                f"class or function of the module {module}, difrun imports no code that a folder or a flag names "
                f"unless you allow it: {VARIABLE}={module}. In Python give it itself, {kind}={name}, to difrun.run or "
                "difrun.reopen."
            )
        _known[path] = _imported(kind, module, name)
    entry, _ = own_entry(registry, kind, _known[path])
    return entry


def _allowed(module: str) -> bool:
    allowed = [name.strip() for name in os.environ.get(VARIABLE, "").split(",")]
    return any(module == name or module.startswith(f"{name}.") for name in allowed if name)


def _imported(kind: str, module: str, name: str) -> Any:
    """The class or function of a module that the user allowed."""
    try:
        thing = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{kind} '{module}:{name}': Python finds no module {error.name}. Add the folder that holds it to "
            "PYTHONPATH."
        ) from error
    except Exception as error:
        raise ConfigError(f"{kind} '{module}:{name}' cannot be imported: {in_one_line(error)}") from error
    own_kinds.refuse_wrong(kind, thing)
    return thing


def _from_class(registry: "Registry", kind: str, target: Any) -> Own:
    """The component of a class or a function, which is called as that of a plugin is."""
    path = path_of(target)
    if path is not None:
        _known[path] = target
    name = own_options.name_of(target)
    options = own_options.options_class(kind, target)
    how = "" if path is None else f"{VARIABLE}={path.partition(':')[0]} lets the command import it"
    return _own(registry, kind, target, target, options, path or f"{YOURS}:{name}", how)


def _from_object(registry: "Registry", kind: str, thing: Any) -> Own:
    """The component of an object, which is taken as it is; a network is copied before it is trained."""
    path = f"{YOURS}:{own_options.name_of(type(thing))}"
    return _own(registry, kind, thing, own_kinds.target_of_object(kind, thing), NoOptions, path, "")


def _own(registry: "Registry", kind: str, thing: Any, target: Any, options: type, path: str, how: str) -> Own:
    cls = thing if hasattr(thing, "__qualname__") else type(thing)
    # A class that extends an installed one goes with whatever that one goes with.
    bases = getattr(cls, "__mro__", ())[1:]
    installed = next((entry for base in bases if (entry := installed_entry(registry, kind, base))), None)
    words = own_kinds.capabilities(kind, thing, None if installed is None else installed.component)
    summary = (getattr(thing, "__doc__", None) or "").strip().partition("\n")[0]
    module = str(getattr(cls, "__module__", ""))
    name = own_options.name_of(cls)
    record: dict[str, Any] = {"class": name, "module": module}
    version = getattr(sys.modules.get(module.partition(".")[0]), "__version__", None)
    if isinstance(version, str):
        record["version"] = version
    if isinstance(target, own_kinds.FixedTimes):
        record["times"] = target.times
    record["reopen"] = how or f"only Python can open this run: difrun.reopen(FOLDER, {kind}=...)"
    component = Component(
        own_options.kebab(name), f"{_word(module)}:{name}", summary or f"your own {kind}", options, **words
    )
    return Own(kind, component, Plugin(YOURS, YOURS, "", module), target=target, path=path, record=record)


def _word(module: str) -> str:
    return module if re.fullmatch(r"[A-Za-z_][\w.]*", module) else YOURS
