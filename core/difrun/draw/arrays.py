"""What every picture needs of its numbers: plain arrays, robust limits, histograms."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from difrun.errors import DifrunError

Array = NDArray[np.float64]
Limits = tuple[float, float]
Density = Callable[[Array], Any]
"""A density on the line: points of shape (m,) to values of shape (m,)."""


def as_array(values: Any) -> Array:
    """The values of a tensor (any device, any dtype), an array or a nested sequence, in float64."""
    if hasattr(values, "detach"):
        # First to the CPU: not every device knows float64, and NumPy does not know bfloat16.
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def as_points(values: Any, name: str) -> Array:
    """Points as an array of shape (n, d); (n,) is read as n points on the line.

    Raises DifrunError when there is no point or when the array has more than two axes.
    """
    points = as_array(values)
    if points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2 or 0 in points.shape:
        raise DifrunError(f"draw: {name} must be points of shape (n, d) with n, d ≥ 1, not {points.shape}")
    return points


def as_paths(values: Any, times: Any, name: str) -> tuple[Array, Array]:
    """Paths as an array of shape (frames, n, d), and their times (frames,); (frames, n) is read as d = 1.

    Raises DifrunError when the shapes do not fit together.
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
    """At most `most` rows, evenly spaced: files may be sorted, so that the first rows would mislead."""
    return points[evenly(len(points), most)]


def evenly(length: int, most: int) -> NDArray[np.intp]:
    """At most `most` indices below `length`, evenly spaced, the first and the last always among them."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(np.intp))


def robust_limits(values: Any, margin: float = 0.06) -> Limits:
    """Limits that show all values, but for gross outliers.

    The range of the values, cut where it reaches more than an eighth of the central 99 % range beyond it, and
    widened by `margin` of itself. Values that are not finite are left out; without any, the limits are (−1,
    1).
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
    """The smallest interval that contains all of them."""
    return min(low for low, _ in limits), max(high for _, high in limits)


def square(x: Limits, y: Limits, most: float = 3.0) -> tuple[Limits, Limits]:
    """Both intervals at the longer length, for a square box with equal scales.

    Intervals whose lengths differ by more than a factor `most` are quantities of different kinds: left as
    they are.
    """
    spans = x[1] - x[0], y[1] - y[0]
    if max(spans) > most * min(spans):
        return x, y
    half = max(spans) / 2
    (cx, cy) = ((x[0] + x[1]) / 2, (y[0] + y[1]) / 2)
    return (cx - half, cx + half), (cy - half, cy + half)


def bin_edges(limits: Limits, n: int) -> Array:
    """Equal bins between the limits, about 3 n^(1/3) of them (between 16 and 80)."""
    return np.linspace(*limits, int(np.clip(3 * n ** (1 / 3), 16, 80)) + 1)


def bin_density(values: Array, edges: Array) -> Array:
    """Histogram as a density of all values: those outside the edges count in the norm."""
    counts, _ = np.histogram(values[np.isfinite(values)], edges)
    return counts / (max(values.size, 1) * np.diff(edges))


def evaluate(density: Density, points: Array) -> Array:
    """The density at the points (m,); raises DifrunError when it does not give one value per point."""
    values = as_array(density(points)).reshape(-1)
    if values.shape != points.shape:
        raise DifrunError(
            f"draw: the density gave {values.size} values for {points.size} points, not one per point"
        )
    return values
