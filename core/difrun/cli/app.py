"""The group of commands. `difrun --process ou` is `difrun run --process ou`."""

from typing import Any

import click

from difrun import __version__
from difrun.api import KINDS
from difrun.cli.commands import (
    check,
    compare,
    completion,
    doctor,
    evaluate,
    export,
    inspect,
    new_plugin,
    report,
    resume,
    run,
    sample,
    tune,
)
from difrun.cli.tell import tell
from difrun.cli.unknown_flag import flag_for
from difrun.errors import DifrunError
from difrun.plugin.registry import get_registry
from difrun.storage.run_folders import is_run
from difrun.text import clipped, did_you_mean, listed, quoted

OWN_FLAGS = ("--help", "--version")


class App(click.Group):
    """A group whose first argument may be an option of `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments: a first argument that is a flag is one of `run`, and ``help run`` is ``run --help``."""
        if args and args[0] == "help":
            args = [*args[1:], "--help"]
        elif args and args[0].startswith("-") and args[0] not in OWN_FLAGS:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for a name that does not exist, suggest one."""
        name = args[0]
        if name in self.commands or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        advice = did_you_mean(name, [*self.commands, "help"]).strip() or flag_for(
            name, KINDS, get_registry(), before="difrun "
        )
        if is_run(name):
            advice = (
                f"It is the folder of a run: difrun resume {quoted(name)}, or difrun sample {quoted(name)}."
            )
        raise click.UsageError(f"No such command '{clipped(name)}'. {advice}".rstrip(), ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete the names of commands, and the flags of `run`."""
        items = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            command = self.commands["run"]
            with command.make_context("run", [], parent=ctx, resilient_parsing=True) as inner:
                offered = {item.value for item in items}
                of_run = command.shell_complete(inner, incomplete)
                items += [item for item in of_run if item.value not in offered]
        return items

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help, after a line for each broken plugin."""
        warn_of_plugins()
        super().format_help(ctx, formatter)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of use, not of the alphabet."""
        return list(self.commands)


def warn_of_plugins() -> None:
    """Print a line on stderr for each broken plugin and each name that two plugins offer."""
    try:
        registry = get_registry()
    except DifrunError as error:
        tell(f"Error: {error}")
        return
    for plugin in registry.broken:
        first = (plugin.error.splitlines() or ["no reason is known"])[0]
        tell(f"Plugin {plugin.dist} is broken: {first} (see 'difrun doctor')")
    for plugin in registry.plugins:
        if plugin.changes:
            what = listed(plugin.changes, last=" and ")
            tell(f"Plugin {plugin.dist} changed {what} when it was imported; that is restored.")
    for (kind, name), choices in registry.clashes.items():
        which = listed(choices, last=" or ")
        tell(f"Several plugins offer {kind} '{name}': write {which}.")


@click.group(
    cls=App,
    invoke_without_command=True,
    epilog="'difrun --process ou' is short for 'difrun run --process ou'; with --help it lists the options "
    "of that run. 'difrun help run' is 'difrun run --help'. 'difrun list' shows what is installed.",
)
@click.version_option(__version__, prog_name="difrun", message="%(prog)s %(version)s")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Diffusion models from plugins: train, sample and measure any process with any sampler."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        return
    if ctx.invoked_subcommand == "doctor":  # it reports all of that itself
        return
    get_registry()  # raises if DIFRUN_STRICT or DIFRUN_PLUGINS cannot be satisfied
    warn_of_plugins()


COMMANDS: tuple[click.Command, ...] = (
    *(
        run.run,
        resume.resume,
        sample.sample,
        evaluate.evaluate,
        report.report,
        compare.compare,
        tune.tune,
        export.export,
    ),
    *(inspect.list_components, inspect.show, inspect.plugins, new_plugin.plugin, doctor.doctor, check.check),
    completion.completion,
)
for command in COMMANDS:
    app.add_command(command)
