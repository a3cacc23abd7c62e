"""The checks of a distribution as a list of cases, and the verdict on each. No pytest."""

import importlib
import importlib.metadata
import os
import pkgutil
import time
from collections.abc import Iterable
from typing import Literal

import attrs
import torch

from difrun.api import KINDS
from difrun.errors import ConfigError, DifrunError
from difrun.plugin.packages import Plugin, canonical, installed, names_of, not_installed
from difrun.plugin.registry import Registered, Registry
from difrun.testing import checks
from difrun.testing.rules import CHECKS, Check, ComponentUnderTest, components_under_test
from difrun.testing.verdict import NotTried, Refused, RuleBroken, place
from difrun.text import in_one_line

for module in pkgutil.iter_modules(checks.__path__):
    importlib.import_module(f"{checks.__name__}.{module.name}")

READ_ON = {kind: f"docs/plugins/{kind}.md" for kind in (*KINDS, "logger")}
"""Kind -> the page that says more."""


@attrs.frozen(eq=False)
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

    @property
    def who(self) -> str:
        """What is checked, in words."""
        if isinstance(self.subject, InstalledPackage):
            return f"the {self.check.kind} {self.subject.name}"
        entry = self.subject.entry
        return f"{entry.kind} '{self.subject.label}' ({entry.plugin.dist})"

    @property
    def called(self) -> str:
        """The name of the component; of a logger, that of its plugin."""
        if isinstance(self.subject, InstalledPackage):
            return self.subject.plugins[0].name
        return self.subject.entry.name


@attrs.frozen
class Outcome:
    """The verdict on one case.

    Attributes:
        case: The case.
        status: "passed", "failed", or "not tried" where the rule had nothing to try.
        text: For a failure the rule, what was measured, what was expected and where to read on; else the reason.
        seconds: How long it took.
        measured: What was measured, for a failure.
        expected: What was expected, for a failure.
    """

    case: Case
    status: Literal["passed", "failed", "not tried"]
    text: str = ""
    seconds: float = 0.0
    measured: str = ""
    expected: str = ""


def collect(dist: str, against: Iterable[str] = ()) -> tuple[list[Case], int]:
    """All cases of a distribution, and the number of its components, a logger among them.

    Args:
        dist: The distribution.
        against: Distributions whose processes each component is also tried with.

    Raises:
        DifrunError: If the distribution is not installed, is broken or offers no component.
    """
    dist, *others = map(distribution_of, (dist, *against))
    registry = Registry.discover(only=[dist, *others], strict=True)
    entries = [entry for entry in registry.entries() if canonical(entry.plugin.dist) == dist]
    package = InstalledPackage(dist, registry, entries)
    listens = any(registry.listens(plugin) for plugin in package.plugins)
    if not entries and not listens:
        raise DifrunError(f"the distribution {dist} offers no component, and listens to no event")
    cases = [
        Case(f"distribution-{check.name}", check, package)
        for check in CHECKS
        if check.kind == "distribution" and _applies(check, dist)
    ]
    if listens:
        cases += [Case(f"logger-{check.name}", check, package) for check in CHECKS if check.kind == "logger"]
    for entry in entries:
        for subject in components_under_test(entry, registry, tuple(others)):
            cases += [
                Case(f"{entry.kind}:{subject.label}-{rule.name}", rule, subject)
                for rule in rules_for(subject)
            ]
    return cases, len(entries) + listens


def distribution_of(name: str) -> str:
    """Return the distribution of a name, or of the plugin of that name. Raises ConfigError if none is installed."""
    plugins = [plugin for plugin, _ in installed()]
    if canonical(name) == "difrun":
        return "difrun"
    for plugin in plugins:
        if canonical(name) in names_of(plugin):
            return canonical(plugin.dist)
    plugins.append(Plugin("difrun", "difrun", "", "difrun.builtin"))
    raise ConfigError(f"The plugin '{name}' is not installed.{not_installed(name, plugins)}")


