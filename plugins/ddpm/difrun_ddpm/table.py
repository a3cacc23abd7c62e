"""A schedule made elsewhere: one table of β, ᾱ or σ/α, or of α and σ, checked without torch."""

from collections.abc import Sequence
from typing import Any

from difrun.errors import OptionError
from difrun_ddpm.table_file import is_number

TABLES = ("betas", "alphas_cumprod", "sigmas")
"""The options of the chain that take a table."""


def as_numbers(values: Any, name: str) -> tuple[float, ...]:
    """Return the entries of an array, a tensor or a sequence.

    Raises:
        OptionError: If it has another shape than (N,), or entries that are no real numbers.
    """
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    if not isinstance(listed, list) or not all(is_number(value) for value in listed):
        raise OptionError(f"{name} must be N real numbers, of shape (N,)")
    return tuple(float(value) for value in listed)


def from_data_to_noise(sigmas: tuple[float, ...]) -> tuple[float, ...]:
    """Return σ_1/α_1 ... σ_N/α_N of a table in either order, without the σ = 0 of the data."""
    rising = sigmas[::-1] if len(sigmas) > 1 and sigmas[0] > sigmas[-1] else sigmas
    return rising[1:] if rising and rising[0] == 0 else rising


def refuse_wrong(name: str, numbers: Sequence[float]) -> None:
    """Raise OptionError unless numbers are a table of β, ᾱ or σ/α, from data to noise.

    Args:
        name: One of `TABLES`.
        numbers: The entries, at least 2.
    """
    {"betas": _refuse_betas, "alphas_cumprod": _refuse_products, "sigmas": _refuse_ratios}[name](numbers)


def _refuse_betas(betas: Sequence[float]) -> None:
    wrong = [k for k, beta in enumerate(betas) if not (0 < beta < 1 or (beta == 1 and k == len(betas) - 1))]
    if wrong:
        raise OptionError(
            "betas must lie above 0 and below 1 (the last may be 1, which leaves no signal); entry "
            f"{wrong[0]} is {betas[wrong[0]]:g}. Is it a table of alphas_cumprod, or in another unit?"
        )
    if betas[0] > 0.5 and _first_fall([-beta for beta in betas]) is None:
        raise OptionError(
            f"betas begin with {betas[0]:g} and decrease, as alphas_cumprod do: give them as alphas_cumprod"
        )


def _refuse_products(products: Sequence[float]) -> None:
    if not all(0 <= product < 1 for product in products):
        raise OptionError("alphas_cumprod must lie below 1 and not below 0; it begins with ᾱ_1 = 1 − β_1")
    _refuse_order("alphas_cumprod must strictly decrease", [-product for product in products])


def _refuse_ratios(ratios: Sequence[float]) -> None:
    if not all(ratio > 0 for ratio in ratios):
        raise OptionError("sigmas must be above 0; a 0 for the data themselves may stand at one end alone")
    _refuse_order("sigmas must strictly increase", ratios)


def _refuse_order(rule: str, rising: Sequence[float]) -> None:
    """Raise OptionError unless numbers strictly increase."""
    k = _first_fall(rising)
    if k is None:
        return
    reversed_ = _first_fall(rising[::-1]) is None
    advice = (
        "It runs from noise to data: reverse it"
        if reversed_
        else "Tables computed in float32 may repeat a value near the data; compute them in float64"
    )
    raise OptionError(f"{rule}, from data to noise; it does not from entry {k} to entry {k + 1}. {advice}")


def _first_fall(rising: Sequence[float]) -> int | None:
    """The first k with y_{k+1} ≤ y_k; None if numbers strictly increase."""
    return next((k for k in range(len(rising) - 1) if not rising[k + 1] > rising[k]), None)
