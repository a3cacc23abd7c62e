"""One attrs class per component: its flags, environment variables, TOML keys, validation, help and record.

A value from outside is a `GivenValue`, which remembers where it came from, so that every message names the flag, the
variable or the key that the user wrote. Text (flags, environment) is parsed by the field's type; TOML and Python values
keep their type. In all of them ``none`` stands for None, which TOML cannot write.
"""

import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from difrun.errors import ConfigError
from difrun.options.given import (
    GivenValue,
    absolute,
    has_nan_or_new_infinity,
    invalid,
    items,
    refuse_unwritable,
)
from difrun.options.parsing import (
    Mismatch,
    check_supported,
    coerce,
    describe,
    members,
    metavar_of,
    parse,
    plain,
    shown,
    shown_briefly,
)
from difrun.text import did_you_mean, in_one_line, listed

_ANY = (Exception, SystemExit, GeneratorExit)
"""What the code of a plugin may raise; KeyboardInterrupt may be the user's."""


@attrs.frozen
class Section:
    """Where the options of one part of a run are written.

    Attributes:
        name: The dotted name of its TOML table (``process``, ``metric.sliced-w2``; empty for the top level).
        prefix: What its flags start with, after ``--``.
    """

    name: str
    prefix: str

    def flag(self, option: str) -> str:
        """Return the flag of an option: ``--process.noise-floor``."""
        return f"--{self.prefix}{option.replace('_', '-')}"

    def negative(self, option: str) -> str:
        """Return the flag that turns a boolean option off: ``--dataset.no-flat``."""
        return f"--{self.prefix}no-{option.replace('_', '-')}"

    def variable(self, option: str) -> str:
        """Return the environment variable of an option: ``DIFRUN_PROCESS_THETA``."""
        return variable(*filter(None, (self.name, option)))

    def key(self, option: str) -> str:
        """Return the dotted TOML key of an option: ``process.theta``."""
        # Metrics are in the table [metrics], which also lists their names.
        name = "metrics" + self.name.removeprefix("metric") if self.name.startswith("metric.") else self.name
        return f"{name}.{option}" if name else option


def variable(*parts: str) -> str:
    """Return the environment variable of an option: ``DIFRUN_PROCESS_THETA``."""
    letters = "_".join(("difrun", *parts)).upper()
    return "".join(letter if letter.isalnum() else "_" for letter in letters)


@attrs.frozen
class Field:
    """One option of a component.

    Attributes:
        name: Its name in Python.
        type: Its type, as its annotation gives it.
        default: Its default.
        help: One line of help.
        metavar: What stands for its value in the help.
        range: The bounds of its validators as text, such as ``> 0``; empty if there are none.
        attribute: The attrs attribute with the validator.
    """

    name: str
    type: Any
    default: Any
    help: str
    metavar: str
    range: str
    attribute: attrs.Attribute

    @property
    def is_flag(self) -> bool:
        """Whether it is a switch on the command line, ``--x`` or ``--no-x``."""
        return self.type is bool

    @property
    def choices(self) -> list[str]:
        """Values that shell completion offers."""
        choices = []
        for member in members(self.type):
            if typing.get_origin(member) is Literal:
                choices += [str(value) for value in typing.get_args(member)]
            elif member is type(None):
                choices.append("none")
        return choices

    @property
    def note(self) -> str:
        """Default and range as the help shows them: ``default: 1.0; > 0``."""
        return f"default: {shown(self.default)}" + (f"; {self.range}" if self.range else "")


def fields(cls: type) -> list[Field]:
    """Return the options of an attrs class, in order.

    Raises:
        TypeError: If an option has no default, or a type that options cannot have.
    """
    attrs.resolve_types(cls)
    options = []
    for attribute in attrs.fields(cls):
        if not attribute.init:
            continue
        hint = attribute.type
        for member in members(hint):
            check_supported(cls, attribute.name, member)
        default = attribute.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = default.factory()
        if default is attrs.NOTHING:
            raise TypeError(f"option {attribute.name!r} of {cls.__name__} has no default")
        options.append(
            Field(
                attribute.name,
                hint,
                default,
                attribute.metadata.get("help") or "",
                attribute.metadata.get("metavar") or metavar_of(hint),
                _range(attribute.validator),
                attribute,
            )
        )
    return options


def build(cls: type, given: Mapping[str, Any], owner: str, section: Section | None = None) -> Any:
    """Build an instance of an options class.

    Args:
        cls: The options class.
        given: Values by name, as `GivenValue` or plain; options that are not given take their defaults.
        owner: The component in messages, such as ``process 'ou'``.
        section: Where its options are written, for messages.

    Raises:
        ConfigError: If a name is unknown (with a suggestion), a value has the wrong type or is out of its range (with
            its source), or the values together break a rule of the class.
    """
    return build_all([cls], given, owner, section)[0]


