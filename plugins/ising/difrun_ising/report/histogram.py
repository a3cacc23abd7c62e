"""A histogram of values on an equally spaced support, over the distribution that they should have."""

import attrs
import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from difrun.draw.arrays import Array
from difrun.draw.style import DATA, FAINT, INK, MUTED, SAMPLES, tidy

MOST_BINS = 45
"""Most bins of one histogram: beyond, neighbouring values share a bin."""


@attrs.frozen
class Bins:
    """The distribution and the shares of the samples, summed over the values of each bin.

    Attributes:
        edges: The edges of the bins, (bins + 1,).
        middles: Their middles, (bins,).
        distribution: The probability of each bin.
        share: The share of the samples in each bin.
    """

    edges: Array
    middles: Array
    distribution: Array
    share: Array


def draw_histogram(
    axes: Axes, values: Tensor, support: Tensor, p: Tensor, scale: float, real_count: int = 0
) -> None:
    """Draw shares of samples as points, over a distribution and the band of as many exact samples.

    Args:
        axes: Where to draw.
        values: The values of the samples, (n,).
        support: The values that are possible, 2 apart.
        p: Their probabilities.
        scale: What values are multiplied by.
        real_count: The number of real examples that p is the shares of; 0 where it is exact.
    """
    n = len(values)
    offset, distribution, share = _on_common_grid(values, support, p)
    variance = 1 / n + (1 / real_count if real_count else 0.0)  # of a share, divided by p(1 − p)
    distance = total_variation(distribution, share)
    by_chance = 0.5 * float(np.sqrt(2 / np.pi * distribution * (1 - distribution) * variance).sum())
    bins = _group(offset, distribution, share, scale)
    tidy(axes)
    band = 2 * np.sqrt(bins.distribution * (1 - bins.distribution) * variance)
    axes.stairs(
        bins.distribution + band,
        bins.edges,
        baseline=np.maximum(bins.distribution - band, 0),
        fill=True,
        color=FAINT,
        alpha=0.7,
        label="±2 standard errors",
    )
    colour, label = (DATA, f"data, n = {real_count}") if real_count else (INK, "exact distribution")
    axes.stairs(bins.distribution, bins.edges, color=colour, linewidth=1, label=label)
    axes.plot(
        bins.middles, bins.share, "o", color=SAMPLES, markersize=3.2, label=f"samples, n = {n}", zorder=4
    )
    axes.set_ylim(bottom=0)
    axes.set_xlim(bins.edges[0], bins.edges[-1])
    axes.set_title(f"total variation {distance:.3f}, by chance {by_chance:.3f}", fontsize=9.5, color=MUTED)


def total_variation(p: Array, q: Array) -> float:
    """½ Σ |p − q|."""
    return 0.5 * float(np.abs(p - q).sum())


def _on_common_grid(values: Tensor, support: Tensor, p: Tensor) -> tuple[float, Array, Array]:
    """The smallest value, and the distribution and the shares on a grid from it in steps of 2."""
    low = float(min(values.min(), support[0]))
    high = float(max(values.max(), support[-1]))
    size = len(np.arange(low, high + 1, 2))
    distribution, share = np.zeros(size), np.zeros(size)
    distribution[np.rint((support.numpy() - low) / 2).astype(int)] = p.numpy()
    np.add.at(share, np.rint((values.numpy() - low) / 2).astype(int), 1 / len(values))
    return low, distribution, share


def _group(low: float, distribution: Array, share: Array, scale: float) -> Bins:
    """Bins of equally many values, over the range that is visible."""
    possible = np.flatnonzero((distribution > 1e-12) | (share > 0))
    # Impossible values, such as every second one of the energy on an even torus, are left out of the bins.
    step = int(np.gcd.reduce(np.diff(possible))) if len(possible) > 1 else 1
    visible = np.flatnonzero((distribution > 1e-4 * distribution.max()) | (share > 0))
    span = (visible[-1] - visible[0]) // step + 1
    per_bin = max(1, -(-span // MOST_BINS))
    bins = -(-span // per_bin)
    places = visible[0] + step * np.arange(bins * per_bin)
    padding = max(0, int(places[-1]) + 1 - len(distribution))
    distribution, share = (
        np.pad(x, (0, padding))[places].reshape(bins, per_bin).sum(1) for x in (distribution, share)
    )
    middles = scale * (low + 2 * places.reshape(bins, per_bin).mean(1))
    if scale < 0:
        middles, distribution, share = middles[::-1], distribution[::-1], share[::-1]
    width = 2 * step * per_bin * abs(scale)
    edges = np.concatenate((middles - width / 2, [middles[-1] + width / 2]))
    return Bins(edges, middles, distribution, share)
