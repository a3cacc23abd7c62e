"""Declare what a file must hold, and compare a parsed file with that before anything in it is used.

A run folder may come from a stranger, or from a disk that fails. `difrun.runs.folder.contents` has a class for every
file, which declares its keys and what is expected of each. `structure` compares a parsed file with its class, and says
in one sentence which key of which file is wrong and what was expected. Keys that no class declares are left alone:
plugins and later versions may add some.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs

from difrun.errors import DifrunError
from difrun.storage.regular import MOST_TEXT, read_bounded
from difrun.text import clipped

Data = TypeVar("Data")

MOST_DIGITS = 19
"""The most digits of a whole number in a file: those of 64 bits."""


class Misfit(Exception):
    """A value is not what was expected; `key` leads to it, as in ``metrics.w2.value``."""

    def __init__(self, key: str, expected: str, value: Any) -> None:
        self.key, self.expected, self.value = key, expected, value
        super().__init__(f"{clipped(key) or 'the file'}: expected {expected}, found {_shown(value)}")


Expectation = Callable[[str, Any], None]
"""Called with a key and its value. Raises `Misfit` if the value is not as expected."""


def expect(expected: str, fits: Callable[[Any], bool]) -> Expectation:
    """Return an expectation in words, and the function that tells whether a value meets it."""

    def check(key: str, value: Any) -> None:
        if not fits(value):
            raise Misfit(key, expected, value)

    return check


def is_number(value: Any) -> bool:
    """Return whether a value is a number, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any, least: int = 0, most: int = 2**63 - 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


number = expect("a number", is_number)
finite = expect("a finite number", lambda value: is_number(value) and math.isfinite(value))
positive = expect("a number of at least 0", lambda value: is_number(value) and 0 <= value < math.inf)
whole = expect("a whole number of at least 0", _is_whole)
counted = expect("a whole number of at least 1", lambda value: _is_whole(value, 1))
text = expect("text", lambda value: isinstance(value, str))
yes_or_no = expect("true or false", lambda value: isinstance(value, bool))
table = expect("an object", lambda value: isinstance(value, dict))


def optional(inner: Expectation) -> Expectation:
    """Return an expectation that null meets as well."""
    return lambda key, value: None if value is None else inner(key, value)


def one_of(*choices: str) -> Expectation:
    """Return the expectation of one of some words."""
    return expect(" or ".join(map(repr, choices)), lambda value: isinstance(value, str) and value in choices)


def in_place(place: str, inner: Expectation) -> Expectation:
    """Return an expectation whose messages begin with the name of a part of the file."""
    return lambda key, value: inner(place, value)


def list_of(inner: Expectation, what: str) -> Expectation:
    """Return the expectation of a list; what: what it is a list of, in words."""

    def check(key: str, value: Any) -> None:
        if not isinstance(value, list):
            raise Misfit(key, f"a list of {what}", value)
        for index, item in enumerate(value):
            inner(f"{key}[{index}]", item)

    return check


def table_of(inner: Expectation, most: int = 10_000) -> Expectation:
    """Return the expectation of an object of at most `most` keys, all of whose values are as `inner` expects."""

    def check(key: str, value: Any) -> None:
        table(key, value)
        if len(value) > most:
            raise Misfit(key, f"at most {most} keys", len(value))
        for name, item in value.items():
            inner(f"{key}.{name}" if key else str(name), item)

    return check


def record(cls: type) -> Expectation:
    """Return the expectation of an object with the keys of a class of this module."""

    def check(key: str, value: Any) -> None:
        table(key, value)
        for field in attrs.fields(cls):
            place = f"{key}.{field.name}" if key else field.name
            if field.name in value:
                field.metadata["expected"](place, value[field.name])
            elif field.default is attrs.NOTHING:
                raise Misfit(place, "a value", None)
        for more in getattr(cls, "checks", ()):
            more(key, value)

    return check


def key(expected: Expectation, *, required: bool = False) -> Any:
    """Return a field of a class of this module."""
    default: dict[str, Any] = {} if required else {"default": None}
    return attrs.field(metadata={"expected": expected}, **default)


def structure(cls: type, data: Any, file: Path, advice: str = "") -> Any:
    """Return `data` if it is as a class expects.

    Args:
        cls: A class of this module.
        data: The parsed file.
        file: The file, for the message.
        advice: What the user should do, for the message.

    Raises:
        DifrunError: If it is not; the message names the file, the key and what was expected.
    """
    return fitting(record(cls), data, file, advice)


def fitting(expected: Expectation, data: Data, file: Path, advice: str = "") -> Data:
    """Return `data` if it meets an expectation; raises as `structure`."""
    try:
        expected("", data)
    except Misfit as misfit:
        raise damaged(file, str(misfit), advice) from None
    return data


def damaged(file: Path, why: str, advice: str = "") -> DifrunError:
    """Return the error for a file of a run that cannot be used."""
    return DifrunError(f"{file} is damaged: {why}. {advice}".rstrip())


def read_json(file: Path, advice: str = "", most: int = MOST_TEXT) -> Any:
    """Read a JSON file of a run, which may be no link out of the folder.

    Raises:
        DifrunError: If it cannot be read, is too large, or is not JSON in UTF-8.
    """
    try:
        data = read_bounded(file, most, within=file.parent)
    except OSError as error:
        raise DifrunError(f"Cannot read {file}: {error.strerror or error}.") from error
    try:
        return parse_json(data)
    except ValueError as error:
        raise damaged(file, f"expected JSON ({error})", advice) from None


def parse_json(data: bytes | str) -> Any:
    """Parse JSON. Raises ValueError for anything else, deep nesting, and whole numbers of more than 64 bits."""
    try:
        return json.loads(data if isinstance(data, str) else data.decode("utf-8"), parse_int=_bounded_int)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _bounded_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits.lstrip('-'))} digits")
    return int(digits)


def _shown(value: Any) -> str:
    """A value for a message, in a few words."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    return clipped(repr(value), 40)
