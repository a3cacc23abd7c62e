"""Tables of schedules as users have them: read, and refused in words where they are none."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from difrun.data.casts import data_on_cpu
from difrun.errors import DifrunError


def as_table(values: Any, name: str) -> Tensor:
    """Return the entries of a table, (N,) float64 on the CPU.

    Raises:
        DifrunError: If they are not finite real numbers on one axis, or there are none.
    """
    table = data_on_cpu(values, name).double()
    if table.ndim != 1 or not len(table):
        raise DifrunError(
            f"{name} is a table of N numbers, of shape (N,); got one of shape {tuple(table.shape)}."
        )
    if not bool(table.isfinite().all()):
        raise DifrunError(
            f"{name} must be finite; entry {_first(~table.isfinite())} is {_entry(table.isfinite(), table)}."
        )
    return table


def variance_steps(betas: Any) -> Tensor:
    """Return −log(1 − β_n), (N,) float64, the rise of −log ᾱ in every step.

    Raises:
        DifrunError: If a β is not above 0 and below 1; the last may be 1.
    """
    table = as_table(betas, "betas")
    allowed = (table > 0) & (table < 1)
    allowed[-1] |= table[-1] == 1
    if not bool(allowed.all()):
        raise DifrunError(
            f"betas must lie above 0 and below 1 (the last may be 1, which leaves no signal); entry {_first(~allowed)} "
            f"is {_entry(allowed, table)}. Is it a table of alphas_cumprod, or in another unit?"
        )
    if len(table) > 1 and bool(table[0] > 0.5) and bool((table.diff() < 0).all()):
        raise DifrunError(
            f"betas begin with {float(table[0]):g} and decrease, as alphas_cumprod do: give them as alphas_cumprod."
        )
    return -torch.log1p(-table)


def log_snr_form(
    alphas: Tensor, sigmas: Tensor, rule: str = "the ratio sigma/alpha must strictly increase"
) -> Tensor:
    """Return u = log(1 + σ²/α²) at every entry, (N,) float64.

    Args:
        alphas: α at the entries.
        sigmas: σ at the entries.
        rule: What the message says if u does not increase.

    Raises:
        DifrunError: If an entry is negative, α = 0 before the last entry, or u does not strictly increase.
    """
    if bool((alphas < 0).any()) or bool((sigmas < 0).any()):
        raise DifrunError("alpha and sigma must not be negative.")
    u = torch.log1p((sigmas / alphas) ** 2)
    if bool((alphas == 0).any()):
        u = torch.where(alphas == 0, torch.inf, u)
    fallen = u.diff() <= 0
    if bool(fallen.any()) or bool(u[:-1].isinf().any()):
        at = _first(fallen | u[:-1].isinf())
        reversed_ = len(u) > 1 and bool(((u.diff() < 0) | u[:-1].isinf()).all())
        advice = (
            "It runs from noise to data: reverse it."
            if reversed_
            else "Tables computed in float32 may repeat a value near the data; compute them in float64."
        )
        raise DifrunError(
            f"{rule}, from data to noise; it does not from entry {at} to entry {at + 1}. {advice}"
        )
    if float(u[0]) == 0 and float(alphas[0]) != 1:
        raise DifrunError(
            f"where there is no noise, alpha must be 1; the first entry has {float(alphas[0]):g}."
        )
    return u


def refuse_bad_scale(scale: str, alphas: Tensor, sigmas: Tensor, known: Sequence[str]) -> None:
    """Raise DifrunError if there is no such law of α² + σ², or the entries do not obey it to 1e-5."""
    laws = {
        "preserving": ("α² + σ² = 1", alphas**2 + sigmas**2),
        "exploding": ("α = 1", alphas),
        "straight": ("α + σ = 1", alphas + sigmas),
    }
    if scale not in known:
        raise DifrunError(f"there is no scale {scale!r}; choose one of {', '.join(known)}.")
    if scale in laws:
        law, values = laws[scale]
        if float((values - 1).abs().max()) > 1e-5:
            raise DifrunError(
                f"scale={scale!r} means {law}, which this table does not obey; leave scale out."
            )


def _first(where: Tensor) -> int:
    return int(where.nonzero()[0])


def _entry(allowed: Tensor, table: Tensor) -> str:
    return f"{float(table[_first(~allowed)]):g}"
