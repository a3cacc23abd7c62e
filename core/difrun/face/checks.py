"""What the functions of this package refuse: numbers that are none, and options and arguments without effect."""

import math
import numbers
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from difrun.errors import ConfigError
from difrun.face.arguments import Sections
from difrun.options.parsing import python_number
from difrun.text import described, listed


def level_of(at: Any) -> float:
    """Return a level as a number, from any real number, or an array or a tensor of no dimensions.

    Raises:
        ConfigError: If it is none.
    """
    number = python_number(at)
    if isinstance(number, bool) or not isinstance(number, numbers.Real) or not math.isfinite(number):
        raise ConfigError(f"Invalid value for at: expected a time, a number; got {described(at)}.")
    return float(number)


def whole(name: str, value: Any, least: int) -> int:
    """Return a whole number of any format, at least `least`.

    Args:
        name: The argument, for the message.
        value: The number.
        least: The least that it may be.

    Raises:
        ConfigError: If it is none, or smaller.
    """
    number = python_number(value)
    if isinstance(number, bool) or not isinstance(number, numbers.Integral) or number < least:
        raise ConfigError(
            f"Invalid value for {name}: expected a whole number of at least {least}; got {described(value)}."
        )
    return int(number)


def a_seed(seed: Any) -> int:
    """Return a seed, a whole number from 0 to 2^63 − 1. Raises ConfigError if it is none."""
    number = whole("seed", seed, 0)
    if number >= 2**63:
        raise ConfigError("Invalid value for seed: expected a whole number from 0 to 2^63 − 1.")
    return number


def several_whole(name: str, value: Any, least: int) -> list[int]:
    """Return one or several whole numbers as a list.

    Raises:
        ConfigError: If there are none, or one is no whole number or smaller than `least`.
    """
    parts = [value] if is_whole(value) else value
    if isinstance(parts, str | bytes | dict) or not isinstance(parts, Iterable) or not list(parts):
        raise ConfigError(
            f"Invalid value for {name}: expected a whole number, or several; got {described(value)}."
        )
    return [whole(name, part, least) for part in parts]


def count_of(n: Any, given: Sections, least: int = 1) -> int | None:
    """Return how many samples are asked for, by the argument n or the option of that name; None if by neither.

    The option is taken out of those that are given.

    Raises:
        ConfigError: If both are given, or it is no whole number of at least `least`.
    """
    option = given.get("sample", {}).pop("n", None)
    if option is None:
        return maybe_whole("n", n, least)
    if n is not None:
        raise ConfigError(f"{option.source} is given twice, as an option and as n; give it once.")
    return whole(option.source, option.value, least)


def maybe_whole(name: str, value: Any, least: int) -> int | None:
    """Return a whole number as `whole` does; None stays None."""
    return None if value is None else whole(name, value, least)


def is_whole(value: Any) -> bool:
    """Return whether something is one whole number, and not several."""
    number = python_number(value)
    return isinstance(number, numbers.Integral) and not isinstance(number, bool)


def a_path(name: str, value: Any, also: str = "") -> None:
    """Raise ConfigError unless an argument is a path or None.

    Args:
        name: The argument, for the message.
        value: What was given.
        also: What else it may be, for the message.
    """
    if value is not None and not isinstance(value, str | os.PathLike):
        raise ConfigError(
            f"Invalid value for {name}: expected {also}a path, text or pathlib.Path; got {type(value).__name__}."
        )


def refuse_other_options(given: Sections, function: str, takes: Iterable[str], advice: str = "") -> None:
    """Raise ConfigError for an option that would have no effect.

    Args:
        given: The options, by section.
        function: What the options are given to, for the message.
        takes: The sections that have an effect, such as "sampler" or "guidance", and single options of others, such as
            "sample.steps" or "seed".
        advice: What to do instead, for the message.

    Raises:
        ConfigError: If there is one.
    """
    known = list(takes)
    for section, own in given.items():
        for name in own:
            option = f"{section}.{name}" if section else name
            if any(option == part or option.startswith(f"{part}.") for part in known):
                continue
            plain = listed([part.removeprefix("sample.") for part in known])
            also = f"; {advice}" if advice else ""
            raise ConfigError(
                f"options['{option}'] has no effect on {function}, which takes options of {plain}{also}."
            )


def refuse_guidance(guidance: Any, given: Sections) -> None:
    """Raise ConfigError for a guidance, or options of one, where the samples are given."""
    if guidance is not None or any(section.startswith("guidance.") for section in given):
        raise ConfigError(
            "guidance draws other samples, and samples are given: leave out guidance and its options, or samples."
        )


def is_file(samples: Any) -> bool:
    """Return whether samples are the path of a file."""
    return isinstance(samples, str | Path)
