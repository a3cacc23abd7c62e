"""Numbers as every picture needs them: plain arrays, robust limits, histograms."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from difrun.errors import DifrunError

Array = NDArray[np.float64]
Limits = tuple[float, float]
Density = Callable[[Array], Any]
"""A density in one dimension, from points (m,) to values (m,)."""


def as_array(values: Any) -> Array:
    """Convert a tensor (any device, any dtype), an array or a nested sequence to float64.

    Raises:
        DifrunError: If it does not hold real numbers.
    """
    if hasattr(values, "detach"):
        if values.is_complex() or str(values.layout) != "torch.strided" or values.is_nested or values.is_meta:
            raise DifrunError(
                f"draw: expected real numbers in a dense tensor, not {values.dtype}, {values.layout}"
                f"{', nested' if values.is_nested else ''}, on {values.device}"
            )
        # To the CPU first, as not every device has float64; to float64 before NumPy, which has no bfloat16.
        values = values.detach().cpu().double().resolve_neg().numpy()
    try:
        array = np.asarray(values)
        if isinstance(values, np.ma.MaskedArray) and array.dtype.kind in "buif":
            array = np.ma.filled(values.astype(np.float64), np.nan)  # the number under a mask is nobody's
    except ValueError as error:
        raise DifrunError(f"draw: expected an array of real numbers ({error})") from None
    if array.dtype.kind not in "buif":
        raise DifrunError(f"draw: expected real numbers, not {array.dtype} values")
    return np.asarray(array, dtype=np.float64)


def as_points(values: Any, name: str) -> Array:
    """Convert points to an array (n, d); an array (n,) is n points in one dimension.

    Raises:
        DifrunError: If there is no point, or the array has more than two axes; the message calls it `name`.
    """
    points = as_array(values)
    if points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2 or 0 in points.shape:
        raise DifrunError(f"draw: {name} must be points of shape (n, d) with n, d ≥ 1, not {points.shape}")
    return points


def as_paths(values: Any, times: Any, name: str) -> tuple[Array, Array]:
    """Convert paths to an array (frames, n, d) and their times to (frames,); an array (frames, n) has d = 1.

    Raises:
        DifrunError: If the shapes do not fit together; the message calls the paths `name`.
    """
    paths, instants = as_array(values), as_array(times).reshape(-1)
    if paths.ndim == 2:
        paths = paths[:, :, None]
    if paths.ndim != 3 or 0 in paths.shape:
        raise DifrunError(f"draw: {name} must be paths of shape (frames, n, d), not {paths.shape}")
    if len(instants) != len(paths):
        raise DifrunError(
            f"draw: {name} has {len(paths)} frames but {len(instants)} times; give one time per frame"
        )
    return paths, instants


def thin(points: Array, most: int) -> Array:
    """Return at most `most` evenly spaced rows; the first rows of a sorted file would mislead."""
    return points[evenly(len(points), most)]


def evenly(length: int, most: int) -> NDArray[np.intp]:
    """Return at most `most` evenly spaced indices below `length`, which include the first and the last."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(np.intp))


def robust_limits(values: Any, margin: float = 0.06) -> Limits:
    """Return limits that show all values except gross outliers.

    The limits are the range of the values, cut where it extends beyond the central 99 % range by more than an eighth of
    that range, and widened by `margin` of its length. Values that are not finite are ignored; if none is left, the
    limits are (−1, 1).
    """
    finite = as_array(values).reshape(-1)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return -1.0, 1.0
    low, high = np.quantile(finite, [0.005, 0.995])
    reach = 0.125 * (high - low)
    low, high = max(finite.min(), low - reach), min(finite.max(), high + reach)
    pad = margin * (high - low) or 0.5 * max(1.0, abs(low))
    return float(low - pad), float(high + pad)


def union(limits: Sequence[Limits]) -> Limits:
    """Return the smallest interval that contains all of the limits."""
    return min(low for low, _ in limits), max(high for _, high in limits)


def square(x: Limits, y: Limits, most: float = 3.0) -> tuple[Limits, Limits]:
    """Extend the shorter interval to the length of the longer one, for a square panel with equal scales.

    Intervals whose lengths differ by more than a factor `most` belong to quantities of different kinds and are returned
    as they are.
    """
    spans = x[1] - x[0], y[1] - y[0]
    if max(spans) > most * min(spans):
        return x, y
    half = max(spans) / 2
    cx, cy = (x[0] + x[1]) / 2, (y[0] + y[1]) / 2
    return (cx - half, cx + half), (cy - half, cy + half)


def bin_edges(limits: Limits, n: int) -> Array:
    """Return the edges of about 3 n^(1/3) equal bins between the limits, at least 16 and at most 80."""
    return np.linspace(*limits, int(np.clip(3 * n ** (1 / 3), 16, 80)) + 1)


def bin_density(values: Array, edges: Array) -> Array:
    """Return a histogram as a density, normalised by all values, those outside the edges included."""
    counts, _ = np.histogram(values[np.isfinite(values)], edges)
    return counts / (max(values.size, 1) * np.diff(edges))


def evaluate(density: Density, points: Array) -> Array:
    """Return the density at points (m,).

    Raises:
        DifrunError: If it does not give one value per point.
    """
    values = as_array(density(points)).reshape(-1)
    if values.shape != points.shape:
        raise DifrunError(
            f"draw: the density gave {values.size} values for {points.size} points, not one per point"
        )
    return values
