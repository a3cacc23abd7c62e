"""Pictures of the statistics of lattices and strings: the distributions of M and E, correlations, transitions of
letters.

Every function takes samples as tensors (n, ...) and returns a Matplotlib figure. Bands are of ±2 standard errors: where
points of as many exact samples lie nineteen times out of twenty.
"""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from difrun.draw.arrays import Array
from difrun.draw.style import DATA, FAINT, INK, MUTED, SAMPLES, boxed, new_figure, styled, tidy
from difrun.errors import DifrunError
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.moments import counts, exact_values
from difrun_ising.lattice.transfer import transfer_matrix

MOST_BINS = 45
"""Values, or groups of values, in one histogram."""


@styled
def distributions(
    samples: Tensor, lattice: Lattice, reference: Tensor | None = None, *, exact: bool = True
) -> Figure:
    """P(M) and P(E) of samples ±1 (n, rows, columns) beside the exact distributions, or beside those of real lattices.

    reference: real lattices, needed where the distributions are not counted (`moments.counts`), and where `exact` is
    False, as the couplings are not known. The band is that of n samples of the distribution. Total variation is that
    of all values, before they are grouped; beside it what exact samples reach on average by chance, ½ Σ √(2p(1 −
    p)/(πn)). Raises DifrunError where neither the exact distributions nor real lattices are there.
    """
    real = None
    if exact and counts(lattice):
        matrix = transfer_matrix(lattice)
        known = {"M": matrix.magnetisation_distribution, "E": matrix.bond_distribution}
    elif reference is None:
        raise DifrunError(
            "draw: the distributions of this lattice are not counted; give real lattices as `reference`"
        )
    else:
        real = {"M": lattice.magnetisation(reference), "E": lattice.bond_sum(reference)}
        known = {name: _empirical(values) for name, values in real.items()}
    drawn = {"M": lattice.magnetisation(samples), "E": lattice.bond_sum(samples)}
    factor = -lattice.coupling if lattice.coupling else -1.0
    label = (
        "energy per spin, $E/N$"
        if lattice.field == 0 and lattice.coupling
        else "energy of the bonds per spin"
    )
    units = {"M": (1.0, "magnetisation per spin, $M/N$"), "E": (factor, label)}
    names = ["M", "E"] if lattice.bonds else ["M"]
    figure = new_figure(3.7 * len(names), 3.5)
    if engine := figure.get_layout_engine():
        engine.set(wspace=0.06)  # type: ignore[call-arg]
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        scale, text = units[name]
        _histogram(
            axes, drawn[name], *known[name], scale / lattice.spins, 0 if real is None else len(real[name])
        )
        axes.set_xlabel(text)
    figure.axes[0].set_ylabel("probability")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


@styled
def correlations(
    samples: Tensor, lattice: Lattice, reference: Tensor | None = None, *, exact: bool = True
) -> Figure:
    """C(r) = ⟨s_0 s_r⟩ along an axis of samples ±1 (n, rows, columns), and its difference from the exact one.

    reference: real lattices, needed where the exact C(r) is not known, beyond a shorter side of 12, and where `exact`
    is False. Raises DifrunError where the lattice has one site, or neither exact values nor real lattices are there.
    """
    if lattice.reach == 0:
        raise DifrunError("draw: a lattice of one site has no correlation")
    r = np.arange(1, lattice.reach + 1)
    value, error = _mean(lattice.correlation(samples))
    known = exact_values(lattice) if exact else {}
    if "c1" in known:
        truth, spread, name = np.array([known[f"c{i}"] for i in r]), np.zeros(len(r)), "exact"
    elif reference is None:
        raise DifrunError("draw: C(r) of this lattice is not known; give real lattices as `reference`")
    else:
        truth, spread = _mean(lattice.correlation(reference))
        name = f"data, n = {len(reference)}"
    colour = INK if name == "exact" else DATA
    figure = new_figure(7.2, 3.3)
    left, right = (tidy(axes) for axes in figure.subplots(1, 2))
    left.plot(
        r, truth, color=colour, marker="_" if name == "exact" else "o", label=name, markersize=4, linewidth=1
    )
    left.plot(
        r,
        value,
        color=SAMPLES,
        marker="o",
        linestyle="none",
        markersize=4,
        label=f"samples, n = {len(samples)}",
    )
    left.set(xlabel="distance $r$", ylabel="$C(r)$")
    left.legend()
    right.axhline(0, color=colour, linewidth=1)
    around = 2 * np.hypot(error, spread)
    edges = np.concatenate(([r[0] - 0.5], r + 0.5))
    right.stairs(
        around, edges, baseline=-around, fill=True, color=FAINT, alpha=0.6, label="±2 standard errors"
    )
    right.plot(r, value - truth, color=SAMPLES, marker="o", linestyle="none", markersize=4)
    right.set(
        xlabel="distance $r$", ylabel="$C(r)$ of samples − " + ("exact" if name == "exact" else "of data")
    )
    right.legend()
    for axes in (left, right):
        axes.set_xlim(edges[0], edges[-1])
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.margins(y=0.1)
    return figure


