r"""How a network trained elsewhere is called: what it gets for a time, how its input is scaled, what it predicts.

A time is a number per example, made from the instant of t:

    name       | the network gets
    index      | the index of t in the table of the process, from 0 (`GaussianProcess.table_index`)
    t          | t itself
    sigma      | σ(t)
    log-snr    | λ = log(α/σ), half the logarithm of the signal-to-noise ratio
    c-noise    | ¼ ln(σ/α), as in Karras et al., 2022, arXiv 2206.00364, table 1

Anything else is a function of the instant, such as ``lambda at: 1000 * at.t`` or ``lambda at: at.sigma.log()``. The
fields of that instant are tensors (n,).
"""

from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.data.casts import wide_dtype
from difrun.errors import DifrunError
from difrun.model.foreign_arguments import checked_pair, naming_function
from difrun.model.predictions import PARAMETERISATIONS, coefficients, total_std

TimeFunction = Callable[[Any], Tensor]
Coefficients = Callable[[Any], tuple[Any, Any]]

TIMES: dict[str, TimeFunction] = {
    # Below its first entry the table has no index; the network was trained with that of the first.
    "index": lambda at: at.schedule.table_index(at.t).clamp_min(0),
    "t": lambda at: at.t,
    "sigma": lambda at: at.sigma,
    "log-snr": lambda at: at.lam,
    "c-noise": lambda at: -0.25 * at.lam,
}
"""Name -> the time that a network gets."""


@attrs.frozen
class Convention:
    """How the numbers that a network gets and returns are read.

    Attributes:
        predicts: What it predicts, one of `PARAMETERISATIONS`, or a function of an instant that returns (a, b) of
            a·x̂_0 + b·ε̂.
        time: A name of `TIMES`, or a function of an instant.
        scale: The factor c_in of its input: None for 1, "edm" for 1/√(α²σ_d² + σ²), or a function of an instant.
        integer: Whether times are rounded to whole numbers, int64.
        data_std: σ_d, for "edm".
    """

    predicts: str | Coefficients
    time: str | TimeFunction
    scale: str | Callable[[Any], Any] | None
    integer: bool
    data_std: float

    def refuse_unknown(self, process: Any) -> None:
        """Raise DifrunError if a name is not known, or the process has no such time."""
        if not callable(self.predicts) and self.predicts not in PARAMETERISATIONS:
            raise DifrunError(
                f"predicts={self.predicts!r}: a network predicts one of {', '.join(PARAMETERISATIONS)}; or give a "
                "function of an instant that returns (a, b), for one that predicts a·x0 + b·noise."
            )
        if not callable(self.time) and self.time not in TIMES:
            raise DifrunError(
                f"time={self.time!r}: a network is called with one of {', '.join(TIMES)}; or give a function of an "
                "instant, such as lambda at: 1000 * at.t."
            )
        if self.time == "index":
            try:
                process.table_index(process.horizon)
            except DifrunError as error:
                raise DifrunError(
                    f"time='index': {error} Say what the network takes for a time: time='t', 'sigma', ..."
                ) from None
        if self.scale is not None and not callable(self.scale) and self.scale != "edm":
            raise DifrunError(
                f"input_scale={self.scale!r}: expected 'edm', a function of an instant, or None for x itself."
            )

    def coefficients(self, at: Any) -> tuple[Any, Any]:
        """Return (a, b) of what the network predicts."""
        if callable(self.predicts):
            return checked_pair(naming_function("predicts", self.predicts, at))
        # A score is the score itself, not in units of 1/σ.
        return coefficients(self.predicts, at, None if self.predicts == "score" else self.data_std)

    def scaled(self, x: Tensor, at: Any) -> Tensor:
        """Return c_in · x."""
        if self.scale is None:
            return x
        if not callable(self.scale):
            return x * (1 / total_std(at, self.data_std))
        factor = naming_function("input_scale", self.scale, at)
        if not isinstance(factor, Tensor | float | int):
            raise DifrunError(
                "the function for `input_scale` must return a number or a tensor; it returned "
                f"{type(factor).__name__}."
            )
        return x * factor

    def times(self, at: Any) -> Tensor:
        """Return the time of each row, from an instant whose fields are tensors (n,)."""
        make = self.time if callable(self.time) else TIMES[self.time]
        times = naming_function("time", make, at)
        if not isinstance(times, Tensor) or not times.ndim or len(times) != len(at.t):
            got = f"one of shape {tuple(times.shape)}" if isinstance(times, Tensor) else type(times).__name__
            raise DifrunError(
                "the function for `time` must return a tensor with a number for each row, made from fields of the "
                f"instant such as at.t and at.sigma; it returned {got}."
            )
        return times.round().long() if self.integer else times


def row_instant(at: Any, rows: int, like: Tensor) -> Any:
    """Return an instant whose fields are tensors (rows,): of the numbers of a grid, or of one time for each row."""

    def of_rows(value: Any) -> Tensor:
        if isinstance(value, Tensor):
            return value.reshape(-1).expand(rows)
        return torch.full((rows,), value, dtype=wide_dtype(like), device=like.device)

    instant = at.schedule.instant(of_rows(at.t))
    for name in ("alpha", "sigma", "var", "lam", "log_alpha"):
        setattr(instant, name, of_rows(getattr(at, name)))
    return instant
