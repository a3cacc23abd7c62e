"""`difrun evaluate RUN --likelihood`: its flags, and what it prints."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import click

from difrun.cli.output import paragraph, table, width
from difrun.config.run_options import MOST_STEPS

if TYPE_CHECKING:
    from difrun.runs.stages.likelihood import LikelihoodRequest


def _number(name: str, least: int, help: str, most: int | None = None) -> click.Option:
    return click.Option(
        [f"--likelihood.{name}", f"likelihood_{name}"],
        type=click.IntRange(least, most),
        metavar="N",
        help=help,
    )


LIKELIHOOD = (
    click.Option(
        ["--likelihood"],
        is_flag=True,
        help="Log-likelihood of held-out examples, by the probability flow and by the ELBO, in nats and bits per "
        "dimension. Each of the flags below implies it.",
    ),
    _number("n", 1, "Held-out examples.  [default: 1000, or all if fewer]"),
    _number("steps", 1, "Steps of the probability flow (fourth order).  [default: 100]", MOST_STEPS),
    _number(
        "probes",
        0,
        "Random probes of the divergence; 0: exact.  [default: 0 up to 32 coordinates, 4 beyond]",
    ),
    _number("times", 1, "Times per example in the ELBO.  [default: 64]"),
)
"""The flags. Each of the numbers implies ``--likelihood``."""


@attrs.frozen
class LikelihoodFlags:
    """The numbers that the user gave.

    Attributes:
        given: Name without its prefix -> number.
    """

    given: dict[str, int]

    def request(self) -> "LikelihoodRequest":
        """Return what these numbers ask for."""
        from difrun.runs.stages.likelihood import LikelihoodRequest

        return LikelihoodRequest(**self.given)


def likelihood_flags(flag: bool, options: Mapping[str, int | None]) -> LikelihoodFlags | None:
    """Return what the flags of `LIKELIHOOD` ask for; None where none of them is set."""
    given = {name.removeprefix("likelihood_"): value for name, value in options.items() if value is not None}
    return LikelihoodFlags(given) if flag or given else None


def likelihood_table(found: dict[str, Any]) -> str:
    """Return a table of the quantities in nats and bits per dimension, their meanings, and how they were computed.

    Meanings that do not fit into the table are written below it.
    """
    from difrun.runs.report.likelihood import sentences, table_rows

    rows, within = table_rows(found), max(width(), 40)
    head = ("likelihood", "nats per example", "bits per dimension", "meaning")
    shown, notes = table([head, *rows]), sentences(found)
    if max(map(len, shown.splitlines())) > within:
        shown = table([head[:3], *(row[:3] for row in rows)])
        notes = [f"{name}: {meaning}." for name, _, _, meaning in rows] + notes
    return "\n".join([shown, *(line for note in notes for line in paragraph(note, within))])
