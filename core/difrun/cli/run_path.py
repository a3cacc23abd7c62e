"""The path of a run folder on the command line."""

from typing import Any

import click

from difrun.storage.run_folders import completions


class RunPath(click.Path):
    """A run folder. The TAB key completes it to the runs that there are."""

    name = "run"

    def __init__(self) -> None:
        super().__init__(file_okay=False)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Return the run folders that begin with what is written; any folder if there are none."""
        found = completions(incomplete)
        if found:
            return [click.shell_completion.CompletionItem(path) for path in found]
        return [click.shell_completion.CompletionItem(incomplete, type="dir")]