@styled
def transitions(data: Tensor, samples: Tensor) -> Figure:
    """How often letter b follows letter a in strings, one-hot (n, length, K): of data, of samples, and how they differ.

    The difference is in standard errors, √(p(1 − p)(1/n_a + 1/m_a)) with n_a, m_a the numbers of letters a that have a
    successor. Raises DifrunError for strings of one letter.
    """
    if samples.shape[-2] < 2:
        raise DifrunError("draw: strings of one letter have no transitions")
    pairs = [
        torch.einsum("nla,nlb->ab", x[..., :-1, :].double(), x[..., 1:, :].double()).numpy()
        for x in (data, samples)
    ]
    totals = [x.sum(1, keepdims=True) for x in pairs]
    shares = [x / np.maximum(t, 1) for x, t in zip(pairs, totals, strict=True)]
    both = sum(pairs) / np.maximum(sum(totals), 1)
    error = np.sqrt(both * (1 - both) * sum(1 / np.maximum(t, 1) for t in totals))
    gap = np.divide(shares[1] - shares[0], error, out=np.zeros_like(error), where=error > 0)
    figure = new_figure(8.2, 2.9)
    kinds = len(gap)
    top = max(share.max() for share in shares)
    worst = max(3.0, np.abs(gap).max())
    titles = (("data", DATA), ("samples", SAMPLES), ("samples − data, in standard errors", INK))
    for axes, values, (name, color) in zip(figure.subplots(1, 3), (*shares, gap), titles, strict=True):
        boxed(axes)
        last = values is gap
        low, high, cmap = (-worst, worst, "PuOr_r") if last else (0.0, top, "Blues")
        image = axes.imshow(
            values, cmap=cmap, vmin=low, vmax=high, extent=(0.5, kinds + 0.5, kinds + 0.5, 0.5)
        )
        axes.set_title(name, color=color, fontsize=9.5)
        axes.set_xlabel("next letter")
        for way in (axes.xaxis, axes.yaxis):
            way.set_major_locator(MaxNLocator(6, integer=True))
        if kinds <= 6:
            for (i, j), x in np.ndenumerate(values):
                dark = abs(x) > 0.6 * high
                axes.text(j + 1, i + 1, f"{x:+.1f}" if last else f"{x:.3f}", ha="center", va="center",
                          fontsize=7.5, color="white" if dark else INK)  # fmt: skip
        else:
            bar = figure.colorbar(image, ax=axes, shrink=0.8)
            bar.outline.set_visible(False)
            bar.ax.tick_params(labelsize=8, color=MUTED, labelcolor=MUTED)
    figure.axes[0].set_ylabel("letter")
    return figure


def total_variation(p: Array, q: Array) -> float:
    """½ Σ |p − q|."""
    return 0.5 * float(np.abs(p - q).sum())


def _histogram(axes: Axes, values: Tensor, support: Tensor, p: Tensor, scale: float, real: int) -> None:
    """Shares of `values` (n,) as points over the distribution p on an equally spaced support; real: how many p is
    of."""
    n = len(values)
    low = float(min(values.min(), support[0]))
    high = float(max(values.max(), support[-1]))
    grid = np.arange(low, high + 1, 2)
    distribution, share = np.zeros(len(grid)), np.zeros(len(grid))
    distribution[np.rint((support.numpy() - low) / 2).astype(int)] = p.numpy()
    np.add.at(share, np.rint((values.numpy() - low) / 2).astype(int), 1 / n)
    distance = total_variation(distribution, share)
    noise = 1 / n + (1 / real if real else 0.0)
    expected = 0.5 * float(np.sqrt(2 / np.pi * distribution * (1 - distribution) * noise).sum())
    possible = np.flatnonzero((distribution > 1e-12) | (share > 0))
    # Values that cannot be, such as every second one of the energy on an even torus, are no bins.
    step = int(np.gcd.reduce(np.diff(possible))) if len(possible) > 1 else 1
    seen = np.flatnonzero((distribution > 1e-4 * distribution.max()) | (share > 0))
    span = (seen[-1] - seen[0]) // step + 1
    each = max(1, -(-span // MOST_BINS))
    bins = -(-span // each)
    kept = seen[0] + step * np.arange(bins * each)
    spare = max(0, int(kept[-1]) + 1 - len(grid))
    distribution, share = (
        np.pad(x, (0, spare))[kept].reshape(bins, each).sum(1) for x in (distribution, share)
    )
    width = 2 * step * each * abs(scale)
    middles = scale * (low + 2 * kept.reshape(bins, each).mean(1))
    if scale < 0:
        middles, distribution, share = middles[::-1], distribution[::-1], share[::-1]
    edges = np.concatenate((middles - width / 2, [middles[-1] + width / 2]))
    tidy(axes)
    around = 2 * np.sqrt(distribution * (1 - distribution) * noise)
    axes.stairs(
        distribution + around,
        edges,
        baseline=np.maximum(distribution - around, 0),
        fill=True,
        color=FAINT,
        alpha=0.7,
        label="±2 standard errors",
    )
    axes.stairs(
        distribution,
        edges,
        color=DATA if real else INK,
        linewidth=1,
        label=f"data, n = {real}" if real else "exact distribution",
    )
    axes.plot(middles, share, "o", color=SAMPLES, markersize=3.2, label=f"samples, n = {n}", zorder=4)
    axes.set_ylim(bottom=0)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_title(f"total variation {distance:.3f}, by chance {expected:.3f}", fontsize=9.5, color=MUTED)


def _empirical(values: Tensor) -> tuple[Tensor, Tensor]:
    """Equally spaced values and their shares."""
    support = torch.arange(float(values.min()), float(values.max()) + 1, 2, dtype=torch.float64)
    index = ((values - support[0]) / 2).round().long()
    return support, torch.bincount(index, minlength=len(support)).double() / len(values)


def _mean(values: Tensor) -> tuple[Array, Array]:
    """Means over the first axis, and their standard errors."""
    return values.mean(0).numpy(), (values.std(0) / len(values) ** 0.5).numpy()
