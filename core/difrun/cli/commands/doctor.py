"""`difrun doctor`: what is wrong with the installation, and what to do about it."""

import contextlib
import os
import platform
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import attrs
import click

from difrun.cli.flags import stray_variables
from difrun.errors import DifrunError
from difrun.options.attrs_fields import fields, values
from difrun.plugin.compatibility import VOCABULARY
from difrun.plugin.packages import Plugin, installed, names_of, wanted_names
from difrun.plugin.registry import Registered, Registry
from difrun.plugin.signatures import ON_OFFER, PICTURES, refuse_misfit
from difrun.text import did_you_mean, in_one_line, listed


@attrs.frozen
class Problem:
    """Something wrong with the installation, and what to do about it."""

    what: str
    remedy: str
    trace: str = ""


@click.command()
@click.option(
    "--load",
    is_flag=True,
    help="Also import every implementation and try it in a tiny run; look at torch and the devices.",
)
@click.pass_context
def doctor(ctx: click.Context, load: bool) -> None:
    """Check the installation: plugins, names, options. Exit code 1 if anything is wrong."""
    registry = _discover()
    click.echo(f"Python {platform.python_version()} ({sys.executable})")
    for plugin in registry.plugins:
        click.echo(f"{plugin.dist} {plugin.version}: {plugin.status}")
    if load:
        click.echo(_devices())
    problems = [
        *_plugins(registry),
        *_clashes(registry),
        *_options(registry),
        *_tokens(registry),
        *_variables(registry),
    ]
    if load:
        untried: list[str] = []
        problems += _targets(registry, untried)
        for line in untried:
            click.echo(f"Not tried: {line}")
    for number, problem in enumerate(problems, start=1):
        click.echo(f"\n{number}. {problem.what}")
        if problem.trace:
            click.echo("   " + problem.trace.rstrip().replace("\n", "\n   "))
        click.echo(f"   To do: {problem.remedy}")
    if problems:
        click.echo(f"\n{len(problems)} problem{'s' if len(problems) > 1 else ''} found.")
        ctx.exit(1)
    click.echo("No problem found." + ("" if load else " 'difrun doctor --load' looks deeper."))


def _discover() -> Registry:
    """The registry of the plugins that do not end the process; the others are rows that say so."""
    rows = [plugin for plugin, _ in installed()]
    core = Plugin("builtin", "difrun", "", "")
    wanted = wanted_names(os.environ.get("DIFRUN_PLUGINS") or None, [core, *rows])
    rows = [row for row in rows if row.status == "ok" and (wanted is None or wanted & names_of(row))]
    from difrun.plugin.isolation import how_processes_end  # starts processes, which no other command does

    ends = how_processes_end(rows)
    if not ends:
        return Registry.discover(strict=False)
    registry = Registry.discover(only=[row.dist for row in rows if row.dist not in ends], strict=False)
    for plugin in registry.plugins:
        if plugin.dist in ends:
            plugin.status, plugin.error = "broken", ends[plugin.dist]
    return registry


def _plugins(registry: Registry) -> Iterator[Problem]:
    for plugin in registry.broken:
        yield Problem(
            f"Plugin {plugin.dist} {plugin.version} ({plugin.module}) is broken: {plugin.error}",
            f"update it from where you have it, or contact its author, or pip uninstall {plugin.dist}",
            plugin.trace,
        )
    for plugin in registry.plugins:
        if plugin.changes:
            yield Problem(
                f"Plugin {plugin.dist} {plugin.version} ({plugin.module}) changed {listed(plugin.changes, ' and ')} "
                "when it was imported; that is restored.",
                f"contact its author, or pip uninstall {plugin.dist}",
            )
        offers = registry.listens(plugin) or any(
            entry.plugin is plugin for entry in [*registry.entries(), *registry.formats()]
        )
        if plugin.status == "ok" and not offers:
            yield Problem(
                f"Plugin {plugin.dist} {plugin.version} ({plugin.module}) offers nothing.",
                "if you wrote it: mark its hooks with @hookimpl and let them return a list",
            )


