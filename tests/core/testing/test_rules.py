"""Each rule of the kit has a wrong component that it alone catches; right components pass all rules."""

from collections import defaultdict

import pytest

from difrun.testing.cases import attempt, collect
from difrun.testing.rules import CHECKS

from .faulty.loggers import HEARD, RULES, START
from .faulty.more_tables import HOOK, NEEDS, PACKAGES
from .faulty.tables import TABLES
from .faulty.trial import OF_SAMPLERS, assert_each_breaks_its_rule

ENOUGH = 120
"""Wrong components that there are at least."""

OF_ANY_KIND = ("any", "none", "distribution")


@pytest.mark.parametrize("parts", [parts for parts in TABLES if parts not in OF_SAMPLERS])
def test_each_wrong_component_breaks_its_rule_and_no_other(site, monkeypatch, parts):
    assert_each_breaks_its_rule(site, monkeypatch, parts)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_each_wrong_package_breaks_its_rule_and_no_other(site, monkeypatch, package):
    """The rule that looks for other plugins is tried where the environment says that there are none."""
    dist = f"difrun-{package.name}"
    site.add(dist, package.code, requires=package.requires)
    if package.beside:
        site.add("difrun-neighbour", HOOK.format(name="neighbouring"), requires=NEEDS)
        monkeypatch.setenv("DIFRUN_ISOLATED", "1")
    else:
        monkeypatch.delenv("DIFRUN_ISOLATED", raising=False)
    monkeypatch.setenv("PYTHONPATH", site.environ()["PYTHONPATH"])
    seen = set()
    for case in collect(dist)[0]:
        if case.id.startswith("distribution-") and attempt(case).status == "failed":
            seen.add(case.check.name)
    assert seen == {package.rule} - {""}


@pytest.mark.parametrize("name", HEARD)
def test_each_wrong_logger_breaks_its_rule_and_no_other(site, name):
    """And the right one breaks none. The rules for distributions have packages of their own."""
    site.add(f"difrun-{name}", START + HEARD[name], requires=NEEDS)
    tried = [case for case in collect(f"difrun-{name}")[0] if case.check.kind == "logger"]
    assert len(tried) == 3
    assert {case.check.name for case in tried if attempt(case).status == "failed"} == {
        RULES.get(name, "")
    } - {""}


def test_every_rule_alone_catches_a_wrong_component(capsys):
    """The table, as the tests above verify it row by row: rule, wrong components, and what else catches them."""
    rows = defaultdict(list)
    for table in TABLES.values():
        for wrong in (each for each in table if each.rules):
            rows[wrong.rules[0]].append((wrong.subject, wrong.rules[1:], wrong.at_least))
    for package in (each for each in PACKAGES if each.rule):
        rows[package.rule].append((f"package:{package.name}", (), False))
    for name, rule in RULES.items():
        rows[rule].append((f"logger:{name}", (), False))
    count = sum(map(len, rows.values()))
    with capsys.disabled():
        print(f"\n{count} wrong components\n{'rule':45} {'wrong component':32} also caught by")
        for rule, wrong in sorted(rows.items()):
            for subject, others, more in wrong:
                also = "others" if more else ", ".join(others) or "none"
                print(f"{rule:45} {subject:32} {also}")
    assert count >= ENOUGH
    assert set(rows) <= {check.name for check in CHECKS}
    alone = {
        (subject.partition(":")[0], rule)
        for rule, wrong in rows.items()
        for subject, others, more in wrong
        if not others and not more
    }
    catches_nothing_alone = [
        f"{check.kind}: {check.name}"
        for check in CHECKS
        if not any(rule == check.name and check.kind in (kind, *OF_ANY_KIND) for kind, rule in alone)
    ]
    assert catches_nothing_alone == []
