"""The file of a schedule made elsewhere: one table of β, ᾱ or σ/α, read without torch."""

import csv
import json
import math
from pathlib import Path
from typing import Any

from difrun.errors import DifrunError
from difrun.storage.regular import open_regular, read_bounded

TABLES = ("betas", "alphas_cumprod", "sigmas")
"""The options that take a table."""

SUFFIXES = (".npy", ".csv", ".json")
"""The files that a table is read from."""

MOST = 64 * 2**20
"""The most bytes of a file: a table of a million entries has fewer."""


def as_numbers(values: Any, name: str) -> tuple[float, ...]:
    """Return the entries of an array, a tensor or a sequence.

    Raises:
        ValueError: If it has another shape than (N,), or entries that are no real numbers.
    """
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    if not isinstance(listed, list) or not all(_is_number(value) for value in listed):
        raise ValueError(f"{name} must be N real numbers, of shape (N,)")
    return tuple(float(value) for value in listed)


def from_data_to_noise(sigmas: tuple[float, ...]) -> tuple[float, ...]:
    """Return σ_1/α_1 ... σ_N/α_N of a table in either order, without the σ = 0 of the data."""
    rising = sigmas[::-1] if len(sigmas) > 1 and sigmas[0] > sigmas[-1] else sigmas
    return rising[1:] if rising and rising[0] == 0 else rising


def read_table(path: Path, name: str) -> tuple[float, ...]:
    """Read the entries of a table, from data to noise.

    Args:
        path: A .npy file with an array (N,); a .csv file with a line for each entry, and one column or a first line of
            names among which is the name of the table; a .json file with a list, or an object with a list under that
            name.
        name: The table that is read, "betas", "alphas_cumprod" or "sigmas".

    Raises:
        DifrunError: If there is no such file, or no such table in it.
    """
    readers = {".npy": _from_npy, ".csv": _from_csv, ".json": _from_json}
    reader = readers.get(path.suffix.lower())
    if not path.exists():
        raise DifrunError(f"there is no file {path}")
    if reader is None:
        raise DifrunError(
            f"a table is a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file, not {path.name!r}"
        )
    try:
        numbers = reader(path, name)
    except OSError as error:
        raise DifrunError(f"cannot read {path}: {error.strerror or error}") from error
    if not numbers:
        raise DifrunError(f"{path} holds no numbers")
    return tuple(numbers)


def _from_npy(path: Path, _: str) -> list[float]:
    from difrun.storage import arrays  # imports NumPy, which nothing else here needs

    try:
        with open_regular(path, MOST) as stream:
            array = arrays.load(stream)
    except arrays.DamagedArray as error:
        raise DifrunError(f"{path} is no array of numbers ({error})") from None
    if isinstance(array, arrays.Archive) or array.ndim != 1 or array.dtype.kind not in "iuf":
        raise DifrunError(f"{path} must hold one array of N numbers, of shape (N,)")
    return array.astype(float).tolist()


def _from_json(path: Path, wanted: str) -> list[float]:
    try:
        content = json.loads(read_bounded(path, MOST))
    except (ValueError, RecursionError) as error:
        raise DifrunError(f"{path} is no JSON file ({error})") from None
    if isinstance(content, dict):
        names = [name for name in content if _name(name) == wanted]
        if not names:
            raise DifrunError(_no_such_table(path, wanted, list(content), "key"))
        content = content[names[0]]
    if not isinstance(content, list) or not all(_is_number(value) for value in content):
        raise DifrunError(f"{path} must hold a list of numbers")
    return [float(value) for value in content]


def _from_csv(path: Path, wanted: str) -> list[float]:
    try:
        text = read_bounded(path, MOST).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DifrunError(f"{path} is no text in UTF-8") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    first = lines[0] if lines else ""
    separator = next((sign for sign in ";\t," if sign in first), ",")
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    if not rows:
        return []
    column = 0
    if not all(_as_number(cell) is not None for cell in rows[0]):
        names = rows.pop(0)
        places = [k for k, name in enumerate(names) if _name(name) == wanted]
        if not places and len(names) > 1:
            raise DifrunError(_no_such_table(path, wanted, names, "column"))
        column = places[0] if places else 0
    elif len(rows[0]) > 1:
        raise DifrunError(
            f"{path} has {len(rows[0])} columns without names; give a table one column, or a first line of names with "
            f"'{wanted}' among them"
        )
    numbers = []
    for k, row in enumerate(rows, start=1):
        number = _as_number(row[column]) if column < len(row) else None
        if number is None:
            raise DifrunError(f"{path}: entry {k} of the table is no number")
        numbers.append(number)
    return numbers


def _no_such_table(path: Path, wanted: str, names: list[str], what: str) -> str:
    found = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"{path} has no {what} '{wanted}' (its {what}s: {found})"


def _name(name: str) -> str:
    """A name as options write it in Python: alphas-cumprod is alphas_cumprod."""
    return name.strip().lower().replace("-", "_")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _as_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
