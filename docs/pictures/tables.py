"""Draw tuning.png, likelihood.png and quality.png from tables of the documents.

Usage: python docs/pictures/tables.py
"""

import re
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[2]
BLUE, ORANGE, GREY, GREEN = "#0072b2", "#d55e00", "#8a929c", "#009e73"


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table after the line `heading` of a page, without its two head lines."""
    text = (ROOT / page).read_text(encoding="utf-8").split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    if table is None:
        raise ValueError(f"{page} has no table below {heading!r}")
    return [[cell.strip(" `*") for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]


def number(cell: str) -> float:
    """The first number of a cell; NaN where it is empty."""
    return float(cell.split(":")[0]) if cell else float("nan")


def styled(axes: Axes) -> Axes:
    """Axes with two spines and faint horizontal lines."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e3e7ec", linewidth=0.6)
    return axes


def picture(width: float, height: float) -> Figure:
    """An empty figure that belongs to no window."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def tuning() -> Figure:
    """Median distance to the fine solution against the number of steps, untuned and tuned."""
    table = rows("docs/tuning.md", "## What does tuning gain?")
    steps = [number(row[0]) for row in table]
    figure = picture(5.6, 2.8)
    axes = styled(figure.add_subplot())
    for column, color, label in ((1, BLUE, "untuned"), (3, ORANGE, "tuned")):
        axes.loglog(
            steps, [number(row[column]) for row in table], "o-", color=color, markersize=4, label=label
        )
    axes.set(xlabel="network evaluations", ylabel="median error")
    axes.set_xticks(steps, [f"{n:g}" for n in steps])
    axes.set_xticks([], minor=True)
    axes.legend(frameon=False)
    return figure


def likelihood() -> Figure:
    """The gaps to the entropy by process, with their standard errors."""
    table = rows("docs/likelihood.md", "## How do the processes compare?")
    figure = picture(5.6, 2.8)
    axes = styled(figure.add_subplot())
    for column, color, label, shift in (
        (3, BLUE, "probability flow", -0.1),
        (4, ORANGE, "bound (ELBO)", 0.1),
    ):
        values, errors = zip(*(map(float, row[column].split(" ± ")) for row in table), strict=True)
        places = [place + shift for place in range(len(table))]
        axes.errorbar(places, values, errors, fmt="o", color=color, markersize=4, label=label)
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set(ylabel="gap to the entropy (nats)", ylim=(0, 12))
    axes.set_yticks([0, 0.05, 0.1, 1, 10], ["0", "0.05", "0.1", "1", "10"])
    axes.set_xticks(range(len(table)), [row[0] for row in table])
    axes.legend(frameon=False, loc="upper left")
    return figure


def quality() -> Figure:
    """Error against network evaluations on the three distributions of benchmarks/quality.py."""
    figure = picture(9, 3)
    targets = ("gmm8", "rings64", "gmm64d")
    for axes, target in zip(figure.subplots(1, len(targets), sharey=True), targets, strict=True):
        table = rows("benchmarks/README.md", f"### {target}")
        steps = [number(row[0]) for row in table]
        columns = ((8, GREY, "dpmpp-2m"), (1, GREEN, "best peer"), (3, BLUE, "adams"), (5, ORANGE, "tuned"))
        for column, color, label in columns:
            errors = [number(row[column]) for row in table]
            styled(axes).loglog(steps, errors, "o-", color=color, markersize=3, label=label)
        axes.set(title=target, xlabel="network evaluations")
        axes.set_xticks([5, 10, 20, 50], ["5", "10", "20", "50"])
        axes.set_xticks([], minor=True)
    figure.axes[0].set_ylabel("error")
    figure.axes[-1].legend(frameon=False, loc="lower left", fontsize=9)
    return figure


if __name__ == "__main__":
    for draw in (tuning, likelihood, quality):
        draw().savefig(Path(__file__).with_name(f"{draw.__name__}.png"), dpi=110)
