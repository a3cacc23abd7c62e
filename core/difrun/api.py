"""What a plugin imports to declare itself: hook markers, `Component` and `option`. No torch, numpy or click.

A plugin is a module named by an entry point of the group ``difrun``. Its hook implementations return lists of
`Component`. Each component names its implementation by an import string, which is loaded on first use::

    @hookimpl
    def difrun_samplers():
        return [Component("leap", "my_package.leap:Leap", "One step of leapfrog", requires={"gaussian"})]
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import pluggy

from difrun.errors import OptionError

hookspec = pluggy.HookspecMarker("difrun")
hookimpl = pluggy.HookimplMarker("difrun")

KINDS = {
    "process": "difrun_processes",
    "model": "difrun_models",
    "loss": "difrun_losses",
    "sampler": "difrun_samplers",
    "guidance": "difrun_guidances",
    "grid": "difrun_grids",
    "dataset": "difrun_datasets",
    "metric": "difrun_metrics",
}
"""Kinds of components, and the hook through which each is offered."""

MANY = ("guidance", "metric")
"""Kinds with any number of components per run."""

MOST_OF_A_SUMMARY = 200
"""The most characters of a summary, a name or a target."""

MOST_WORDS = 50
"""The most words that a component provides or requires."""

_WORD = re.compile(r"[\w.+-]{1,60}")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@attrs.frozen
class NoOptions:
    """The options of a component that has none."""


def option(default: Any, help: str, *validators: Any, metavar: str | None = None, second: Any = None) -> Any:
    """Declare one option of a component.

    The field's annotation gives the type: int, float, str, bool, pathlib.Path, Literal[...], tuple[float, ...],
    unions of these, or `X | None`. A tuple is written on the command line with commas: ``--process.mu 0.5,-1``.

    Args:
        default: Its default.
        help: One line of help.
        validators: The attrs validators that bound it.
        metavar: What stands for its value in the help; None derives it from the type.
        second: Another value, at which the conformance kit tries the component again; None: a number near the default.
            Name one if most other values make the component do something else than its rules ask for, and the default
            itself if the kit cannot see the effect of the option.
    """
    metadata = {"help": help, "metavar": metavar, "second": second}
    return attrs.field(default=default, validator=list(validators) or None, kw_only=True, metadata=metadata)


def refuse_unused(options: Any, names: Iterable[str], why: str, instead: str) -> None:
    """Raise OptionError if options were set that have no effect because of another choice.

    Call it in `__attrs_post_init__`. The message is ``{why} {names}; leave it out, or {instead}``::

        refuse_unused(self, ("mean", "std"), "only log-normal times have", "choose times log-normal")

    Args:
        options: An instance of the options class.
        names: The options that have no effect.
        why: The start of the message: which choice has these options.
        instead: The end of the message: what to choose in order to use them.
    """
    fields = attrs.fields_dict(type(options))
    changed = [name for name in names if getattr(options, name) != fields[name].default]
    if changed:
        raise OptionError(
            f"{why} {' and '.join(changed)}; leave {'them' if len(changed) > 1 else 'it'} out, or {instead}"
        )


def _plain(value: Any) -> Any:
    """A text as exactly that: a class derived from str may compare, show and measure itself in any way."""
    return str.__str__(value) if isinstance(value, str) else value


def _matches(pattern: re.Pattern[str], example: str) -> Any:
    def check(_: Any, attribute: attrs.Attribute, value: Any) -> None:
        if not isinstance(value, str) or len(value) > MOST_OF_A_SUMMARY or not pattern.fullmatch(value):
            raise ValueError(f"component {attribute.name} {value!r:.100} is not of the form {example!r}")

    return check


def _tokens(values: Iterable[str]) -> frozenset[str]:
    if isinstance(values, str):
        raise ValueError(f"provides and requires are sets of words: write {{{values!r}}}, not {values!r}")
    words = frozenset(map(_plain, itertools.islice(values, MOST_WORDS + 1)))
    for word in words:
        if not isinstance(word, str) or not _WORD.fullmatch(word):
            raise ValueError(
                f"provides and requires are sets of words such as 'x0-distribution', and {word!r:.100} is none"
            )
    if len(words) > MOST_WORDS:
        raise ValueError(f"provides and requires are sets of at most {MOST_WORDS} words")
    return words


def _text(_: Any, attribute: attrs.Attribute, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"component {attribute.name} must be text, not {value!r:.100}")
    if len(value) > MOST_OF_A_SUMMARY or not value.isprintable():
        raise ValueError(
            f"component {attribute.name} must be one printable line of at most {MOST_OF_A_SUMMARY} characters, not "
            f"{value!a:.100}"
        )


def _names_by_kind(_: Any, __: attrs.Attribute, value: Mapping[Any, Any]) -> None:
    for kind, name in value.items():
        if kind not in KINDS or not isinstance(name, str):
            raise ValueError(f"prefers maps a kind of component to a name, not {kind!r} to {name!r}")


def _settings(_: Any, __: attrs.Attribute, value: Mapping[Any, Any]) -> None:
    for setting, wanted in value.items():
        known = isinstance(setting, str) and re.fullmatch(r"(train|sample)\.[a-z_]+", setting)
        if not known or not isinstance(wanted, int | float | str | None):
            raise ValueError(
                f"suits maps a setting, such as 'sample.steps', to a value, not {setting!r} to {wanted!r}"
            )


def _of_options(component: Any, __: attrs.Attribute, value: Mapping[Any, Any]) -> None:
    known = (
        [field.name for field in attrs.fields(component.options)]
        if attrs.has(component.options)
        else list(value)
    )
    for name in value:
        if name not in known:
            raise ValueError(f"off maps options to values, and {component.name!r} has no option {name!r}")


def _by_kind(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(values)


@attrs.frozen
class Component:
    """One named thing that a plugin offers.

    Attributes:
        name: What a user types, lower-case words joined by hyphens.
        target: ``"package.module:Class"``, imported on first use and called with the fields of `options` as keywords,
            and with those arguments of its kind that its signature names.
        summary: One line, shown by ``--help``, completion and ``difrun list``.
        options: A frozen attrs class whose fields are declared with `option`; its module must not import torch.
        provides: Capabilities that others may require (``gaussian``, ``discrete``, ``sde``, ...).
        requires: Capabilities that the other components of a run must provide together.
        prefers: kind -> name of the component that a run takes with this one, unless the user names another.
        suits: setting of training or sampling -> value, for example ``{"sample.steps": 50}``, that a run takes unless
            the user sets it. If two components disagree, the process comes first, as for `prefers`.
        off: option -> value, for a guidance: the values at which it leaves the model as it is, such as
            ``{"scale": 0.0}``. The conformance kit compares the two bit for bit.

    Raises:
        ValueError: If any of them does not have the right form.
    """

    name: str = attrs.field(converter=_plain, validator=_matches(_NAME, "my-sampler"))
    target: str = attrs.field(converter=_plain, validator=_matches(_TARGET, "package.module:Class"))
    summary: str = attrs.field(converter=_plain, validator=_text)
    options: type = NoOptions
    provides: frozenset[str] = attrs.field(default=frozenset(), converter=_tokens, kw_only=True)
    requires: frozenset[str] = attrs.field(default=frozenset(), converter=_tokens, kw_only=True)
    prefers: Mapping[str, str] = attrs.field(
        factory=dict, converter=_by_kind, validator=_names_by_kind, kw_only=True
    )
    suits: Mapping[str, Any] = attrs.field(
        factory=dict, converter=_by_kind, validator=_settings, kw_only=True
    )
    off: Mapping[str, Any] = attrs.field(
        factory=dict, converter=_by_kind, validator=_of_options, kw_only=True
    )


@attrs.frozen
class GaussianOptions:
    """Options that every Gaussian process has; a plugin's options class may inherit them."""

    noise_floor: float = option(
        0.002,
        "Noise-to-signal ratio σ/α at which training and sampling end (the time t_min).",
        attrs.validators.ge(1e-9),
        attrs.validators.le(100),
    )


MIN_EXAMPLES = 20
"""The smallest size of a dataset. With fewer examples, moments cannot be estimated and none can be held out."""
