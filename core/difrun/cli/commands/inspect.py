"""`difrun list`, `show` and `plugins`: what is installed and how it fits together, without importing it."""

import json
from typing import Any

import click

from difrun.api import KINDS
from difrun.cli.directory import directory, directory_json, offers_in_words
from difrun.cli.kind_type import KindType
from difrun.cli.output import GAP, options_table, paragraph, reflowed, table, width
from difrun.cli.source import find_source
from difrun.config.option_groups import logger_groups
from difrun.config.selection import ORDER, choose, partners
from difrun.config.settings import section_of
from difrun.errors import ConfigError
from difrun.options.attrs_fields import Field, Section, fields
from difrun.plugin.hooks import OFFERED
from difrun.plugin.packages import not_found
from difrun.plugin.registry import Plugin, Registered, Registry, get_registry
from difrun.text import listed, plural


def _complete_any(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    entries = [entry for entry in get_registry().entries() if entry.label.startswith(incomplete)]
    return [
        click.shell_completion.CompletionItem(entry.label, help=entry.component.summary) for entry in entries
    ]


def _complete_plugins(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    dists = {plugin.dist for plugin in get_registry().plugins}
    return [
        click.shell_completion.CompletionItem(dist) for dist in sorted(dists) if dist.startswith(incomplete)
    ]


@click.command("list")
@click.argument("kind", required=False, type=KindType(KINDS))
def list_components(kind: str | None) -> None:
    """List the installed components, of one KIND or of all; * marks the defaults."""
    registry = get_registry()
    defaults = _defaults(registry)
    blocks = []
    for listed_kind in [kind] if kind else KINDS:
        rows = [
            (f"{'*' if entry in defaults else ' '} {entry.label}", entry.component.summary, entry.plugin.dist)
            for entry in registry.entries(listed_kind)
        ]
        blocks.append(
            f"{plural(listed_kind).capitalize()}\n"
            + (table(rows, within=width()) if rows else "  none is installed")
        )
    if defaults:
        text = "*: the defaults; 'difrun --process NAME --help' shows those of another process."
        blocks.append("\n".join(paragraph(text, width())))
    click.echo("\n\n".join(blocks))


def _defaults(registry: Registry) -> list[Registered]:
    try:
        return choose(registry, {}).all()
    except ConfigError:  # no run is possible with what is installed
        return []


@click.command()
@click.argument("name", shell_complete=_complete_any)
def show(name: str) -> None:
    """Show a component: formula, source, options, and what it works with.

    NAME is the name of a component, or DIST:NAME.
    """
    registry = get_registry()
    entries = [entry for entry in registry.entries() if name in (entry.name, entry.qualified)]
    if not entries:
        known = [entry.label for entry in registry.entries()]
        guess, where = not_found(name, known, registry.plugins)
        raise ConfigError(f"No component is called '{name}'.{guess} 'difrun list' shows all.{where}")
    click.echo("\n\n".join(_described(registry, entry) for entry in entries))


def _described(registry: Registry, entry: Registered) -> str:
    component, plugin = entry.component, entry.plugin
    source = find_source(component.target)
    lines = [f"{entry.kind} {entry.label}", *paragraph(component.summary, width()), ""]
    lines += [f"plugin    {plugin.dist} {plugin.version}"]
    lines += [f"target    {component.target}"]
    if source:
        lines += [f"source    {source.path}:{source.line}"]
    for word, tokens in (("provides", component.provides), ("requires", component.requires)):
        if tokens:
            lines.append(f"{word}  {listed(sorted(tokens))}")
    if source and source.docstring:
        lines += ["", reflowed(source.docstring, width())]
    rows = _option_rows(entry)
    if rows:
        lines += ["", "Options", options_table(rows, width())]
    if entry.kind not in KINDS:
        return "\n".join(lines)
    rows = [
        (f"  {plural(kind)}", listed(partners(registry, kind, entry)) or "none that is installed")
        for kind in (*ORDER, "guidance")
        if kind != entry.kind
    ]
    return "\n".join([*lines, "", "Works with", table(rows, within=width())])


def _option_rows(entry: Registered) -> list[tuple[str, str]]:
    return _rows(section_of(entry.kind, entry.label), entry.component.options)


def _rows(section: Section, options: type) -> list[tuple[str, str]]:
    return [(_flag(section, field), f"{field.help}  [{field.note}]") for field in fields(options)]


def _logger(registry: Registry, plugin: Plugin) -> str:
    """What is said of a plugin that listens to events: the options of its logger, if it has any."""
    lines = [f"logger {plugin.name}  (listens to events)"]
    for group in logger_groups(registry):
        if group.section.name == plugin.name:
            lines += ["", "Options", options_table(_rows(group.section, *group.classes), width())]
    return "\n".join(lines)


def _flag(section: Section, field: Field) -> str:
    flag = section.flag(field.name)
    return f"{flag} / {section.negative(field.name)}" if field.is_flag else f"{flag} {field.metavar}"


@click.command()
@click.argument("name", required=False, shell_complete=_complete_plugins)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--matrix", is_flag=True, help="Show which sampler works with which process.")
@click.option("--known", is_flag=True, help="List the plugins that are known, whether installed or not.")
def plugins(name: str | None, as_json: bool, matrix: bool, known: bool) -> None:
    """List the installed plugins, or everything that one of them offers."""
    registry = get_registry()
    if known:
        _print_known(registry, as_json, other="NAME" if name else "--matrix" if matrix else "")
        return
    chosen = registry.plugins
    if name is not None:
        chosen = [plugin for plugin in chosen if name in (plugin.dist, plugin.name)]
        if not chosen:
            names = [word for plugin in registry.plugins for word in (plugin.dist, plugin.name)]
            guess, where = not_found(name, names, registry.plugins)
            raise ConfigError(f"No plugin is called '{name}'.{guess}{where}")
    if matrix:
        click.echo(_matrix(registry, {plugin.dist for plugin in chosen}))
    elif as_json:
        click.echo(
            json.dumps([_as_dict(registry, plugin) for plugin in chosen], indent=2, ensure_ascii=False)
        )
    elif name is not None:
        for plugin in chosen:
            click.echo(f"{plugin.dist} {plugin.version}  {plugin.status}  {plugin.error}".rstrip())
            for entry in _of(registry, plugin):
                click.echo(f"\n{_described(registry, entry)}")
            if registry.listens(plugin):
                click.echo(f"\n{_logger(registry, plugin)}")
    else:
        rows = [("plugin", "version", "status", "offers")]
        rows += [(p.dist, p.version, p.status, p.error or _offers(registry, p)) for p in chosen]
        click.echo(table(rows, within=width()))


def _of(registry: Registry, plugin: Plugin) -> list[Registered]:
    return [entry for entry in [*registry.entries(), *registry.formats()] if entry.plugin is plugin]


def _print_known(registry: Registry, as_json: bool, other: str) -> None:
    if other:
        raise ConfigError(f"--known lists all plugins that are known; leave {other} out.")
    click.echo(directory_json(registry) if as_json else directory(registry))


def _offers(registry: Registry, plugin: Plugin) -> str:
    entries = _of(registry, plugin)
    return offers_in_words(
        {kind: tuple(entry.name for entry in entries if entry.kind == kind) for kind in OFFERED},
        registry.listens(plugin),
    )


def _as_dict(registry: Registry, plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "dist": plugin.dist,
        "version": plugin.version,
        "module": plugin.module,
        "status": plugin.status,
        "error": plugin.error,
        "components": [
            {
                "kind": entry.kind,
                "name": entry.name,
                "label": entry.label,
                "summary": entry.component.summary,
                "target": entry.component.target,
                "provides": sorted(entry.component.provides),
                "requires": sorted(entry.component.requires),
                "options": [
                    {
                        "name": f.name,
                        "type": f.metavar or "BOOL",
                        "default": _json(f.default),
                        "help": f.help,
                        "range": f.range,
                    }
                    for f in fields(entry.component.options)
                ],
            }
            for entry in _of(registry, plugin)
        ],
    }


def _json(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool | None) else str(value)


def _matrix(registry: Registry, dists: set[str]) -> str:
    """A row for each sampler and a column for each process, in several tables if the line is too narrow for one."""
    samplers = [entry.label for entry in registry.entries("sampler")]
    first = ["sampler", *samplers]
    columns = []
    for process in registry.entries("process"):
        if process.plugin.dist in dists:
            fitting = registry.compatible("sampler", {"process": process})
            columns.append([process.label, *("yes" if sampler in fitting else "-" for sampler in samplers)])
    if not columns:
        return "No process is installed."
    left = width() - max(map(len, first))
    tables: list[list[list[str]]] = []
    room = 0
    for column in columns:
        takes = max(map(len, column)) + len(GAP)
        if takes > room or not tables:
            tables.append([first])
            room = left
        tables[-1].append(column)
        room -= takes
    return "\n\n".join(table(list(zip(*each, strict=True))) for each in tables)
