"""Errors for what is written on a command line, whatever it means."""

import os
from collections.abc import Sequence

import click

from difrun.cli.flags import OptionFlag


def refuse_unwritable(args: Sequence[str], ctx: click.Context) -> None:
    """Raise UsageError for characters that no shell gives, and no name of a file can have: NUL, halves of pairs."""
    for number, word in enumerate(args):
        try:
            if "\0" not in word:
                os.fsencode(word)
                continue
        except UnicodeEncodeError:
            pass
        flag, _, value = word.partition("=") if word.startswith("--") else ("", "", word)
        name = flag or (args[number - 1] if number else "the command line")
        raise click.UsageError(f"{name}: {value!a:.60} cannot be written as text.", ctx)


def refuse_repeated(ctx: click.Context, order: Sequence[click.Parameter]) -> None:
    """Raise UsageError for a flag that is given twice, because the user has to say which value is meant."""
    for param in dict.fromkeys(order):
        takes_one = isinstance(param, click.Option) and not param.multiple
        switch = getattr(param, "is_flag", False) and not isinstance(param, OptionFlag)
        if takes_one and not switch and order.count(param) > 1:
            flags = " / ".join(param.opts + param.secondary_opts)
            raise click.UsageError(f"{flags} is given twice; give it once.", ctx)