def rules_for(subject: ComponentUnderTest) -> list[Check]:
    """Return the rules for a component; where no rule of its kind fits, the one that tries it in a tiny run."""
    kind, component, own = subject.entry.kind, subject.entry.component, subject.own_tokens
    fitting = [check for check in CHECKS if check.fits(kind, component, own)]
    of_kind = [check for check in fitting if check.kind != "any"]
    if subject.variant:
        return [check for check in of_kind if not check.once]
    if any(not check.declares for check in of_kind):
        return fitting
    return [*fitting, *(check for check in CHECKS if check.kind == "none")]


def _applies(check: Check, dist: str) -> bool:
    if check.name == "is_the_only_plugin_installed":
        return bool(os.environ.get("DIFRUN_ISOLATED")) and dist != "difrun"
    return not (check.name == "depends_on_a_range_of_difrun" and dist == "difrun")


_reported: dict[tuple[int, str, str], str] = {}
"""(Registry, component, error) -> the rule that reported it."""


def attempt(case: Case) -> Outcome:
    """Try a rule on a component, and say what came out. An error in its code is reported once, by the first rule."""
    start = time.perf_counter()
    try:
        _refuse_wrong_target(case)
        with (
            torch.enable_grad()
        ):  # whatever the component does to this setting, the next rule does not see it
            case.check.run(case.subject)
    except NotTried as reason:
        return Outcome(case, "not tried", str(reason), time.perf_counter() - start)
    except RuleBroken as broken:
        seconds = time.perf_counter() - start
        first = _first_report(case, broken.measured) if isinstance(broken, Refused) else case.id
        if first != case.id:
            return Outcome(case, "not tried", f"as in {first}: {broken.measured}", seconds)
        return _failed(case, broken.measured, broken.expected, seconds)
    except Exception as error:
        seconds, what = time.perf_counter() - start, in_one_line(error)
        if case.check.declares and _fault(case)[0]:
            return Outcome(case, "not tried", f"the target is wrong: see {_fault(case)[0]}", seconds)
        first = _first_report(case, what)
        if first != case.id:
            return Outcome(case, "not tried", f"the same error as in {first}: {what}", seconds)
        return _failed(case, f"an error{place(error)}: {what}", "no error", seconds)
    return Outcome(case, "passed", "", time.perf_counter() - start)


def _first_report(case: Case, what: str) -> str:
    """The id of the case that first reported something of a component, in any variant: this one, if none did."""
    subject = case.subject
    if isinstance(subject, InstalledPackage):
        return case.id
    return _reported.setdefault(
        (id(subject.registry), f"{subject.entry.kind}:{subject.entry.name}", what), case.id
    )


def _fault(case: Case) -> tuple[str, str]:
    """`ComponentUnderTest.fault`, if there is a component."""
    return ("", "") if isinstance(case.subject, InstalledPackage) else case.subject.fault


def _refuse_wrong_target(case: Case) -> None:
    """Leave a rule untried, or fail the one that reports it, if the target cannot be made."""
    if case.check.declares:
        return
    rule, wrong = _fault(case)
    if rule == case.check.name:
        raise Refused(wrong, "a target that a run can load and call with its options")
    if rule:
        raise NotTried(f"the target is wrong: see {rule}")


def _failed(case: Case, measured: str, expected: str, seconds: float) -> Outcome:
    text = (
        f"{case.who} breaks the rule {case.check.name}:\n"
        f"  {case.check.sentence}\n"
        f"  measured: {measured}\n"
        f"  expected: {expected}\n"
        f"  read on:  {_page(case)}"
    )
    return Outcome(case, "failed", text, seconds, measured, expected)


def _page(case: Case) -> str:
    if "discrete" in case.check.provides:
        return "docs/plugins/discrete-process.md"
    if case.check.kind in ("any", "none") and not isinstance(case.subject, InstalledPackage):
        return READ_ON[case.subject.entry.kind]
    return READ_ON.get(case.check.kind, "docs/plugins.md, 'Testing'")
