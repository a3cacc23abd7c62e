"""The kit on a class, a function or an object, without a package: `difrun.testing.rules`."""

from typing import Any

import attrs

from difrun.api import KINDS
from difrun.errors import ConfigError
from difrun.model.wrappers import ModelWrapper
from difrun.plugin.own import own_entry
from difrun.plugin.own_kinds import BASES, classes_of
from difrun.plugin.registry import get_registry
from difrun.testing.cases import Case, Outcome, attempt, rules_for
from difrun.testing.report import summary
from difrun.testing.rules import ComponentUnderTest, components_under_test
from difrun.text import listed

OF_PACKAGES = frozenset({"has_a_summary_of_one_line", "is_documented", "explains_every_option"})
"""Rules on what a plugin declares to its users, which a class of one's own need not."""


@attrs.frozen(repr=False)
class Verdict:
    """The verdict of the conformance kit on one component. Printed, it is that of ``difrun check``.

    Attributes:
        outcomes: What came out of every rule.
    """

    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return not self.broken

    @property
    def broken(self) -> tuple[str, ...]:
        """The names of the rules that are broken, each once."""
        names = [each.case.check.name for each in self.outcomes if each.status == "failed"]
        return tuple(dict.fromkeys(names))

    def __repr__(self) -> str:
        failures = [f"{each.text}\n" for each in self.outcomes if each.status == "failed"]
        return "\n".join([*failures, *summary(self.outcomes)]).strip()


def check(thing: Any, kind: str | None = None) -> Verdict:
    """Check a class, a function or an object against exact references, as ``difrun check`` does a plugin.

    It is tried with its default options and with other values of each, an object with those that it has.

    Args:
        thing: What `difrun.run` takes for a component: ``MySampler`` or ``MySampler(scale=2)``.
        kind: Its kind, one of `difrun.api.KINDS`; None: what its class says. Functions need it.

    Returns:
        The verdict; ``check(MySampler)`` in a notebook shows it.

    Raises:
        ConfigError: If the kind is not known, or no component of this kind can be made of it.
    """
    registry = get_registry()
    entry, given = own_entry(registry, _kind_of(thing) if kind is None else _known(kind), thing)
    subjects = components_under_test(entry, registry)
    if given:
        subjects = [ComponentUnderTest(entry, entry.component.options(**given), registry)]
    cases = [
        Case(f"{entry.kind}:{subject.label}-{rule.name}", rule, subject)
        for subject in subjects
        for rule in rules_for(subject)
        if rule.name not in OF_PACKAGES
    ]
    return Verdict(tuple(attempt(case) for case in cases))


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ConfigError(f"There is no kind of component called {kind!r}; kinds are {listed(KINDS)}.")
    return kind


def _kind_of(thing: Any) -> str:
    """The kind that the class of something says."""
    names = classes_of(thing)
    wrapper = f"{ModelWrapper.__module__}.{ModelWrapper.__qualname__}"
    if wrapper in names:
        return "guidance"
    for kind, bases in BASES.items():
        if names & set(bases):
            return kind
    raise ConfigError(
        f"What kind of component {getattr(thing, '__name__', type(thing).__name__)} is, its class does not say: give "
        f"kind=, one of {listed(KINDS)}."
    )
