"""One look for every figure: colours, thin frames, font sizes.

Data are blue and samples are vermilion, a pair of Okabe and Ito's palette (2008) that stays distinct under every common
form of colour blindness. Densities use one ramp from white to dark blue.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

DATA = "#0072b2"
SAMPLES = "#d55e00"
INK = "#22262b"
MUTED = "#667080"
FAINT = "#c3c9d2"

# The lightness in OKLab (Ottosson, 2020) falls in equal steps from 1 to 0.26, and the hue turns from cyan to blue.
_RAMP = ["#ffffff", "#b9e9fe", "#7ccef7", "#4ab0ea", "#2a91d3", "#2072b5", "#1f5590", "#1d3a69", "#152341"]
DENSITY = LinearSegmentedColormap.from_list("difrun-density", _RAMP)

_RC: Any = {
    "font.size": 10,
    "text.color": INK,
    "text.usetex": False,
    "mathtext.fontset": "dejavusans",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "normal",
    "axes.titlecolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.solid_capstyle": "round",
}

P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Decorate a drawing function to use difrun's settings and leave the caller's settings unchanged."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(_RC):
            return draw(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float, title: str | None = None) -> Figure:
    """Return a figure, unknown to pyplot, that is laid out so that nothing overlaps; sizes are in inches."""
    # "compressed" keeps square panels next to each other where the figure is wider than they are.
    figure = Figure(figsize=(width, height), layout="compressed")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(plain(title), fontsize=11.5)
    return figure


def tidy(axes: Axes, ticks: int = 5) -> Axes:
    """Draw thin spines on two sides, and few, small ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", width=0.6, length=3, color=MUTED, labelcolor=MUTED, labelsize=9)
    if axes.get_xscale() == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    return axes


def boxed(axes: Axes, ticks: int = 4) -> Axes:
    """Make a square panel with a thin frame on all sides."""
    tidy(axes, ticks)
    axes.spines[["top", "right"]].set_visible(True)
    axes.spines[:].set_color(FAINT)
    axes.set_box_aspect(1)
    return axes


def panels(
    count: int, x: str, y: str, size: float = 2.3, title: str | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure of square panels, at most three in a row, with common limits and outer labels.

    Args:
        count: The number of panels.
        x: The label of the horizontal axes.
        y: The label of the vertical axes.
        size: The least side of a panel in inches.
        title: The title of the figure.
    """
    columns = 2 if count == 4 else min(count, 3)
    rows = -(-count // columns)
    size = max(size, min(6.9 / columns, 3.1))
    figure = new_figure(size * columns + 0.35, (size + 0.25) * rows + (0.65 if title else 0.4), title)
    grid = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    for k, axes in enumerate(grid):
        if k >= count:
            axes.remove()
            continue
        boxed(axes)
        # A panel without another one below it keeps its tick labels, even if the last row is not full.
        axes.tick_params(labelbottom=k + columns >= count, labelleft=k % columns == 0)
        axes.set_xlabel(x if k + columns >= count else "")
        axes.set_ylabel(y if k % columns == 0 else "")
    return figure, grid[:count]


def plain(text: Any) -> str:
    """Escape a text of the user, so that a dollar sign in it does not start a formula."""
    return str(text).replace("$", r"\$")


def coordinate(index: int, columns: Sequence[str] | None = None) -> str:
    """Return the name of a coordinate: the user's column, or else x₁, x₂, and so on."""
    if columns is not None and index < len(columns):
        return plain(columns[index])
    return f"$x_{{{index + 1}}}$"


def note(axes: Axes, text: str, color: str = MUTED) -> Text:
    """Write a small remark in the lower left corner."""
    return axes.text(
        0.025, 0.02, text, transform=axes.transAxes, ha="left", va="bottom",
        fontsize=8.5, color=color, zorder=9,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.2},
    )  # fmt: skip
