"""How messages call a table of examples, and how they write the options by which it is read."""

from collections.abc import Sequence
from typing import Literal, Self

Form = Literal["flag", "argument", "key"]
"""Options are flags of the command, arguments of `difrun.data.as_dataset`, or keys of the options of `difrun.run`."""

_ARGUMENTS = {"label": "labels"}


class Source(str):
    """What messages call a table, such as ``file 'x.csv'``. A message names options as the user writes them.

    Args:
        name: What messages call the table.
        form: How the user writes options.
    """

    form: Form

    def __new__(cls, name: str, form: Form = "flag") -> Self:
        """Make the text, which knows how options are written."""
        made = super().__new__(cls, name)
        made.form = form
        return made

    def option(self, name: str, value: str | Sequence[str] | None = None) -> str:
        """Return an option as the user writes it: ``--dataset.missing drop``, or ``missing='drop'``.

        Args:
            name: The option.
            value: Its value; None names the option alone.
        """
        if self.form == "flag":
            return f"--dataset.{name.replace('_', '-')}" + ("" if value is None else f" {value}")
        if self.form == "argument":
            return f"{_ARGUMENTS.get(name, name)}=" + ("" if value is None else repr(value))
        return f"options['dataset.{name}']" if value is None else f"options={{'dataset.{name}': {value!r}}}"

    def part(self, what: str) -> "Source":
        """Return the source of a part of the table, such as its condition."""
        return Source(f"{self}, {what}", self.form)
