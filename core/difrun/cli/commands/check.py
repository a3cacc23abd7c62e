"""`difrun check`: the conformance kit on a plugin, without pytest, and on a folder without installing it."""

import importlib.metadata
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from difrun.cli.kind_type import KindType
from difrun.cli.scaffold.kinds import KINDS
from difrun.errors import ConfigError
from difrun.text import counted, did_you_mean, listed

if TYPE_CHECKING:
    from difrun.testing.cases import Case, Outcome


@click.command()
@click.argument("dist", metavar="DIST_OR_PATH")
@click.option("--kind", type=KindType(KINDS), metavar="KIND", help="Check components of this kind alone.")
@click.option("--name", help="Check the components of this name alone.")
@click.option(
    "--against",
    multiple=True,
    metavar="DIST",
    help="Try each component with the processes of this plugin as well.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every rule with its verdict and its time.")
@click.pass_context
def check(
    ctx: click.Context, dist: str, kind: str | None, name: str | None, against: tuple[str, ...], as_json: bool
) -> None:
    """Check what a plugin offers against exact references: the conformance kit, without pytest.

    DIST_OR_PATH is an installed distribution, such as difrun-ou, or a folder with the pyproject.toml of a package,
    which need not be installed. KIND is one of those of 'difrun plugin new'. Exit code 1 if a rule is broken.
    """
    from difrun.testing.cases import collect, distribution_of
    from difrun.testing.report import STATUSES, as_record, summary
    from difrun.testing.sources import installed_from

    with installed_from(dist) as found:
        cases, components = collect(found, against)
        found = distribution_of(found)
        version = importlib.metadata.version(found)
        chosen = _chosen(cases, kind, name, found)
        if not as_json:
            click.echo(
                f"{found} {version}: {counted(len(chosen), 'check')} of {counted(components, 'component')}"
            )
        start = time.perf_counter()
        outcomes = list(_attempts(chosen, quiet=as_json))
    seconds, notes = time.perf_counter() - start, _of_templates(cases)
    counts: Counter[str] = Counter(outcome.status for outcome in outcomes)
    if as_json:
        about = {"distribution": found, "version": version, "seconds": round(seconds, 3), "notes": notes}
        numbers = {status.replace(" ", "_"): counts[status] for status in STATUSES}
        click.echo(
            json.dumps({**about, **numbers, "checks": [as_record(each) for each in outcomes]}, indent=2)
        )
    else:
        click.echo("\n".join([*summary(outcomes), *notes]))
    if counts["failed"]:
        ctx.exit(1)


def _chosen(cases: "list[Case]", kind: str | None, name: str | None, dist: str) -> "list[Case]":
    """The cases of a kind and a name; all of them, with those of the package, if neither is given."""
    if kind is None and name is None:
        return cases
    offered = [(case, words) for case in cases if (words := _kinds_of(case))]
    of_kind = [(case, words) for case, words in offered if kind is None or kind in words]
    chosen = [case for case, _ in of_kind if name in (None, case.called)]
    if not chosen:
        known = sorted({case.called for case, _ in of_kind})
        what = kind or "component"
        called = "" if name is None else f" called '{name}'.{did_you_mean(name, known)}"
        everything = dict.fromkeys(f"{words[0]} '{case.called}'" for case, words in offered)
        offers = f" It offers {listed(everything)}." if everything else ""
        raise ConfigError(f"{dist} offers no {what}{called or '.'}{offers}")
    return chosen


def _of_templates(cases: "list[Case]") -> list[str]:
    """A sentence for each component whose summary is still that of the template of `difrun plugin new`."""
    from difrun.testing.rules import ComponentUnderTest

    of_templates = {kind.summary for kind in KINDS.values()}
    entries = [case.subject.entry for case in cases if isinstance(case.subject, ComponentUnderTest)]
    return [
        f"The summary of {who} is still that of the template, '{summary}'. Say what yours does, in its declaration, "
        "pyproject.toml and README.md."
        for who, summary in dict.fromkeys((str(entry), entry.component.summary) for entry in entries)
        if summary in of_templates
    ]


def _kinds_of(case: "Case") -> tuple[str, ...]:
    """What --kind may call the subject of a case; none for the package as a whole."""
    from difrun.testing.rules import ComponentUnderTest

    if not isinstance(case.subject, ComponentUnderTest):
        return ("logger",) if case.check.kind == "logger" else ()
    kind, provides = case.subject.entry.kind, case.subject.entry.component.provides
    return (kind, "discrete-process") if kind == "process" and "discrete" in provides else (kind,)


def _attempts(cases: "list[Case]", quiet: bool) -> "Iterable[Outcome]":
    """Try the cases, with a line for each component, and what it breaks."""
    from difrun.testing.cases import attempt

    for who, group in itertools.groupby(cases, key=lambda case: case.who):
        start, outcomes = time.perf_counter(), []
        for case in group:
            outcomes.append(attempt(case))
            yield outcomes[-1]
        if quiet:
            continue
        counts = Counter(outcome.status for outcome in outcomes)
        numbers = ", ".join(
            f"{counts[status]} {status}" for status in ("passed", "failed", "not tried") if counts[status]
        )
        click.echo(f"{who}: {numbers} in {time.perf_counter() - start:.1f} s")
        for outcome in outcomes:
            if outcome.status == "failed":
                click.echo("\n" + outcome.text + "\n")
