"""`difrun plugin new`: a package of one's own that works at once."""

from pathlib import Path

import click

from difrun.cli.kind_type import KindType
from difrun.cli.scaffold.kinds import KINDS
from difrun.plugin.registry import get_registry
from difrun.text import listed, quoted


@click.group()
def plugin() -> None:
    """Write a plugin of your own."""


@plugin.command()
@click.argument("name")
@click.option("--kind", type=KindType(KINDS), required=True, help=f"What it offers: {listed(KINDS, ' or ')}.")
@click.option("--out", type=click.Path(path_type=Path), help="The new folder; default: ./difrun-NAME.")
@click.option("--author", default="", help="The author, for the licence and pyproject.toml.")
@click.option("--summary", default="", help="What it does, in one line; default: what the template does.")
def new(name: str, kind: str, out: Path | None, author: str, summary: str) -> None:
    """Make a small package that works at once: a component called NAME, its tests, and all that a release needs.

    Change what is in it step by step; its tests say whether the component is still right.
    """
    from difrun.cli.scaffold.names import names_for
    from difrun.cli.scaffold.package import files_of, write

    names = names_for(name, kind, get_registry())
    folder = Path(names.dist) if out is None else out
    files = files_of(names, author, summary)
    write(files, folder)
    lines = [f"{folder} is a plugin with the {kind.replace('-', ' ')} '{names.name}':"]
    lines += [f"  {path}" for path in sorted(files)]
    lines += ["Install it, use it and test it:", f"  cd {quoted(folder)}", '  pip install -e ".[test]"']
    lines += [f"  {names.of_kind.command.format(name=names.name)}", "  pytest"]
    if not summary:
        lines.append("Where the work is your own, say what it does in place of: " + names.of_kind.summary)
    click.echo("\n".join(lines))
