"""Quality against network evaluations: one line for each sampler, the floor drawn in."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator

from difrun.draw.style import DATA, FAINT, INK, MUTED, SAMPLES, new_figure, plain, styled, tidy
from difrun.errors import DifrunError

Key = tuple[str, ...]
Point = tuple[float, float, float]

# The rest of Okabe and Ito's palette (2008), without its yellow, which is too light for lines on white.
COLORS = (DATA, SAMPLES, "#009e73", "#cc79a7", INK, "#e69f00", "#56b4e9", "#8a5a2b")
MARKERS = "osD^vPX*"
DASHES: tuple[str | tuple[float, tuple[float, ...]], ...] = (
    "-",
    (0, (4, 2)),
    (0, (1, 1.6)),
    (0, (5, 1.5, 1, 1.5)),
)
FILLS = ("full", "none", "left", "bottom")

LOWEST = 0.1
"""How far below the lowest floor the axis of a quantity goes that is noise around 0, as a fraction of the floor."""


@attrs.frozen
class Panel:
    """One quantity.

    name: what it is called. curves: key of a line -> points (evaluations, value, standard deviation); the parts of a
    key, such as run, sampler and grid, are the same in number for all. floors: (value, standard deviation) each, drawn
    as a line in a band. better: "lower", "higher" or None; a quantity of which more is better has a linear axis, and so
    has one that is good on neither side and falls below 0, such as an energy. floor_name: what is written on floors.
    """

    name: str
    curves: Mapping[Key, Sequence[Point]]
    floors: Sequence[tuple[float, float]] = ()
    better: str | None = None
    floor_name: str = "floor"


@styled
def quality(panels: Sequence[Panel], title: str | None = None) -> Figure:
    """Panels side by side, at most two in a row, with one legend below; evaluations on a logarithmic axis.

    Values are on a logarithmic axis too, but for shares (`Panel.better` is "higher") and for quantities of either sign
    (None, and some below 0). What is not positive there lies on its lower edge, as an open marker. Of the parts of a
    key that differ, the one with most values gives colours and markers, the next one dashes, the third how markers are
    filled; what is the same for all lines is the title.
    Raises DifrunError when there is nothing to draw.
    """
    keys = list(dict.fromkeys(key for panel in panels for key in panel.curves))
    if not keys:
        raise DifrunError("draw: quality has no line to draw")
    styles, names, common = _styles(keys)
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    width = 8.0 if columns == 2 else 6.6
    # A legend of as many columns as the longest name allows, in lines of a fifth of an inch.
    across = max(1, min(4, len(keys), int(width / (0.62 + 0.078 * max(map(len, names.values()))))))
    height = (2.9 if columns == 2 else 3.6) * rows + 0.24 * -(-len(keys) // across) + 0.4
    figure = new_figure(width, height, title or common)
    if engine := figure.get_layout_engine():
        engine.set(w_pad=0.09)  # type: ignore[call-arg]
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[len(panels) :]:
        spare.remove()
    for place, panel in zip(axes, panels, strict=False):
        _panel(place, panel, styles)
    handles = [Line2D([], [], label=plain(names[key]), **styles[key]) for key in keys]
    figure.legend(handles=handles, loc="outside lower center", ncols=across, handlelength=3.2)
    return figure


def _styles(keys: Sequence[Key]) -> tuple[dict[Key, dict[str, Any]], dict[Key, str], str]:
    """How each line looks, what it is called, and what all have in common."""
    values = [list(dict.fromkeys(part)) for part in zip(*keys, strict=True)]
    differing = [k for k, found in enumerate(values) if len(found) > 1]
    order = sorted(differing, key=lambda k: -len(values[k]))
    styles: dict[Key, dict[str, Any]] = {}
    for place, key in enumerate(keys):
        number = [values[k].index(key[k]) for k in order] + [0] * 3
        color = COLORS[number[0] % len(COLORS)]
        styles[key] = {
            "color": color,
            # Beyond eight the colours come again, with other markers.
            "marker": MARKERS[(number[0] + number[0] // len(COLORS)) % len(MARKERS)],
            "linestyle": DASHES[number[1] % len(DASHES)],
            "fillstyle": FILLS[number[2] % len(FILLS)],
            "linewidth": 1.4,
            "markersize": 5,
            "markeredgewidth": 1.0,
            # Where lines lie on each other, the one named first is on top.
            "zorder": 4 - place / len(keys),
        }
    names = {key: ", ".join(key[k] for k in differing) or ", ".join(key) for key in keys}
    common = ", ".join(found[0] for found in values if len(found) == 1) if differing else ""
    return styles, names, common


def _panel(axes: Axes, panel: Panel, styles: Mapping[Key, dict[str, Any]]) -> None:
    told = {
        key: [p for p in curve if np.isfinite(p[:2]).all() and p[0] > 0]
        for key, curve in panel.curves.items()
    }
    points = [point for curve in told.values() for point in curve]
    signed = [value for _, value, _ in points] + [value for value, _ in panel.floors]
    logarithmic = panel.better == "lower" or (panel.better is None and min(signed, default=1.0) > 0)
    axes.set_xscale("log")
    low = _lowest(panel, [value for _, value, _ in points]) if logarithmic else -np.inf
    if logarithmic:
        axes.set_yscale("log")
    labelled: list[float] = []
    for value, spread in panel.floors:
        band = max(value - spread, low), max(value + spread, low)
        if band[1] > band[0]:
            axes.axhspan(*band, color=FAINT, alpha=0.45, linewidth=0, zorder=0)
        axes.axhline(max(value, low), color=MUTED, linewidth=1, linestyle=(0, (6, 2)), zorder=1)
        if any(max(value, low) < 1.3 * other and other < 1.3 * max(value, low) for other in labelled):
            continue  # one name for lines that are close to each other
        labelled.append(max(value, low))
        # On the left, where curves are rarely as low as the floor.
        axes.annotate(
            panel.floor_name + (" (below 0)" if logarithmic and value < 0 else ""),
            (0, labelled[-1]), (3, 2), axes.get_yaxis_transform(), "offset points",
            fontsize=8.5, color=MUTED, va="bottom", zorder=5,
        )  # fmt: skip
    for key, curve in told.items():
        if curve:
            _line(axes, sorted(curve), low, styles[key])
    axes.set(xlabel="network evaluations", ylabel=plain(panel.name))
    _ticks(axes, [x for x, _, _ in points])
    if logarithmic:
        bottom, top = axes.get_ylim()
        if any(value < low for _, value, _ in points):
            axes.set_ylim(bottom=low, top=max(top, 2 * low))  # every value may be below
        if top < 5 * bottom:
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter("{x:g}")
        elif top < 50 * bottom:
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    tidy(axes)


def _line(axes: Axes, curve: Sequence[Point], low: float, style: dict[str, Any]) -> None:
    x, y, sd = (np.array(part, dtype=float) for part in zip(*curve, strict=True))
    sd, shown, color = np.nan_to_num(sd), np.maximum(y, low), style["color"]
    axes.plot(x, shown, **style)
    ends = np.maximum(y - sd, low), np.maximum(y + sd, low)
    axes.vlines(x, *ends, color=color, linewidth=0.8, alpha=0.45, zorder=2)
    hidden = y < low
    if hidden.any():
        axes.plot(
            x[hidden], shown[hidden], linestyle="", marker="o", markersize=7, markerfacecolor="white",
            markeredgecolor=color, clip_on=False, zorder=4,
        )  # fmt: skip


def _lowest(panel: Panel, values: Sequence[float]) -> float:
    """The lower edge of a logarithmic axis: 0 is not on it, nor is noise around 0."""
    positive = [value for value in values if value > 0]
    size = min((max(abs(value), spread) for value, spread in panel.floors), default=0.0)
    if len(positive) == len(values):
        return min([*positive, size] if size else positive) * LOWEST
    return LOWEST * (size or min(positive, default=1.0))


def _ticks(axes: Axes, places: Sequence[float]) -> None:
    """The numbers of evaluations themselves, as far apart as their digits need."""
    kept: list[float] = []
    span = max(1e-9, np.log(max(places) / min(places))) if places else 1.0
    for place in sorted(set(places)):
        if not kept or np.log(place / kept[-1]) > 0.085 * span:
            kept.append(place)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