def _clashes(registry: Registry) -> Iterator[Problem]:
    for (kind, name), choices in registry.clashes.items():
        yield Problem(
            f"Several plugins offer {kind} '{name}'.",
            f"write {listed(choices, last=' or ')}, uninstall one, or limit loading with DIFRUN_PLUGINS",
        )


def _options(registry: Registry) -> Iterator[Problem]:
    for entry in registry.entries():
        silent = [field.name for field in fields(entry.component.options) if not field.help]
        if silent:
            yield Problem(f"Options of {entry} have no help: {listed(silent)}", _contact(entry))


def _tokens(registry: Registry) -> Iterator[Problem]:
    offered = {token for entry in registry.entries() for token in entry.component.provides}
    wanted = {token for entry in registry.entries() for token in entry.component.requires}
    for entry in registry.entries():
        for token in sorted(entry.component.requires - offered - VOCABULARY):
            guess = did_you_mean(token, sorted(offered | VOCABULARY))
            yield Problem(f"{entry} requires '{token}', which nothing provides.{guess}", _contact(entry))
        for token in sorted(entry.component.provides - wanted - VOCABULARY):
            guess = did_you_mean(token, sorted(wanted | VOCABULARY))
            if guess:
                yield Problem(f"{entry} provides '{token}', which nothing requires.{guess}", _contact(entry))


def _variables(registry: Registry) -> Iterator[Problem]:
    for text in stray_variables(registry, os.environ):
        yield Problem(text, f"unset {text.split()[0]}")


def _targets(registry: Registry, untried: list[str]) -> Iterator[Problem]:
    """What cannot be imported or called, and what goes wrong in a tiny run. Each fault is reported once.

    Args:
        registry: The installed plugins.
        untried: Gets a line for each component that could not be tried, with the reason.
    """
    reported = set()
    for entry in registry.entries():
        problem = _call(entry)
        if problem is None:
            from difrun.runs.environment.faults import where
            from difrun.runs.rehearsal import Untried, rehearse

            fault = rehearse(registry, entry)
            if isinstance(fault, Untried):
                untried.append(f"{entry}: {fault.reason}")
                continue
            if fault is None:
                continue
            guilty, error = fault
            trace = "".join(traceback.format_exception(error))
            problem = Problem(f"{guilty} failed: {where(error)}", _contact(guilty), trace)
        if problem.what not in reported:
            reported.add(problem.what)
            yield problem


def _call(entry: Registered) -> Problem | None:
    """What is wrong with the target or its signature."""
    from difrun.runs.environment.faults import is_by_user

    try:
        target = entry.load()
        options = values(entry.component.options())
        refuse_misfit(entry.kind, target, options, str(entry))
        if entry.kind == "dataset" and hasattr(target, "pictures"):
            refuse_misfit(PICTURES, target.pictures, owner=str(entry))
        if not ON_OFFER[entry.kind]:  # it needs its options alone, so it can be made without a run
            _make(entry, options)
    except DifrunError as error:
        return Problem(str(error), _contact(entry))
    except BaseException as error:
        if is_by_user(error):
            raise
        return Problem(f"{entry} cannot be made: {in_one_line(error)}", _contact(entry))
    return None


def _make(entry: Registered, options: dict[str, Any]) -> None:
    """Make a component that needs its options alone, unless one has to be given: the tiny run says so then."""
    needs = any(field.default in (None, "", ()) for field in fields(entry.component.options))
    with contextlib.suppress(DifrunError) if needs else contextlib.nullcontext():
        entry.call({}, options)


def _contact(entry: Registered) -> str:
    return f"contact the author of {entry.plugin.dist}, or update it from where you have it"


def _devices() -> str:
    import torch

    lines = [f"torch {torch.__version__}, {torch.get_num_threads()} CPU threads"]
    if torch.cuda.is_available():
        lines += [f"cuda:{k}: {torch.cuda.get_device_name(k)}" for k in range(torch.cuda.device_count())]
    else:
        lines.append("cuda: not available")
    lines.append(f"mps: {'available' if torch.backends.mps.is_available() else 'not available'}")
    return "\n".join(lines)
