"""A value from outside, and what no option can have for a value."""

import math
from pathlib import Path
from typing import Any, Literal

import attrs

from difrun.errors import ConfigError
from difrun.options.parsing import shown_briefly


@attrs.frozen
class GivenValue:
    """A value and its source.

    Attributes:
        value: The value, as text or as TOML or Python has it.
        source: What the user wrote: ``--process.theta``, ``DIFRUN_SEED``, ``process.theta in run.toml``.
        layer: Where it comes from.
    """

    value: Any
    source: str
    layer: Literal["flag", "environment", "file", "python"] = "python"

    @property
    def is_text(self) -> bool:
        """Whether the value is text that is still to be parsed."""
        return self.layer in ("flag", "environment")


def refuse_unwritable(item: GivenValue, value: Any) -> None:
    """Refuse text that no file name and no TOML file can hold."""
    for text in items(value):
        if isinstance(text, str | Path):
            if "\0" in str(text):
                raise invalid(item, "the text has a character of code 0")
            try:
                str(text).encode()
            except UnicodeEncodeError:
                raise invalid(
                    item, f"the text {shown_briefly(ascii(str(text)))} is not valid UTF-8"
                ) from None


def absolute(item: GivenValue, path: Path) -> Path:
    """The absolute path, as a run must mean the same from any folder."""
    try:
        return path.expanduser().absolute()
    except (RuntimeError, OSError) as error:  # no such user; the working folder is gone
        raise invalid(item, f"the path {shown_briefly(path)} leads nowhere: {error}") from None


def items(value: Any) -> tuple[Any, ...]:
    """The items of a tuple; the value itself, if it is none."""
    return value if isinstance(value, tuple) else (value,)


def has_nan_or_new_infinity(value: Any, default: Any) -> bool:
    """Whether a number is NaN, or infinite although the default is not."""
    if isinstance(value, tuple):
        return any(has_nan_or_new_infinity(item, default) for item in value)
    if not isinstance(value, float) or math.isfinite(value):
        return False
    return math.isnan(value) or not (isinstance(default, float) and math.isinf(default))


def invalid(item: GivenValue, why: str) -> ConfigError:
    """The error for a value, with its source."""
    return ConfigError(f"Invalid value for {item.source}: {why}.")
