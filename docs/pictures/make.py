"""Draw rings.png: python docs/pictures/make.py RUN, the folder of `difrun --process ou --sampler heun`."""

import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from difrun.randomness import Generator
from difrun.runs import reopen
from difrun.runs.build import grid_times
from difrun.sampler import integrate

DATA, SAMPLES = "#0072b2", "#d55e00"


def main(folder: str) -> None:
    """Draw the data, the samples and six times of the reverse process of a run."""
    run = reopen(folder)
    model, steps = run.model, run.plan.sample.steps
    times = grid_times(run.plan.grid, model, steps)
    random = Generator(1)
    x = model.prior(2500, random)
    frames = [(times[0], x)]
    integrate(
        run.plan.sampler.make(),
        model,
        x,
        times,
        generator=random,
        watch=lambda k, at, x: frames.append((at.t, x)),
    )
    chosen = [min(frames, key=lambda frame: abs(frame[0] - t)) for t in (4, 0.7, 0.3, 0.12, 0.03, 0)]

    figure = Figure(figsize=(10, 2.95), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 7)
    near, wide = (-1.6, 2.6), (-3, 3.2)
    panel(figure.add_subplot(grid[:, :2]), run.parts.dataset.train[:2500], DATA, "data", near, 1.5)
    panel(figure.add_subplot(grid[:, 2:4]), run.samples[:2500], SAMPLES, "samples", near, 1.5)
    for k, (t, x) in enumerate(chosen):
        title = f"t = {t:.2g}" if t > 0.001 else "t → 0"
        panel(figure.add_subplot(grid[k // 3, 4 + k % 3]), x, SAMPLES, title, wide, 0.5)
    figure.savefig(Path(__file__).with_name("rings.png"), dpi=130)


def panel(axes, points, color, title, limits, size):
    """Draw points in a square without ticks."""
    axes.scatter(*np.asarray(points).T, s=size, color=color, linewidths=0, alpha=0.5)
    axes.set(xlim=limits, ylim=(limits[0] - 0.5, limits[1] - 0.5), xticks=[], yticks=[])
    axes.set_title(title, fontsize=11 if size > 1 else 8, color=color, pad=3)
    axes.set_box_aspect(1)
    axes.spines[:].set(color="#c3c9d2", linewidth=0.6)


main(sys.argv[1])
