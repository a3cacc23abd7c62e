"""`difrun completion`: make the TAB key complete commands, components, options and values."""

import os
from pathlib import Path

import click

LINES = {
    "bash": ('eval "$(difrun completion bash)"', "~/.bashrc"),
    "zsh": ('eval "$(difrun completion zsh)"', "~/.zshrc"),
    "fish": ("difrun completion fish | source", "~/.config/fish/config.fish"),
}


@click.command()
@click.argument("shell", required=False, type=click.Choice(list(LINES)))
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print the completion script of a SHELL; without one, the line that switches it on."""
    if shell is not None:
        from click.shell_completion import get_completion_class

        script = get_completion_class(shell)
        assert script is not None  # Click has these three
        click.echo(script(ctx.find_root().command, {}, "difrun", "_DIFRUN_COMPLETE").source())
        return
    current = Path(os.environ.get("SHELL", "")).name
    for name in [current] if current in LINES else LINES:
        line, file = LINES[name]
        click.echo(f"# {name}: add this line to {file}\n{line}")
