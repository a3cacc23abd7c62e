"""What came out of many rules, as lines for a reader and as records for JSON."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from difrun.testing.cases import InstalledPackage, Outcome
from difrun.text import counted

STATUSES = ("passed", "failed", "not tried")

SLOWEST = 8
"""How many rules the summary lists by their time."""


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Return what was not tried and why, which rules took longest, and the verdict, as lines."""
    lines: list[str] = []
    reasons: dict[str, list[str]] = {}
    times: dict[str, float] = {}
    for outcome in outcomes:
        rule = outcome.case.check.name
        times[rule] = times.get(rule, 0.0) + outcome.seconds
        if outcome.status == "not tried":
            reasons.setdefault(f"{rule}: {outcome.text}", []).append(outcome.case.who)
    if reasons:
        lines += ["", "Not tried:"]
        lines += [f"  {reason} ({counted(len(who), 'component')})" for reason, who in reasons.items()]
    slowest = sorted(times.items(), key=lambda item: -item[1])[:SLOWEST]
    lines += ["", "Time of the slowest rules:"]
    lines += [f"  {taken:6.1f} s  {rule}" for rule, taken in slowest]
    counts: Counter[str] = Counter(outcome.status for outcome in outcomes)
    verdict = "It passes." if not counts["failed"] else "It does not pass."
    numbers = ", ".join(f"{counts[status]} {status}" for status in STATUSES)
    seconds = sum(times.values())
    return [*lines, "", f"{verdict} {counted(len(outcomes), 'check')}: {numbers}, in {seconds:.0f} s."]


def as_record(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON can hold it."""
    subject, rule = outcome.case.subject, outcome.case.check
    component = {}
    if not isinstance(subject, InstalledPackage):
        component = {"kind": subject.entry.kind, "name": subject.entry.name, "variant": subject.variant}
    elif rule.kind == "logger":
        component = {"kind": "logger", "name": outcome.case.called, "variant": ""}
    return {
        **component,
        "rule": rule.name,
        "says": rule.sentence,
        "status": outcome.status,
        "seconds": round(outcome.seconds, 3),
        **(
            {"measured": outcome.measured, "expected": outcome.expected} if outcome.status == "failed" else {}
        ),
        **({"reason": outcome.text} if outcome.status == "not tried" else {}),
    }
