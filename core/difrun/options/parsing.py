"""Values of options as text, as TOML and in Python.

The types are int, float, str, bool, Path, Literal, tuples of one of the first three, unions of these, and
None. A tuple is written with commas. ``none`` stands for None everywhere, because TOML has no null.
"""

import math
import types
import typing
from pathlib import Path
from typing import Any, Literal

from difrun.text import clipped, described, listed

MOST_FLOAT = 2**1023
"""Whole numbers up to this size are taken for a float; the largest float is nearly twice as large."""

_TRUTH = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)


class Mismatch(Exception):
    """A value does not have the expected type."""


def members(hint: Any) -> list[Any]:
    """Return the members of a union, most specific first, so that "none" and numbers are tried before text."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return [hint]
    most_specific_first = [type(None), Literal, bool, int, float, tuple, Path, str]
    ranks = {kind: rank for rank, kind in enumerate(most_specific_first)}
    return sorted(typing.get_args(hint), key=lambda member: ranks.get(typing.get_origin(member) or member, 9))


def check_supported(cls: type, name: str, member: Any) -> None:
    """Raise TypeError if the option `name` of the class `cls` cannot have the type `member`."""
    origin = typing.get_origin(member)
    if origin is tuple:
        inner, *rest = typing.get_args(member)
        if inner in (int, float, str) and rest == [...]:
            return
    elif origin is Literal or member in (int, float, str, bool, Path, type(None)):
        return
    raise TypeError(f"option {name!r} of {cls.__name__} has a type that options cannot have: {member!r}")


def parse(hint: Any, text: str) -> Any:
    """Return the value that a text from the command line or the environment stands for.

    Raises:
        Mismatch: If the text stands for no value of that type.
    """
    for member in members(hint):
        try:
            return _parse_one(member, text.strip())
        except (ValueError, KeyError):  # Python reads no whole number of over 4300 digits: a ValueError
            continue
    raise Mismatch


def _parse_one(member: Any, text: str) -> Any:
    if member is type(None):
        return {"none": None}[text.lower()]
    if member is bool:
        return _TRUTH[text.lower()]
    origin = typing.get_origin(member)
    if origin is Literal:
        return {str(value): value for value in typing.get_args(member)}[text]
    if origin is tuple:
        parts = [part.strip() for part in text.removesuffix(",").split(",")] if text else []
        return tuple(_parse_one(typing.get_args(member)[0], part) for part in parts)
    if member is not str and not text:
        raise ValueError
    return member(text)


def coerce(hint: Any, value: Any) -> Any:
    """Convert a TOML or Python value to the expected type: an int to a float, a list to a tuple.

    Raises:
        Mismatch: If the value cannot be converted.
    """
    for member in members(hint):
        try:
            return _coerce_one(member, value)
        except Mismatch:
            continue
    raise Mismatch


def _coerce_one(member: Any, value: Any) -> Any:
    value = python_number(value)
    origin = typing.get_origin(member)
    if origin is Literal:
        return _coerce_literal(typing.get_args(member), value)
    if origin is tuple:
        return _coerce_tuple(typing.get_args(member)[0], value)
    if member is type(None) and value in (None, "none"):
        return None
    # bool is a subclass of int, but yes is not a number.
    if isinstance(value, bool) and member is not bool:
        raise Mismatch
    if member is float:
        return _coerce_float(value)
    if member is Path:
        return _coerce_path(value)
    if isinstance(value, member):
        return value
    raise Mismatch


def python_number(value: Any) -> Any:
    """Return the number in a scalar of NumPy or a tensor of no dimensions; anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def _coerce_float(value: Any) -> float:
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < MOST_FLOAT):
        return float(value)
    raise Mismatch


def _coerce_path(value: Any) -> Path:
    if isinstance(value, str | Path) and str(value):
        return Path(value)
    raise Mismatch


def _coerce_tuple(member: Any, value: Any) -> tuple[Any, ...]:
    if isinstance(value, list | tuple):
        return tuple(_coerce_one(member, item) for item in value)
    raise Mismatch


def _coerce_literal(choices: tuple[Any, ...], value: Any) -> Any:
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    raise Mismatch


def plain(value: Any) -> Any:
    """Convert a value to one that TOML can hold."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def describe(hint: Any) -> str:
    """Describe in words which values a type accepts."""
    names = {int: "a whole number", float: "a number", str: "text", bool: "yes or no", Path: "a path"}
    parts = []
    for member in members(hint):
        if member is type(None):
            continue
        origin = typing.get_origin(member)
        if origin is Literal:
            parts.append("one of " + listed(str(value) for value in typing.get_args(member)))
        elif origin is tuple:
            inner = {int: "whole numbers", float: "numbers", str: "words"}[typing.get_args(member)[0]]
            parts.append(f"{inner} joined by commas")
        else:
            parts.append(names[member])
    if type(None) in members(hint):
        parts.append("'none'")
    return listed(parts, last=" or ")


def metavar_of(hint: Any) -> str:
    """Return what stands for a value of this type in the help, such as ``INT``."""
    names = {int: "INT", float: "NUMBER", str: "TEXT", bool: "", Path: "PATH"}
    parts = []
    for member in members(hint):
        origin = typing.get_origin(member)
        if origin is Literal:
            parts.append("|".join(str(value) for value in typing.get_args(member)))
        elif origin is tuple:
            parts.append({int: "INT", float: "NUMBER", str: "TEXT"}[typing.get_args(member)[0]] + ",...")
        elif member is not type(None):
            parts.append(names[member])
    return "|".join(parts)


def shown(value: Any) -> str:
    """Format a value as the command line writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and value.bit_length() > 256:
        # Python does not write whole numbers of over 4300 digits.
        return f"{'-' if value < 0 else ''}10^{value.bit_length() * math.log10(2):.0f} or so"
    if isinstance(value, tuple | list):
        return ",".join(shown(item) for item in value) or "(empty)"
    if isinstance(value, float) and math.isfinite(value) and len(repr(value)) > 8:
        return f"{value:.6g}"
    return repr(value) if isinstance(value, str) and not value.strip() else str(value)


def shown_briefly(value: Any, most: int = 100) -> str:
    """Format a value for a message, without what goes on for pages."""
    try:
        text = described(value) if getattr(value, "shape", ()) else shown(value)
    except RecursionError:
        text = "lists in lists in lists"
    return clipped(text, most)
