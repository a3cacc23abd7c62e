"""Try the wrong components of a table."""

from difrun.testing.cases import attempt, collect
from difrun.testing.rules import VP, ComponentUnderTest

from .tables import TABLES
from .wrong import install

OF_SAMPLERS = ("samplers", "steps", "schedules")
"""The tables of a test module of their own, which another process can run at the same time: they take half the time."""


def broken(dist):
    """Component, or "distribution" -> rules that it breaks, in any of its variants."""
    found = {}
    for case in collect(dist)[0]:
        subject = "distribution"
        if not case.id.startswith("distribution-"):
            subject = f"{case.subject.entry.kind}:{case.subject.entry.name}"
        rules = found.setdefault(subject, set())
        outcome = attempt(case)
        if outcome.status == "failed":
            assert outcome.measured
            assert outcome.expected
            assert case.check.sentence in outcome.text
            rules.add(case.check.name)
    return found


def assert_each_breaks_its_rule(site, monkeypatch, parts):
    """Each component of a table breaks its rules and no others, and a right one none.

    To save time, components are tried with the kit's first process alone.
    """
    monkeypatch.setattr(ComponentUnderTest, "partners", [VP])
    table = TABLES[parts]
    install(site, f"difrun-wrong-{parts}", parts, table)
    seen = broken(f"difrun-wrong-{parts}")
    wrong_verdicts = {
        wrong.subject: (set(wrong.rules), seen[wrong.subject])
        for wrong in table
        if not (
            set(wrong.rules) <= seen[wrong.subject]
            if wrong.at_least
            else set(wrong.rules) == seen[wrong.subject]
        )
    }
    told = [
        f"{name}: missing {rules - found}, more {found - rules}"
        for name, (rules, found) in wrong_verdicts.items()
    ]
    assert not told, "\n".join(told)
