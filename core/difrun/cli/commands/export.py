"""`difrun export`: the model of a run for other programs."""

from typing import Any

import click
from click.shell_completion import CompletionItem

from difrun.cli.plan_builder import CommandRequest
from difrun.cli.plan_command import PlanCommand
from difrun.cli.run_folder import FOLDER, QUIET, WHERE, reopened, work
from difrun.errors import ConfigError
from difrun.plugin.registry import get_registry


class FormatName(click.ParamType):
    """The name of an installed format."""

    name = "format"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse a name that no installed plugin offers."""
        try:
            get_registry().format(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the name of a format, with its summary."""
        return [
            CompletionItem(entry.name, help=entry.component.summary)
            for entry in get_registry().formats()
            if entry.name.startswith(incomplete)
        ]


class ExportCommand(PlanCommand):
    """`export`, with the installed formats at the end of its help."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the formats."""
        with formatter.section("Formats"):
            formatter.write_dl([(entry.name, entry.component.summary) for entry in get_registry().formats()])


def _export(request: CommandRequest, folder: str, form: str, out: str, quiet: bool) -> None:
    with work(quiet, "Nothing was exported.") as listener:
        from difrun.runs.exporting import export_run

        path = export_run(reopened(request, folder, listener), out, form)
    click.echo(f"Exported: {path}")


export = ExportCommand(
    "export",
    callback=_export,
    params=[
        FOLDER,
        click.Option(
            ["--format", "form"],
            type=FormatName(),
            default="safetensors",
            show_default=True,
            metavar="NAME",
            help="What is written; see below.",
        ),
        click.Option(
            ["--out"],
            metavar="FOLDER",
            type=click.Path(file_okay=False),
            required=True,
            help="The new folder.",
        ),
        QUIET,
    ],
    sections={"": WHERE},
    help="Write the model of a run for other programs.",
    short_help="Write the model for other programs.",
)
