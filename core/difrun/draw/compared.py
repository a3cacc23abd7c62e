"""Quality against network evaluations: one line per sampler, and the floor of every metric."""

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
"""What a line stands for, such as run, sampler and grid."""

Point = tuple[float, float, float]
"""Network evaluations, value and standard deviation."""

# Okabe and Ito's palette (2008) without yellow, which is too light for lines on white.
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
"""Lower edge of a logarithmic axis, over the lowest floor or value: further down there is only noise around 0."""


@attrs.frozen
class Panel:
    """One quantity, which is drawn in a panel of its own.

    Attributes:
        name: What it is called.
        curves: The points of each line. The keys of all lines have equally many parts, such as run, sampler and grid.
        floors: Value and standard deviation of each floor, drawn as a line in a band.
        better: "lower", "higher" or None. A quantity has a linear axis if higher is better, or if neither is better and
            it falls below 0, as energies do.
        floor_name: The label of the floors.
    """

    name: str
    curves: Mapping[Key, Sequence[Point]]
    floors: Sequence[tuple[float, float]] = ()
    better: str | None = None
    floor_name: str = "floor"


@styled
def quality(panels: Sequence[Panel], title: str | None = None) -> Figure:
    """Draw quantities against network evaluations in panels, at most two in a row, with one legend below.

    Evaluations are on a logarithmic axis. Values are on one too, unless higher is better or neither is better and some
    are below 0. A value that is too low for a logarithmic axis is an open marker at its lower edge.

    The parts of the keys that differ set the look of the lines: the part with most values sets colours and markers, the
    next one dashes, the third how markers are filled. The parts that all lines share form the title.

    Args:
        panels: The quantities.
        title: The title of the figure; None: what all lines share.

    Raises:
        DifrunError: If there is no line to draw.
    """
    keys = list(dict.fromkeys(key for panel in panels for key in panel.curves))
    if not keys:
        raise DifrunError("draw: quality has no line to draw")
    styles, names, common = _styles(keys)
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    width = 8.0 if columns == 2 else 6.6
    # The legend has as many columns as the longest name allows, in lines of about a quarter of an inch.
    longest = max(map(len, names.values()))
    legend_columns = max(1, min(4, len(keys), int(width / (0.62 + 0.078 * longest))))
    height = (2.9 if columns == 2 else 3.6) * rows + 0.24 * -(-len(keys) // legend_columns) + 0.4
    figure = new_figure(width, height, title or common)
    if engine := figure.get_layout_engine():
        engine.set(w_pad=0.09)  # type: ignore[call-arg]
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in grid[len(panels) :]:
        unused.remove()
    for axes, panel in zip(grid, panels, strict=False):
        _draw_panel(axes, panel, styles)
    handles = [Line2D([], [], label=plain(names[key]), **styles[key]) for key in keys]
    figure.legend(handles=handles, loc="outside lower center", ncols=legend_columns, handlelength=3.2)
    return figure


def _styles(keys: Sequence[Key]) -> tuple[dict[Key, dict[str, Any]], dict[Key, str], str]:
    """How each line looks, what it is called, and what all lines share."""
    values = [list(dict.fromkeys(part)) for part in zip(*keys, strict=True)]
    differing = [k for k, distinct in enumerate(values) if len(distinct) > 1]
    by_importance = sorted(differing, key=lambda k: -len(values[k]))
    styles: dict[Key, dict[str, Any]] = {}
    for position, key in enumerate(keys):
        number = [values[k].index(key[k]) for k in by_importance] + [0] * 3
        styles[key] = {
            "color": COLORS[number[0] % len(COLORS)],
            # After eight lines the colours are repeated with other markers.
            "marker": MARKERS[(number[0] + number[0] // len(COLORS)) % len(MARKERS)],
            "linestyle": DASHES[number[1] % len(DASHES)],
            "fillstyle": FILLS[number[2] % len(FILLS)],
            "linewidth": 1.4,
            "markersize": 5,
            "markeredgewidth": 1.0,
            # If lines coincide, the first is on top.
            "zorder": 4 - position / len(keys),
        }
    names = {key: ", ".join(key[k] for k in differing) or ", ".join(key) for key in keys}
    common = ", ".join(distinct[0] for distinct in values if len(distinct) == 1) if differing else ""
    return styles, names, common


def _draw_panel(axes: Axes, panel: Panel, styles: Mapping[Key, dict[str, Any]]) -> None:
    curves = {key: _drawable(curve) for key, curve in panel.curves.items()}
    points = [point for curve in curves.values() for point in curve]
    values = [value for _, value, _ in points]
    logarithmic = _is_logarithmic(panel, values)
    axes.set_xscale("log")
    if logarithmic:
        axes.set_yscale("log")
    low = _lowest(panel, values) if logarithmic else -np.inf
    _draw_floors(axes, panel, low)
    for key, curve in curves.items():
        if curve:
            _draw_line(axes, sorted(curve), low, styles[key])
    axes.set(xlabel="network evaluations", ylabel=plain(panel.name))
    _set_evaluation_ticks(axes, [evaluations for evaluations, _, _ in points])
    if logarithmic:
        if any(value < low for value in values):
            top = axes.get_ylim()[1]
            axes.set_ylim(bottom=low, top=max(top, 2 * low))  # every value may be below the axis
        _set_value_ticks(axes)
    tidy(axes)


def _drawable(curve: Sequence[Point]) -> list[Point]:
    """The points with a finite value and at least one evaluation."""
    return [point for point in curve if np.isfinite(point[:2]).all() and point[0] > 0]


def _is_logarithmic(panel: Panel, values: Sequence[float]) -> bool:
    if panel.better is not None:
        return panel.better == "lower"
    return min([*values, *(value for value, _ in panel.floors)], default=1.0) > 0


def _draw_floors(axes: Axes, panel: Panel, low: float) -> None:
    """Each floor as a line in a band; values below `low` are drawn there."""
    labelled: list[float] = []
    for value, std in panel.floors:
        height = max(value, low)
        band = max(value - std, low), max(value + std, low)
        if band[1] > band[0]:
            axes.axhspan(*band, color=FAINT, alpha=0.45, linewidth=0, zorder=0)
        axes.axhline(height, color=MUTED, linewidth=1, linestyle=(0, (6, 2)), zorder=1)
        if any(height < 1.3 * other and other < 1.3 * height for other in labelled):
            continue  # one label for lines that are close to each other
        labelled.append(height)
        # On the left, where curves are rarely as low as the floor.
        axes.annotate(
            panel.floor_name + (" (below 0)" if axes.get_yscale() == "log" and value < 0 else ""),
            (0, height), (3, 2), axes.get_yaxis_transform(), "offset points",
            fontsize=8.5, color=MUTED, va="bottom", zorder=5,
        )  # fmt: skip


def _draw_line(axes: Axes, curve: Sequence[Point], low: float, style: dict[str, Any]) -> None:
    x, y, std = (np.array(part, dtype=float) for part in zip(*curve, strict=True))
    std, heights, color = np.nan_to_num(std), np.maximum(y, low), style["color"]
    axes.plot(x, heights, **style)
    ends = np.maximum(y - std, low), np.maximum(y + std, low)
    axes.vlines(x, *ends, color=color, linewidth=0.8, alpha=0.45, zorder=2)
    hidden = y < low
    if hidden.any():
        axes.plot(
            x[hidden], heights[hidden], linestyle="", marker="o", markersize=7, markerfacecolor="white",
            markeredgecolor=color, clip_on=False, zorder=4,
        )  # fmt: skip


def _lowest(panel: Panel, values: Sequence[float]) -> float:
    """The lower edge of a logarithmic axis, below which there is only 0 and noise around it."""
    positive = [value for value in values if value > 0]
    floor = min((max(abs(value), std) for value, std in panel.floors), default=0.0)
    if len(positive) < len(values):
        return LOWEST * (floor or min(positive, default=1.0))
    return LOWEST * min([*positive, floor] if floor else positive)


def _set_evaluation_ticks(axes: Axes, evaluations: Sequence[float]) -> None:
    """Ticks at the numbers of evaluations themselves, as close as their digits allow."""
    ticks: list[float] = []
    span = max(1e-9, np.log(max(evaluations) / min(evaluations))) if evaluations else 1.0
    for number in sorted(set(evaluations)):
        if not ticks or np.log(number / ticks[-1]) > 0.085 * span:
            ticks.append(number)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")


def _set_value_ticks(axes: Axes) -> None:
    """Ticks of a logarithmic axis that spans few powers of ten."""
    bottom, top = axes.get_ylim()
    if top < 5 * bottom:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter("{x:g}")
    elif top < 50 * bottom:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
