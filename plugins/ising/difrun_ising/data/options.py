"""Options of the datasets, without torch."""

from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, le, lt

from difrun.api import option


def _size(_: Any, attribute: attrs.Attribute, value: tuple[int, ...]) -> None:
    if len(value) not in (1, 2) or min(value) < 1:
        raise ValueError("size must be one positive number L, or two: rows,columns")


@attrs.frozen
class IsingDataOptions:
    """Options of the dataset `ising`."""

    size: tuple[int, ...] = option(
        (8, 8), "Rows and columns of the lattice; one number makes a square.", _size
    )
    beta: float = option(
        0.35, "Inverse temperature β; the square lattice is critical at 0.4407.", ge(0), le(1e6)
    )
    coupling: float = option(1.0, "Coupling J of neighbours; negative: antiferromagnetic.", ge(-1e6), le(1e6))
    field: float = option(0.0, "Field h.", ge(-1e6), le(1e6))
    boundary: Literal["periodic", "free"] = option("periodic", "Boundaries: a torus (periodic), or free.")
    n: int = option(5000, "Lattices to train on.", ge(20), le(10**9))
    held_out: int = option(2000, "Lattices held out from training.", ge(1), le(10**9))


@attrs.frozen
class SpinFileOptions:
    """Options of the dataset `spin-file`."""

    path: Path | None = option(None, "File of spins ±1 (.npy or .npz), one lattice per row.", metavar="FILE")
    key: str | None = option(
        None, "Array in an .npz file; not needed if it holds only one, or one named 'x'."
    )
    label: str | None = option(
        None, "Array in an .npz file with the class of every lattice; by default 'y', if there is one."
    )
    held_out: float = option(0.2, "Share of the lattices held out from training.", gt(0), lt(1))


@attrs.frozen
class MarkovOptions:
    """Options of the dataset `markov`."""

    length: int = option(16, "Letters of a string.", ge(1), le(10**6))
    letters: int = option(4, "Size of the alphabet, K.", ge(2), le(64))
    stay: float = option(
        0.7, "Probability that a letter is repeated; the others share the rest.", gt(0), lt(1)
    )
    n: int = option(5000, "Strings to train on.", ge(20), le(10**9))
    held_out: int = option(2000, "Strings held out from training.", ge(1), le(10**9))
