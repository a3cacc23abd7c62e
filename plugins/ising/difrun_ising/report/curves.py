"""Pictures of statistics: the distributions of M and E, and correlations of lattices; transitions of letters.

Every function takes samples as tensors (n, ...) and returns a Matplotlib figure. Bands are ±2 standard errors: the
points of as many exact samples lie in them nineteen times out of twenty.
"""

import attrs
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from difrun.draw.arrays import Array
from difrun.draw.style import DATA, FAINT, INK, MUTED, SAMPLES, boxed, new_figure, styled, tidy
from difrun.errors import DifrunError
from difrun_ising.lattice.exact.moments import exact_values, has_distributions
from difrun_ising.lattice.exact.transfer import transfer_matrix
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.report.histogram import draw_histogram


@styled
def distributions(
    samples: Tensor, lattice: Lattice, reference: Tensor | None = None, *, exact: bool = True
) -> Figure:
    """P(M) and P(E) of samples, beside the exact distributions or those of real lattices.

    The band is that of as many samples of the distribution. The title gives the total variation over all values, before
    they are grouped into bins, and what exact samples reach on average by chance, ½ Σ √(2p(1 − p)/(πn)).

    Args:
        samples: Spins ±1, with shape (n, rows, columns).
        lattice: Their lattice.
        reference: Real lattices, needed where the exact distributions are not known (`moments.has_distributions`) or
            not wanted.
        exact: Whether the couplings of `lattice` are those of the data.

    Returns:
        The figure.

    Raises:
        DifrunError: If there are neither exact distributions nor real lattices.
    """
    real_count = 0
    if exact and has_distributions(lattice):
        matrix = transfer_matrix(lattice)
        expected = {"M": matrix.magnetisation_distribution, "E": matrix.bond_distribution}
    elif reference is None:
        raise DifrunError(
            "draw: the exact distributions of this lattice are not known; give real lattices as `reference`"
        )
    else:
        real_count = len(reference)
        expected = {
            "M": _shares(lattice.magnetisation(reference)),
            "E": _shares(lattice.bond_sum(reference)),
        }
    values = {"M": lattice.magnetisation(samples), "E": lattice.bond_sum(samples)}
    names = ["M", "E"] if lattice.bonds else ["M"]
    figure = new_figure(3.7 * len(names), 3.5)
    if engine := figure.get_layout_engine():
        engine.set(wspace=0.06)  # type: ignore[call-arg]
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        scale, label = _unit(name, lattice)
        draw_histogram(axes, values[name], *expected[name], scale / lattice.spins, real_count)
        axes.set_xlabel(label)
    figure.axes[0].set_ylabel("probability")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _unit(name: str, lattice: Lattice) -> tuple[float, str]:
    """The factor of the sum over spins (M) or bonds (E), and the label of the axis."""
    if name == "M":
        return 1.0, "magnetisation per spin, $M/N$"
    factor = -lattice.coupling if lattice.coupling else -1.0
    if lattice.field == 0 and lattice.coupling:
        return factor, "energy per spin, $E/N$"
    return factor, "energy of the bonds per spin"


@attrs.frozen
class _TrueCorrelation:
    """The correlation that samples are compared with: exact values, or the means over real lattices."""

    values: Array
    error: Array
    label: str
    colour: str
    marker: str
    difference_label: str


@styled
def correlations(
    samples: Tensor, lattice: Lattice, reference: Tensor | None = None, *, exact: bool = True
) -> Figure:
    """C(r) = ⟨s_0 s_r⟩ along an axis, and its difference from the exact one.

    Args:
        samples: Spins ±1, with shape (n, rows, columns).
        lattice: Their lattice.
        reference: Real lattices, needed where the exact C(r) is not known (beyond a shorter side of 12) or not wanted.
        exact: Whether the couplings of `lattice` are those of the data.

    Returns:
        The figure.

    Raises:
        DifrunError: If the lattice has one site, or there are neither exact values nor real lattices.
    """
    if lattice.reach == 0:
        raise DifrunError("draw: a lattice of one site has no correlation")
    r = np.arange(1, lattice.reach + 1)
    value, error = _mean(lattice.correlation(samples))
    truth = _true_correlation(lattice, reference, exact)
    figure = new_figure(7.2, 3.3)
    left, right = (tidy(axes) for axes in figure.subplots(1, 2))
    left.plot(
        r, truth.values, color=truth.colour, marker=truth.marker, label=truth.label, markersize=4, linewidth=1
    )
    left.plot(r, value, "o", color=SAMPLES, markersize=4, label=f"samples, n = {len(samples)}")
    left.set(xlabel="distance $r$", ylabel="$C(r)$")
    left.legend()
    right.axhline(0, color=truth.colour, linewidth=1)
    band = 2 * np.hypot(error, truth.error)
    edges = np.concatenate(([r[0] - 0.5], r + 0.5))
    right.stairs(band, edges, baseline=-band, fill=True, color=FAINT, alpha=0.6, label="±2 standard errors")
    right.plot(r, value - truth.values, "o", color=SAMPLES, markersize=4)
    right.set(xlabel="distance $r$", ylabel=truth.difference_label)
    right.legend()
    for axes in (left, right):
        axes.set_xlim(edges[0], edges[-1])
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.margins(y=0.1)
    return figure