def build_all(
    classes: Sequence[type], given: Mapping[str, Any], owner: str, section: Section | None = None
) -> list[Any]:
    """Build instances of several options classes that share one section, as `build` does for one."""
    known = {field.name: field for cls in classes for field in fields(cls)}
    items = {
        name: value if isinstance(value, GivenValue) else GivenValue(value, f"'{name}' of {owner}")
        for name, value in given.items()
    }
    for name, item in items.items():
        if name not in known:
            former = [
                advice for cls in classes for advice in [getattr(cls, "FORMER", {}).get(name)] if advice
            ]
            raise unknown_option(name, item, owner, known, section, former[0] if former else "")
    read_values = {name: read(known[name], item) for name, item in items.items()}
    instances = []
    for cls in classes:
        try:
            instances.append(
                cls(**{name: read_values[name] for name in names_of(cls) if name in read_values})
            )
        except _ANY as error:  # a plugin may check its options together, and what that raises is its own
            sources = listed(item.source for item in items.values())
            text = f"Invalid options of {owner}: {_text(error)}."
            raise ConfigError(f"{text} Given: {sources}." if sources else text) from error
    return instances


def names_of(cls: type) -> list[str]:
    """Return the names of the options of an attrs class."""
    return [attribute.name for attribute in attrs.fields(cls) if attribute.init]


def unknown_option(
    name: str,
    item: GivenValue,
    owner: str,
    known: Iterable[str],
    section: Section | None = None,
    former: str = "",
) -> ConfigError:
    """Return the error for an option that does not exist, with the options that do, or with what is written now."""
    known = list(known)
    text = f"Unknown option {item.source}: {owner} has no '{shown_briefly(name)}'"
    if former:
        return ConfigError(f"{text} any more: {former}.")
    text += f".{did_you_mean(name, known)}"
    spelled = [section.flag(n) for n in known] if section and item.layer == "flag" else known
    return ConfigError(f"{text} Its options: {listed(spelled)}." if known else f"{text} It has no options.")


def read(field: Field, item: GivenValue) -> Any:
    """Return the typed and validated value of one option.

    Raises:
        ConfigError: If the value does not fit; the message names its source.
    """
    try:
        value = (parse if item.is_text else coerce)(field.type, item.value)
    except (Mismatch, RecursionError):
        expected = describe(field.type)
        if field.range and field.range != expected:
            expected += f", {field.range}"
        quoted = isinstance(item.value, str) and not item.is_text
        text = shown_briefly(item.value)
        got = f"the text '{text.strip()}'. Write it without quotes" if quoted else text
        raise invalid(item, f"expected {expected}; got {got}") from None
    refuse_unwritable(item, value)
    if isinstance(value, Path) and value != field.default:
        value = absolute(item, value)
    if has_nan_or_new_infinity(value, field.default):
        raise invalid(item, f"expected a finite number; got {shown_briefly(value)}")
    try:
        _validate(field, value)
    except _ANY as error:  # a plugin may write a validator of its own
        raise invalid(item, _text(error)) from error
    if any(isinstance(number, int) and number.bit_length() > 63 for number in items(value)):
        raise invalid(item, f"must be less than 2^63; got {shown_briefly(value)}")
    return value


def _validate(field: Field, value: Any) -> None:
    """Call the validators of an option. Raises ValueError with all bounds where one does not hold."""
    validator = field.attribute.validator
    if validator is None:
        return
    for each in getattr(validator, "_validators", (validator,)):
        try:
            # attrs passes the instance to validators; those of options look at the value alone.
            each(None, field.attribute, value)
        except _ANY as error:
            if not _range(each):
                raise
            raise ValueError(f"must be {field.range}; got {shown_briefly(value)}") from error


def record(options: Any) -> dict[str, Any]:
    """Return the values of an options instance as TOML can hold them; None becomes ``"none"``."""
    return {name: plain(getattr(options, name)) for name in names_of(type(options))}


def values(options: Any) -> dict[str, Any]:
    """Return the values of an options instance, as keywords for the target of its component."""
    return {name: getattr(options, name) for name in names_of(type(options))}


def _range(validator: Any) -> str:
    """``> 0, <= 1`` from attrs validators; empty where they state no bound."""
    parts = [_range(inner) for inner in getattr(validator, "_validators", ())]  # several validators
    inner = getattr(validator, "validator", None) or getattr(validator, "member_validator", None)
    if inner is not None:  # optional(...) and deep_iterable(...)
        parts.append(_range(inner))
    if hasattr(validator, "compare_op") and hasattr(validator, "bound"):
        parts.append(f"{validator.compare_op} {shown(validator.bound)}")
    elif type(validator).__name__ == "_InValidator":
        parts.append("one of " + listed(str(choice) for choice in validator.options))
    return listed(filter(None, parts))


# A validator may repeat the value, and a value may go on for pages.
_LONGEST = 500


def _text(error: BaseException) -> str:
    if isinstance(error, ValueError | TypeError):
        text = str(error.args[0] if error.args else error).rstrip(".")
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"
    return in_one_line(error)
