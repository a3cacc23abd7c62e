"""Rules for components of every kind."""

import inspect
import re
from typing import Any, Literal, get_origin

import pytest

from difrun.errors import ConfigError, DifrunError
from difrun.options.attrs_fields import Field, GivenValue, build, fields, read
from difrun.options.parsing import members
from difrun.plugin.signatures import ON_OFFER, misfits, requires
from difrun.testing.check import ComponentUnderTest, check

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

DIRECTIONS = {">": -1.0, ">=": -1.0, "<": 1.0, "<=": 1.0}


@check("any")
def has_a_summary_of_one_line(subject: ComponentUnderTest) -> None:
    """The summary is one line of at most 110 characters that says something."""
    summary = subject.entry.component.summary
    assert summary.strip() == summary
    assert "\n" not in summary
    assert 8 <= len(summary) <= 110, summary


@check("any")
def is_documented(subject: ComponentUnderTest) -> None:
    """The target has a docstring of its own."""
    text = subject.target.__doc__
    inherited = [base.__doc__ for base in getattr(subject.target, "__mro__", ())[1:]]
    assert text, f"{subject.entry.component.target} has no docstring"
    assert text.strip(), f"{subject.entry.component.target} has no docstring"
    assert text not in inherited, f"{subject.entry.component.target} only inherits its docstring"


@check("any")
def takes_exactly_its_options(subject: ComponentUnderTest) -> None:
    """The target takes all its options, and any of the values on offer to its kind, but nothing else."""
    parameters = inspect.signature(subject.target).parameters
    catch_all = [p.name for p in parameters.values() if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    assert not catch_all, f"*args and **kwargs hide what the target takes: {catch_all}"
    options = [field.name for field in fields(subject.entry.component.options)]
    wrong = misfits(subject.entry.kind, subject.target, options)
    assert not wrong, "; ".join(wrong)
    on_offer = {argument.name for argument in ON_OFFER[subject.entry.kind]}
    unreachable = set(parameters) - on_offer - set(options)
    assert not unreachable, f"neither an option nor on offer: {', '.join(sorted(unreachable))}"


@check("model")
def declares_that_it_takes_classes(subject: ComponentUnderTest) -> None:
    """A network that asks for `classes` provides ``conditional``, and no other network does."""
    declared = "conditional" in subject.entry.component.provides
    asked = subject.entry.asks_for("classes")
    assert declared == asked, (
        f"'conditional' is {'' if declared else 'not '}provided; `classes` are {'' if asked else 'not '}asked for"
    )


@check("metric")
def declares_that_it_is_of_labels(subject: ComponentUnderTest) -> None:
    """A metric that requires `labels` provides ``labels``, and no other metric does.

    It is chosen by default only if data and model know classes.
    """
    declared = "labels" in subject.entry.component.provides
    required = requires(subject.target, "labels")
    assert declared == required, (
        f"'labels' is {'' if declared else 'not '}provided; `labels` are {'' if required else 'not '}required"
    )


@check("metric")
def declares_that_it_is_of_conditions(subject: ComponentUnderTest) -> None:
    """A metric that requires `conditions` provides ``conditions``, and no other metric does.

    It is chosen by default only if samples get the conditions of the data.
    """
    declared = "conditions" in subject.entry.component.provides
    required = requires(subject.target, "conditions")
    assert declared == required, (
        f"'conditions' is {'' if declared else 'not '}provided; `conditions` are {'' if required else 'not '}required"
    )


@check("any")
def has_the_same_defaults_in_both_places(subject: ComponentUnderTest) -> None:
    """If a parameter of the target has a default, it is the default of the option."""
    parameters = inspect.signature(subject.target).parameters
    for field in fields(subject.entry.component.options):
        default = parameters[field.name].default
        if default is not inspect.Parameter.empty and not repr(default).startswith("NOTHING"):
            assert default == field.default, (
                f"{field.name}: {default!r} in the target, {field.default!r} in the options"
            )


@check("any")
def explains_every_option(subject: ComponentUnderTest) -> None:
    """Every option has a plain name, one line of help, a supported type and a default."""
    for field in fields(subject.entry.component.options):  # raises for a type that options cannot have
        assert NAME.fullmatch(field.name), field.name
        assert field.help.strip(), f"option {field.name} has no help"
        assert "\n" not in field.help


@check("any")
def defaults_are_valid(subject: ComponentUnderTest) -> None:
    """Every default has the type of its option and passes its validators, as a user's value must."""
    cls = subject.entry.component.options
    for field in fields(cls):
        assert read(field, GivenValue(field.default, field.name)) == field.default
    assert build(cls, {}, subject.label) == cls()


@check("any")
def refuses_values_out_of_range(subject: ComponentUnderTest) -> None:
    """An error names the option for a value beyond a bound or not among the choices, and for an unknown option."""
    cls, owner = subject.entry.component.options, subject.label
    for field in fields(cls):
        for value in _outside(field):
            with pytest.raises(ConfigError, match=re.escape(field.name)):
                build(cls, {field.name: value}, owner)
    with pytest.raises(ConfigError, match="no_such_option"):
        build(cls, {"no_such_option": 1}, owner)


def _outside(field: Field) -> list[Any]:
    """Values that an option must not take."""
    beyond: list[Any] = []
    for operator, bound in _bounds(field.attribute.validator):
        step = DIRECTIONS[operator] * max(1.0, abs(bound))
        beyond.append(type(bound)(bound + step))
        if operator in (">", "<"):
            beyond.append(bound)
    kinds = members(field.type)
    if all(get_origin(member) is Literal for member in kinds):
        beyond.append("no-such-choice")
    if set(kinds) <= {int, float}:
        beyond.append("no number")
    return beyond


def _bounds(validator: Any) -> list[tuple[str, Any]]:
    inner = [bound for part in getattr(validator, "_validators", ()) for bound in _bounds(part)]
    if hasattr(validator, "compare_op") and hasattr(validator, "bound"):
        inner.append((validator.compare_op, validator.bound))
    return inner


def make_or_skip(subject: ComponentUnderTest, **offered: Any) -> Any:
    """The component with its defaults; the test is skipped if one of its options must be set."""
    try:
        return subject.make(**offered)
    except DifrunError as error:
        pytest.skip(f"{subject.label} needs an option: {error}")
