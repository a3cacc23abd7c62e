"""Columns of numbers too large or too small for Matplotlib, in powers of ten that it can draw."""

import numpy as np


def drawn_powers(shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return for each column the power of ten in which it is drawn: 0, unless Matplotlib would overflow or underflow.

    Args:
        shift: The middle of each column, (d,).
        scale: The width of each column, (d,).
    """
    size = np.log10(np.maximum(np.abs(shift) / 100, scale))
    return np.where(np.abs(size) > 100, np.floor(size), 0).astype(int)


def times_power(values: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """Return values of columns, (..., d), times 10 to the powers, (d,), of up to ±330."""
    if not powers.any():
        return values
    half = powers // 2  # 10^330 itself is no float64
    return values * 10.0**half * 10.0 ** (powers - half)
