"""Words on stderr. They may be lost, as stderr may be closed, full, or a pipe whose reader left; the work is not."""

import contextlib

import click


def tell(text: str) -> None:
    """Write a line on stderr, if it can be written."""
    with contextlib.suppress(
        OSError, ValueError, RuntimeError
    ):  # full, closed, or written to by what was interrupted
        click.echo(text, err=True)
