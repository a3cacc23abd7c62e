"""Collect the checks of an installed distribution into one parametrised test."""

import importlib
import importlib.metadata
import os
import pkgutil
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs
import pytest

from difrun.errors import DifrunError
from difrun.plugin.packages import Plugin, canonical
from difrun.plugin.registry import Registered, Registry
from difrun.testing import checks
from difrun.testing.check import CHECKS, Check, ComponentUnderTest, components_under_test

for module in pkgutil.iter_modules(checks.__path__):
    importlib.import_module(f"{checks.__name__}.{module.name}")


SLOW = ("process", "sampler")
"""Kinds with checks that take seconds."""

SLOW_NOTE = "; those that measure distributions, likelihoods and orders of convergence take seconds each"


@attrs.frozen
class InstalledPackage:
    """An installed package under test.

    Attributes:
        name: Its name.
        registry: The components of this distribution and of the core.
        entries: Its components; none for a logger, which only listens to events.
    """

    name: str
    registry: Registry
    entries: list[Registered]

    @property
    def plugins(self) -> list[Plugin]:
        """Its plugins, one for each entry point."""
        return [plugin for plugin in self.registry.plugins if canonical(plugin.dist) == self.name]

    @property
    def modules(self) -> list[str]:
        """The modules that its entry points name."""
        return sorted({plugin.module for plugin in self.plugins})

    @property
    def metadata(self) -> importlib.metadata.Distribution:
        """The metadata of the installed package."""
        return importlib.metadata.distribution(self.name)


@attrs.frozen(repr=False)
class Case:
    """One check of one component, or of the package."""

    id: str
    check: Check
    subject: ComponentUnderTest | InstalledPackage

    def __repr__(self) -> str:
        return self.id


def conformance(
    dist: str,
    expected_failures: Mapping[str, str] | None = None,
    components: Collection[str] | None = None,
) -> Callable[..., None]:
    """The conformance test of an installed distribution, to be assigned to a name that starts with ``test``.

    Args:
        dist: The name of the distribution.
        expected_failures: Id of a test -> the reason why it fails. Such a test must fail (a strict xfail).
        components: Names of the components whose mathematics is checked, for a distribution of very many. The rules for
            components of every kind are checked for all. None: all.

    Raises:
        pytest.UsageError: While tests are collected, if the distribution is not installed, is broken or offers no
            component, or if an expected failure or `components` names nothing that there is.
    """
    dist = canonical(dist)
    cases, count = collect(dist)
    if components is not None:
        cases = _only(cases, set(components), dist)
    expected = dict(expected_failures or {})
    unknown = sorted(set(expected) - {case.id for case in cases})
    if unknown:
        raise pytest.UsageError(
            f"expected_failures of {dist} names tests that do not exist: {', '.join(unknown)}"
        )

    def params() -> list[Any]:
        marked = []
        for case in cases:
            reason = expected.get(case.id)
            marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason is not None else []
            marked.append(pytest.param(case, id=case.id, marks=marks))
        return marked

    @pytest.mark.parametrize("case", params())
    def test_conformance(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
        __tracebackhide__ = True
        if case is cases[0]:  # says how much is checked, once
            with capsys.disabled():
                version = importlib.metadata.version(dist)
                slow = any(case.check.kind in SLOW for case in cases)
                print(
                    f"\n{dist} {version}: {_counted(len(cases), 'check')} of {_counted(count, 'component')}"
                    f"{SLOW_NOTE if slow else ''}"
                )
        case.check.run(case.subject)

    return test_conformance


def _only(cases: list[Case], names: set[str], dist: str) -> list[Case]:
    """The cases of some components, and those that every component has. Raises UsageError for an unknown name."""
    own = {case.subject.entry.name for case in cases if isinstance(case.subject, ComponentUnderTest)}
    if names - own:
        raise pytest.UsageError(f"{dist} offers no component named {', '.join(sorted(names - own))}")
    return [
        case
        for case in cases
        if case.check.kind in ("any", "distribution")
        or (isinstance(case.subject, ComponentUnderTest) and case.subject.entry.name in names)
    ]


def collect(dist: str) -> tuple[list[Case], int]:
    """All cases of a distribution, and the number of its components."""
    try:
        registry = Registry.discover(only=dist, strict=True)
    except DifrunError as error:
        raise pytest.UsageError(f"conformance({dist!r}): {error}") from error
    entries = [entry for entry in registry.entries() if canonical(entry.plugin.dist) == dist]
    package = InstalledPackage(dist, registry, entries)
    if not entries and not any(registry.listens(plugin) for plugin in package.plugins):
        raise pytest.UsageError(
            f"conformance({dist!r}): the distribution offers no component, and listens to no event"
        )
    cases = [
        Case(f"distribution-{check.name}", check, package)
        for check in CHECKS
        if check.kind == "distribution" and _applies(check, dist)
    ]
    for entry in entries:
        for subject in components_under_test(entry, registry):
            for check in CHECKS:
                # What a component declares does not depend on the values of its options.
                if check.fits(entry.kind, entry.component) and not (check.kind == "any" and subject.variant):
                    cases.append(Case(f"{entry.kind}:{subject.label}-{check.name}", check, subject))
    return cases, len(entries)


def _applies(check: Check, dist: str) -> bool:
    if check.name == "is_the_only_plugin_installed":
        return bool(os.environ.get("DIFRUN_ISOLATED")) and dist != "difrun"
    return not (check.name == "depends_on_a_range_of_difrun" and dist == "difrun")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
