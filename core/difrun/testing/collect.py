"""The checks of a distribution as one parametrised test of pytest."""

import importlib.metadata
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest

from difrun.errors import DifrunError
from difrun.plugin.packages import canonical
from difrun.testing.cases import Case, attempt, collect
from difrun.testing.rules import ComponentUnderTest
from difrun.text import counted

__all__ = ["collect", "conformance"]

SLOW = ("process", "sampler")
"""Kinds with checks that take seconds."""

SLOW_NOTE = "; those that measure distributions, likelihoods and orders of convergence take seconds each"


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
    try:
        cases, count = collect(dist)
    except DifrunError as error:
        raise pytest.UsageError(f"conformance({dist!r}): {error}") from error
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
                    f"\n{dist} {version}: {counted(len(cases), 'check')} of {counted(count, 'component')}"
                    f"{SLOW_NOTE if slow else ''}"
                )
        outcome = attempt(case)
        if outcome.status == "failed":
            pytest.fail(outcome.text, pytrace=False)
        if outcome.status == "not tried":
            pytest.skip(outcome.text)

    return test_conformance


def _only(cases: list[Case], names: set[str], dist: str) -> list[Case]:
    """The cases of some components, and those that every component has. Raises UsageError for an unknown name."""
    own = {case.subject.entry.name for case in cases if isinstance(case.subject, ComponentUnderTest)}
    if names - own:
        raise pytest.UsageError(f"{dist} offers no component named {', '.join(sorted(names - own))}")
    return [
        case
        for case in cases
        if case.check.kind in ("any", "distribution", "logger")
        or (isinstance(case.subject, ComponentUnderTest) and case.subject.entry.name in names)
    ]
