"""The options of a user's own class, read from its signature, and the options of an object, read from the object."""

import inspect
import re
import typing
from pathlib import Path
from typing import Any

import attrs

from difrun.api import NoOptions
from difrun.errors import ConfigError
from difrun.options.parsing import check_supported, members
from difrun.plugin.signatures import ON_OFFER
from difrun.text import listed

_PLAIN = (bool, int, float, str, Path, type(None))


def name_of(thing: Any) -> str:
    """Return the name of a class or a function as one word, such as ``MyProcess``."""
    name = str(getattr(thing, "__name__", type(thing).__name__))
    word = re.sub(r"\W", "", name)
    return word if re.match(r"[A-Za-z_]", word) else "own"


def kebab(name: str) -> str:
    """Return ``my-process`` for ``MyProcess`` and ``my_process``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_+", "-", name).lower()
    words = re.sub(r"-+", "-", re.sub(r"[^a-z0-9-]", "", words)).strip("-")
    return words if re.match(r"[a-z]", words) else f"own-{words}".strip("-")


def options_class(kind: str, target: Any) -> type:
    """Return an attrs class of the options of a target: the parameters that are not on offer, with their defaults.

    A parameter is an option if it has a default and a type that options can have, by its annotation or its default.

    Raises:
        ConfigError: If the target needs a value that is neither on offer nor has a default.
    """
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # some builtins have none
        return NoOptions
    declared = {field.name: field for field in attrs.fields(target)} if attrs.has(target) else {}
    hints = _hints(target)
    on_offer = {argument.name for argument in ON_OFFER[kind]}
    found: dict[str, Any] = {}
    for parameter in parameters:
        name = parameter.name
        if name in on_offer or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is parameter.empty:
            raise ConfigError(
                f"{kind} {name_of(target)} needs a value for '{name}', which a run cannot know. "
                + _advice(target, name, [argument.name for argument in ON_OFFER[kind]])
            )
        hint = hints.get(name, type(parameter.default))
        if parameter.kind is not parameter.POSITIONAL_ONLY and _can_be_option(name, hint):
            field = declared.get(name)
            found[name] = attrs.field(
                default=parameter.default,
                type=hint,
                kw_only=True,
                validator=None if field is None else field.validator,
                metadata={"help": "" if field is None else field.metadata.get("help", ""), "metavar": None},
            )
    return attrs.make_class("Options", found, frozen=True) if found else NoOptions


def _advice(target: Any, name: str, offered: list[str]) -> str:
    """What to do about a parameter that a run has no value for."""
    if isinstance(target, type):
        return f"Give an object instead of the class, or '{name}' a default."
    if not offered:
        return f"Give '{name}' a default."
    return (
        f"A function is called with what its parameters name, of {listed(offered)}; give any other a default."
    )


def _can_be_option(name: str, hint: Any) -> bool:
    try:
        for member in members(hint):
            check_supported(object, name, member)
    except TypeError:
        return False
    return hint is not type(None)


def _hints(target: Any) -> dict[str, Any]:
    """The annotations of a target's parameters, where they can be resolved."""
    function = vars(target).get("__init__", target) if isinstance(target, type) else target
    try:
        return typing.get_type_hints(function)
    except Exception:  # a name that is not defined where the annotation is read
        return {}


def construction(kind: str, thing: Any) -> tuple[type, dict[str, Any]] | None:
    """Return the class of an object and the options with which it is made anew; None if it cannot be.

    It can be if every parameter of its class is an attribute of that name with a plain value, and the object made of
    them has the same attributes. A network is never made anew: its weights are more than its options.
    """
    cls = type(thing)
    if kind not in ("process", "loss", "sampler") or isinstance(thing, type) or inspect.isroutine(thing):
        return None
    try:
        names = list(inspect.signature(cls).parameters)
        given = {name: getattr(thing, name) for name in names}
        if not all(_is_plain(value) for value in given.values()):
            return None
        made = cls(**given)
    except Exception:  # positional-only parameters, attributes of other names, rules of the class
        return None
    attributes = _attributes(made)
    return (cls, given) if attributes is not None and attributes == _attributes(thing) else None


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (
        isinstance(value, tuple) and all(isinstance(item, _PLAIN) for item in value)
    )


def _attributes(thing: Any) -> dict[str, Any] | None:
    """What an object holds, as plain values; None if it holds anything else.

    What a class computes once and keeps under the name of a cached property says nothing new.
    """
    names = [field.name for field in attrs.fields(type(thing))] if attrs.has(type(thing)) else []
    found = {name: getattr(thing, name, None) for name in names}
    for name, value in getattr(thing, "__dict__", {}).items():
        if type(getattr(type(thing), name, None)).__name__ != "cached_property":
            found[name] = value
    return found if all(_is_plain(value) for value in found.values()) else None
