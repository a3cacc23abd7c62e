"""The process of a table of α and σ."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from difrun.errors import DifrunError
from difrun.process import GaussianProcess
from difrun.process.tabulated import TabulatedProcess


def tabulated(
    *,
    file: Path | None = None,
    t: Sequence[float] = (),
    alpha: Sequence[float] = (),
    sigma: Sequence[float] = (),
    scale: Literal["exploding", "preserving", "straight", "free"] | None = None,
    noise_floor: float | None = None,
) -> GaussianProcess:
    r"""The process x_t = α x_0 + σ ε through a table of α and σ, exact at its entries and smooth between them.

    The table is a file with the columns t, alpha and sigma, or two or three columns that are given one by one. Without
    t the entries have the times 1 ... N; the data, α = 1 and σ = 0, have the time 0 and need no row. Of α and σ one
    may be left out: a table of σ alone is x_0 + σε, one of α alone has α² + σ² = 1, unless `scale` says otherwise.

    Sampling ends at the first noisy entry. See `difrun.process.tabulated.TabulatedProcess`.

    Args:
        file: The table; the options hold its columns instead.
        t: The time of each entry.
        alpha: α of each entry.
        sigma: σ of each entry.
        scale: The law of α and σ.
        noise_floor: The ratio σ/α at which training and sampling end; None for that of the first noisy entry.

    Raises:
        DifrunError: If there is no table, or it is none that a process can have.
    """
    del file  # the options have read it
    if not alpha:
        raise DifrunError(
            "process 'tabulated' needs a table: --process.file FILE, with the columns t, alpha and sigma; in Python "
            "the options process.alpha and process.sigma."
        )
    try:
        return TabulatedProcess(alpha, sigma, scale=scale, noise_floor=noise_floor, times=t or None)
    except DifrunError as error:
        raise DifrunError(
            f"the table of process 'tabulated' (--process.file, or --process.alpha and --process.sigma): {error}"
        ) from error
