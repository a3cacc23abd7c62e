"""Flags as they are written on the command line, before it is known which components have them."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import click

from difrun.cli.flags import OptionFlag, installed_options, offered_options
from difrun.cli.plan_builder import Offer
from difrun.config.selection import Choice
from difrun.plugin.registry import Registry


class WrittenFlag(click.Option):
    """One spelling of a flag that any installed component may have, with or without a value after it."""

    def __init__(self, spelling: str, *, valued: bool) -> None:
        """valued: the word after it is its value."""
        super().__init__([spelling, "written_flag"])
        self.spelling, self.valued = spelling, valued

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Let the parser collect the value under the spelling."""
        action = "store" if self.valued else "store_const"
        parser.add_option(obj=self, opts=[self.spelling], dest=self.spelling, action=action, const=True)

    def value_for(self, option: OptionFlag, value: Any, ctx: click.Context) -> Any:
        """Return what was written, as Click's parser gives it for the flag of a chosen component.

        Raises:
            click.BadOptionUsage: If the option needs a value and has none.
            click.UsageError: If it is a switch, and the word after it is none of its values.
        """
        if option.field.is_flag:
            if self.spelling in option.secondary_opts:
                return False
            if isinstance(value, str) and value.lower() not in ("yes", "no"):
                raise click.UsageError(
                    f"{self.spelling} is a switch here, but an option with a value in another component. So that it "
                    f"does not take {value!r}, write {self.spelling}=yes.",
                    ctx,
                )
            return value.lower() == "yes" if isinstance(value, str) else True
        if not isinstance(value, str):
            raise click.BadOptionUsage(self.spelling, f"Option {self.spelling!r} requires an argument.", ctx)
        return value


def written_flags(
    registry: Registry, kinds: Iterable[str], sections: Offer, own: Iterable[str], args: Sequence[str]
) -> list[WrittenFlag]:
    """Return the flags that may stand on a command line.

    They are those of all installed components of some kinds, those of the other parts of a run, and whatever else looks
    like a flag: the parser must neither stop at it nor take its value for an argument. A flag that is a switch of one
    component and takes a value in another has a value if the word after it does not begin with ``--``.

    Args:
        registry: The installed components.
        kinds: The kinds that flags may name.
        sections: The other parts of the run whose options are on offer.
        own: The flags of the command itself.
        args: The words of the command line.
    """
    options = [(section, field) for section, field, _ in installed_options(registry, kinds)]
    # The parts of a run that are not components are the same in every run.
    for group, others in offered_options(registry, Choice({}), sections):
        options += [(group.section, field) for field in others]
    switches: set[str] = set()
    valued: set[str] = set()
    for section, field in options:
        if field.is_flag:
            switches |= {section.flag(field.name), section.negative(field.name)}
        else:
            valued.add(section.flag(field.name))
    looks_like = {word.partition("=")[0] for word in args if word.startswith("--") and word != "--"}
    unknown = looks_like - switches - valued - set(own)
    either = switches & valued | unknown
    valued = valued - switches | {spelling for spelling in either if _has_value(spelling, args)}
    return [
        WrittenFlag(spelling, valued=spelling in valued) for spelling in sorted(switches | valued | unknown)
    ]


def _has_value(spelling: str, args: Sequence[str]) -> bool:
    """Whether a value stands with a flag, ``--x=1`` or ``--x 1``."""
    after = [next_word for word, next_word in itertools.pairwise(args) if word == spelling]
    explicit = any(word.startswith(f"{spelling}=") for word in args)
    return explicit or any(not word.startswith("--") for word in after)
