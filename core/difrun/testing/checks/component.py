"""Rules for components of every kind."""

import inspect
import re
from typing import Any, Literal, get_origin

from difrun.errors import ConfigError
from difrun.options.attrs_fields import Field, GivenValue, build, fields, read
from difrun.options.parsing import members
from difrun.plugin.signatures import ON_OFFER, misfits, requires
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import Refused, ensure, ensure_equal, ensure_refused

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

DIRECTIONS = {">": -1.0, ">=": -1.0, "<": 1.0, "<=": 1.0}


@check("any", declares=True)
def has_a_summary_of_one_line(subject: ComponentUnderTest) -> None:
    """The summary is one line of 8 to 110 characters that says something."""
    summary = subject.entry.component.summary
    ensure(
        summary.strip() == summary and "\n" not in summary, repr(summary), "one line without spaces around it"
    )
    ensure(8 <= len(summary) <= 110, f"{len(summary)} characters: {summary!r}", "8 to 110 characters")


@check("any")
def can_be_made(subject: ComponentUnderTest) -> None:
    """The target can be imported; a process, loss or sampler can be made of its default options, and is one."""
    _, wrong = subject.fault
    if wrong:
        raise Refused(wrong, "a target that a run can load and call with its options")


@check("any")
def is_documented(subject: ComponentUnderTest) -> None:
    """The target has a docstring of its own."""
    text, target = subject.target.__doc__ or "", subject.entry.component.target
    inherited = [base.__doc__ for base in getattr(subject.target, "__mro__", ())[1:]]
    ensure(text.strip(), f"{target} has no docstring", "a docstring")
    ensure(text not in inherited, f"{target} only inherits its docstring", "a docstring of its own")


@check("any")
def takes_exactly_its_options(subject: ComponentUnderTest) -> None:
    """The target takes all its options, and any of the values on offer to its kind, but nothing else."""
    parameters = inspect.signature(subject.target).parameters
    catch_all = [p.name for p in parameters.values() if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    ensure(not catch_all, f"*args and **kwargs hide what the target takes: {catch_all}", "options by name")
    options = [field.name for field in fields(subject.entry.component.options)]
    wrong = misfits(subject.entry.kind, subject.target, options)
    ensure(not wrong, "; ".join(wrong), "options and values on offer")
    on_offer = {argument.name for argument in ON_OFFER[subject.entry.kind]}
    unreachable = set(parameters) - on_offer - set(options)
    ensure(
        not unreachable, f"neither an option nor on offer: {', '.join(sorted(unreachable))}", "none of these"
    )


@check("model", once=True, declares=True)
def declares_that_it_takes_classes(subject: ComponentUnderTest) -> None:
    """A network that asks for `classes` provides ``conditional``, and no other network does."""
    declared = "conditional" in subject.entry.component.provides
    asked = subject.entry.asks_for("classes")
    ensure(
        declared == asked,
        f"'conditional' is {'' if declared else 'not '}provided; `classes` are {'' if asked else 'not '}asked for",
        "both or neither",
    )


@check("metric", once=True, declares=True)
def declares_that_it_is_of_labels(subject: ComponentUnderTest) -> None:
    """A metric that requires `labels` provides ``labels``, and no other metric does.

    It is chosen by default only if data and model know classes.
    """
    declared = "labels" in subject.entry.component.provides
    required = requires(subject.target, "labels")
    ensure(
        declared == required,
        f"'labels' is {'' if declared else 'not '}provided; `labels` are {'' if required else 'not '}required",
        "both or neither",
    )


@check("metric", once=True, declares=True)
def declares_that_it_is_of_conditions(subject: ComponentUnderTest) -> None:
    """A metric that requires `conditions` provides ``conditions``, and no other metric does.

    It is chosen by default only if samples get the conditions of the data.
    """
    declared = "conditions" in subject.entry.component.provides
    required = requires(subject.target, "conditions")
    ensure(
        declared == required,
        f"'conditions' is {'' if declared else 'not '}provided; `conditions` are {'' if required else 'not '}required",
        "both or neither",
    )


@check("any")
def has_the_same_defaults_in_both_places(subject: ComponentUnderTest) -> None:
    """If a parameter of the target has a default, it is the default of the option."""
    parameters = inspect.signature(subject.target).parameters
    for field in fields(subject.entry.component.options):
        default = parameters[field.name].default if field.name in parameters else inspect.Parameter.empty
        if default is not inspect.Parameter.empty and not repr(default).startswith("NOTHING"):
            ensure(default == field.default, f"{field.name} = {default!r} in the target", repr(field.default))


@check("any", declares=True)
def explains_every_option(subject: ComponentUnderTest) -> None:
    """Every option has a plain name, one line of help, a supported type and a default."""
    for field in fields(subject.entry.component.options):  # raises for a type that options cannot have
        ensure(NAME.fullmatch(field.name), f"an option called {field.name!r}", "a name such as noise_floor")
        ensure(
            field.help.strip() and "\n" not in field.help,
            f"option {field.name} has the help {field.help!r}",
            "one line of help",
        )


@check("any", declares=True)
def defaults_are_valid(subject: ComponentUnderTest) -> None:
    """Every default has the type of its option and passes its validators, as a user's value must."""
    cls = subject.entry.component.options
    for field in fields(cls):
        ensure_equal(read(field, GivenValue(field.default, field.name)), field.default, field.name)
    ensure_equal(build(cls, {}, subject.label), cls(), "the options without any value given")


@check("any", declares=True)
def refuses_values_out_of_range(subject: ComponentUnderTest) -> None:
    """An error names the option for a value beyond a bound or not among the choices, and for an unknown option."""
    cls, owner = subject.entry.component.options, subject.label
    for field in fields(cls):
        for value in _outside(field):
            what = f"{field.name} = {value!r}"
            ensure_refused(
                build, cls, {field.name: value}, owner, what=what, says=re.escape(field.name), by=ConfigError
            )
    unknown = {"no_such_option": 1}
    ensure_refused(
        build,
        cls,
        unknown,
        owner,
        what="an option that does not exist",
        says="no_such_option",
        by=ConfigError,
    )


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