def _true_correlation(lattice: Lattice, reference: Tensor | None, exact: bool) -> _TrueCorrelation:
    known = exact_values(lattice) if exact else {}
    if "c1" in known:
        values = np.array([known[f"c{r}"] for r in range(1, lattice.reach + 1)])
        label = "$C(r)$ of samples − exact"
        return _TrueCorrelation(values, np.zeros(len(values)), "exact", INK, "_", label)
    if reference is None:
        raise DifrunError("draw: C(r) of this lattice is not known; give real lattices as `reference`")
    values, error = _mean(lattice.correlation(reference))
    label = "$C(r)$ of samples − of data"
    return _TrueCorrelation(values, error, f"data, n = {len(reference)}", DATA, "o", label)


@styled
def transitions(data: Tensor, samples: Tensor) -> Figure:
    """How often letter b follows letter a in strings: of data, of samples, and their difference.

    The difference is in standard errors, √(p(1 − p)(1/n_a + 1/m_a)), with n_a and m_a the numbers of letters a that
    have a successor.

    Args:
        data: Real strings, one-hot, with shape (n, length, K).
        samples: Samples, with shape (m, length, K).

    Returns:
        The figure.

    Raises:
        DifrunError: If the strings have one letter.
    """
    if samples.shape[-2] < 2:
        raise DifrunError("draw: strings of one letter have no transitions")
    shares, difference = _transition_shares(data, samples)
    figure = new_figure(8.2, 2.9)
    first, second, third = (boxed(axes) for axes in figure.subplots(1, 3))
    top = max(share.max() for share in shares)
    for axes, share, name, colour in (
        (first, shares[0], "data", DATA),
        (second, shares[1], "samples", SAMPLES),
    ):
        axes.set_title(name, color=colour, fontsize=9.5)
        _matrix(axes, share, 0.0, top, "Blues", "{:.3f}")
    worst = max(3.0, np.abs(difference).max())
    third.set_title("samples − data, in standard errors", color=INK, fontsize=9.5)
    _matrix(third, difference, -worst, worst, "PuOr_r", "{:+.1f}")
    first.set_ylabel("letter")
    return figure


def _transition_shares(data: Tensor, samples: Tensor) -> tuple[list[Array], Array]:
    """The shares of letter b after letter a, of data and samples, and their difference in standard errors."""
    pairs = [
        torch.einsum("nla,nlb->ab", x[..., :-1, :].double(), x[..., 1:, :].double()).numpy()
        for x in (data, samples)
    ]
    totals = [x.sum(1, keepdims=True) for x in pairs]
    shares = [x / np.maximum(t, 1) for x, t in zip(pairs, totals, strict=True)]
    pooled = sum(pairs) / np.maximum(sum(totals), 1)
    error = np.sqrt(pooled * (1 - pooled) * sum(1 / np.maximum(t, 1) for t in totals))
    difference = np.divide(shares[1] - shares[0], error, out=np.zeros_like(error), where=error > 0)
    return shares, difference


def _matrix(axes: Axes, values: Array, low: float, high: float, cmap: str, form: str) -> None:
    """A matrix of letters, with its numbers where there are few and a colour bar where there are many."""
    letters = len(values)
    extent = (0.5, letters + 0.5, letters + 0.5, 0.5)
    image = axes.imshow(values, cmap=cmap, vmin=low, vmax=high, extent=extent)
    axes.set_xlabel("next letter")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    if letters > 6:
        bar = axes.figure.colorbar(image, ax=axes, shrink=0.8)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, color=MUTED, labelcolor=MUTED)
        return
    for (i, j), value in np.ndenumerate(values):
        colour = "white" if abs(value) > 0.6 * high else INK
        axes.text(j + 1, i + 1, form.format(value), ha="center", va="center", fontsize=7.5, color=colour)


def _shares(values: Tensor) -> tuple[Tensor, Tensor]:
    """Equally spaced values, 2 apart, and their shares."""
    support = torch.arange(float(values.min()), float(values.max()) + 1, 2, dtype=torch.float64)
    index = ((values - support[0]) / 2).round().long()
    return support, torch.bincount(index, minlength=len(support)).double() / len(values)


def _mean(values: Tensor) -> tuple[Array, Array]:
    """Means over the first axis, and their standard errors."""
    return values.mean(0).numpy(), (values.std(0) / len(values) ** 0.5).numpy()
