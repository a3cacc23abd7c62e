"""A kind of component on the command line, in the singular or the plural."""

from collections.abc import Collection
from typing import Any

import click

from difrun.text import did_you_mean, listed, plural


class KindType(click.ParamType):
    """The name of a kind.

    Args:
        kinds: The kinds that there are.
    """

    name = "kind"

    def __init__(self, kinds: Collection[str]):
        self.kinds = kinds

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the kind in the singular; fail with a suggestion if there is none."""
        singular = {plural(kind): kind for kind in self.kinds}
        if value not in self.kinds and value not in singular:
            guess = did_you_mean(value, self.kinds)
            self.fail(f"there is no kind '{value}'.{guess} Kinds: {listed(self.kinds)}.", param, ctx)
        return singular.get(value, value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Return the kinds that begin with what is written."""
        return [
            click.shell_completion.CompletionItem(kind) for kind in self.kinds if kind.startswith(incomplete)
        ]
