"""Options of the process of a table of α and σ, without torch."""

import itertools
from pathlib import Path
from typing import Literal, get_args

import attrs
from attrs.validators import ge, in_, le, optional

from difrun.api import option
from difrun.errors import DifrunError, OptionError
from difrun_ddpm.table import as_numbers
from difrun_ddpm.table_file import UNNAMED, entries, no_such, read_columns, read_table

Scale = Literal["exploding", "preserving", "straight", "free"]

COLUMNS = ("t", "alpha", "sigma")
"""The columns of a table; those of t, and of one of the other two, may be missing."""

WANTED = "t, alpha and sigma"


@attrs.frozen
class TabulatedOptions:
    """Options of the process of a table."""

    file: Path | None = option(
        None,
        "A table made elsewhere, a .csv, .txt, .npz or .json file with the columns t, alpha and sigma.",
        metavar="FILE",
    )
    t: tuple[float, ...] | Path = option(
        (), "Times of the entries, from 0; without them 1 ... N.", metavar="FILE"
    )
    alpha: tuple[float, ...] | Path = option((), "α at the entries, in x_t = α x_0 + σ ε.", metavar="FILE")
    sigma: tuple[float, ...] | Path = option((), "σ at the entries.", metavar="FILE")
    scale: Scale | None = option(
        None,
        "Law of the table: α = 1, α² + σ² = 1, α + σ = 1, or none; none given: the first that it obeys.",
        optional(in_(get_args(Scale))),
    )
    noise_floor: float | None = option(
        None,
        "Noise-to-signal ratio σ/α at which training and sampling end; none: that of the first noisy entry.",
        optional(ge(1e-9)),
        optional(le(100)),
    )

    def __attrs_post_init__(self) -> None:
        table = self._read()
        if not table:
            return
        if "alpha" not in table and "sigma" not in table:
            raise OptionError("a table needs alpha, sigma, or both")
        lengths = {name: len(numbers) for name, numbers in table.items()}
        if len(set(lengths.values())) > 1:
            raise OptionError(
                f"the columns of a table have one number for each entry; {_listed(lengths)} numbers were given"
            )
        rows = _from_data_to_noise(_with_both(table, self.scale))
        # The class is frozen for its users; these are its own last touches.
        object.__setattr__(self, "file", None)
        for name, numbers in rows.items():
            object.__setattr__(self, name, numbers)

    def _read(self) -> dict[str, tuple[float, ...]]:
        """The columns that are given, from their files or as they are: the numbers, not their file, are recorded."""
        given = {
            name: value for name in COLUMNS if isinstance(value := getattr(self, name), Path) or len(value)
        }
        if self.file is not None and given:
            raise OptionError(f"file holds the whole table; leave {' and '.join(given)} out, or file")
        try:
            if self.file is not None:
                return _of_file(self.file)
            return {
                name: read_table(value, name) if isinstance(value, Path) else as_numbers(value, name)
                for name, value in given.items()
            }
        except OptionError:
            raise
        except DifrunError as error:
            raise OptionError(str(error)) from error


def _of_file(path: Path) -> dict[str, tuple[float, ...]]:
    columns = read_columns(path, WANTED)
    found = {name: numbers for name in COLUMNS if (numbers := entries(columns, name, path)) is not None}
    if "alpha" not in found and "sigma" not in found:
        advice = ". A table of β or ᾱ is that of a chain: process ddpm, betas or alphas_cumprod"
        if UNNAMED in columns:
            advice = ". A file of one column is given as alpha or sigma"
        raise OptionError(no_such(path, "'alpha' and no 'sigma'", columns) + advice)
    return found


def _with_both(table: dict[str, tuple[float, ...]], scale: str | None) -> dict[str, tuple[float, ...]]:
    """The table with α and σ, of which one may follow from the other by the law."""
    if "alpha" in table and "sigma" in table:
        return table
    if "sigma" in table:
        laws = {
            "exploding": lambda sigma: 1.0,
            "preserving": lambda sigma: (1 - sigma**2) ** 0.5,
            "straight": lambda sigma: 1 - sigma,
        }
        law, known, missing = scale or "exploding", table["sigma"], "alpha"
    else:
        laws = {
            "preserving": lambda alpha: (1 - alpha**2) ** 0.5,
            "straight": lambda alpha: 1 - alpha,
        }
        law, known, missing = scale or "preserving", table["alpha"], "sigma"
    if law not in laws:
        raise OptionError(f"with scale {law} {missing} does not follow from the other column: give both")
    if law != "exploding" and not all(0 <= number <= 1 for number in known):
        raise OptionError(
            f"{missing} follows from numbers between 0 and 1; the table has {max(known, key=abs):g}. Give both columns"
        )
    return table | {missing: tuple(laws[law](number) for number in known)}


def _from_data_to_noise(table: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
    """The rows in the order of time or, without times, of the noise."""
    order = table.get("t") or [
        sigma / alpha if alpha else float("inf")
        for alpha, sigma in zip(table["alpha"], table["sigma"], strict=True)
    ]
    falls = all(later < earlier for earlier, later in itertools.pairwise(order))
    return {name: numbers[::-1] for name, numbers in table.items()} if falls and len(order) > 1 else table


def _listed(lengths: dict[str, int]) -> str:
    return ", ".join(f"{length} of {name}" for name, length in lengths.items())
