"""A second valid value for each option of a component, at which its rules are tried again."""

import math
from typing import Any, Literal, get_args, get_origin

from difrun.options.attrs_fields import Field, fields
from difrun.options.parsing import members

BIG = 8
"""Whole numbers from here on are halved: the second value should not make a test larger."""


def second_value(field: Field, cls: type) -> Any:
    """Another value than its default that the options class takes for an option; None if there is none to be found.

    An option names it itself (`difrun.api.option`, `second`); if it names its default, there is none. Otherwise it is
    a number half as large, or half as large again.
    """
    named = field.attribute.metadata.get("second")
    for value in [named] if named is not None else candidates(field):
        if value != field.default and accepted(cls, {field.name: value}) is not None:
            return value
    return None


def second_options(cls: type) -> Any:
    """The options with a second value for each number, as far as they go together; None if no option is a number."""
    chosen: dict[str, Any] = {}
    for field in fields(cls):
        value = second_value(field, cls) if is_number(field) else None
        if value is not None and accepted(cls, {**chosen, field.name: value}) is not None:
            chosen[field.name] = value
    return accepted(cls, chosen) if chosen else None


def accepted(cls: type, values: dict[str, Any]) -> Any:
    """The options with these values; None if the class refuses them."""
    try:
        return cls(**values)
    except (ValueError, TypeError):
        return None


def is_number(field: Field) -> bool:
    """Whether an option may be a number, and has no choices."""
    kinds = members(field.type)
    return (int in kinds or float in kinds) and not choices(field.type)


def choices(hint: Any) -> list[Any]:
    """The values of an option that has finitely many."""
    if hint is bool:
        return [False, True]
    return [value for member in members(hint) if get_origin(member) is Literal for value in get_args(member)]


def candidates(field: Field) -> list[Any]:
    """Values to try for an option, the best first."""
    if choices(field.type):
        return choices(field.type)
    kinds, default = members(field.type), field.default
    if float in kinds:
        if isinstance(default, int | float) and math.isfinite(default) and default:
            return [1.5 * default, 0.5 * default, default + 0.5, 0.9 * default]
        return [0.5, 2.0, 0.1, 10.0, 1.0]
    if int in kinds:
        if isinstance(default, int):
            half = [default // 2] if abs(default) >= BIG else []
            return [*half, default + 1, default - 1, 2 * default, 3]
        return [2, 3, 1, 4]
    return []
