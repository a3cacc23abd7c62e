"""Draw the pictures of the plugins' READMEs: python docs/pictures/plugins.py ou ddpm edm.

`ou`, `ddpm` and `edm` need no trained model. `flow` draws two runs, the first and one on its couples:

    difrun --process flow --out first
    difrun --process flow --dataset reflow --dataset.run first --out second
    python docs/pictures/plugins.py flow first second
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from difrun.grid import linear, rho
from difrun.model import Counted, ExactMixture
from difrun.runs import reopen
from difrun.sampler import Euler, Heun, Sampler, integrate
from difrun.testing import probability_flow_endpoint, two_gaussians

FOLDER = Path(__file__).parent
BLUE, ORANGE, GREEN, GREY, PURPLE = "#0072b2", "#d55e00", "#009e73", "#8a929c", "#cc79a7"


def panels(count: int, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side."""
    figure = Figure(figsize=(8.4, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(1, count))
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=8)
    return figure, list(axes)


def save(figure: Figure, name: str) -> None:
    """Write a figure as a small file of 64 colours."""
    figure.set_dpi(110)
    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    image.quantize(64).save(FOLDER / f"{name}.png", optimize=True)


def ou() -> None:
    """Exact paths and the density of data at two points, under the three processes."""
    from difrun_ou.process import OrnsteinUhlenbeck, VarianceExploding, VariancePreserving

    x0 = np.repeat([-1.0, 1.0], 12)[:, None]
    processes = {
        "ou": OrnsteinUhlenbeck(),
        "vp": VariancePreserving(),
        "ve, σ_max = 4": VarianceExploding(sigma_max=4.0),
    }
    figure, axes = panels(len(processes))
    for axis, (name, process) in zip(axes, processes.items(), strict=True):
        times = np.linspace(0, process.horizon, 201)
        limit = 8.0 if name.startswith("ve") else 3.0
        points = np.linspace(-limit, limit, 200)[:, None]
        density = np.stack([process.density(points, x0, t) for t in times[1:]], axis=1)
        extent = (0, process.horizon, -limit, limit)
        # Each time is scaled by its own maximum, as the first densities are two spikes.
        axis.imshow(
            density / density.max(0), extent=extent, origin="lower", aspect="auto", cmap="Blues", vmax=1.6
        )
        paths = process.path(x0, times, 1)[:, ::3, 0]
        axis.plot(times, paths, color=ORANGE, linewidth=0.5, alpha=0.8)
        axis.set(xlim=(0, process.horizon), ylim=(-limit, limit))
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("t", fontsize=9)
    save(figure, "ou")


def ddpm() -> None:
    """The signal √ᾱ_n that is left after n steps: of the three schedules, and of a short chain."""
    from difrun_ddpm.process import DDPM

    schedules = {
        "linear": (DDPM(), BLUE),
        "scaled-linear": (DDPM(schedule="scaled-linear"), GREEN),
        "cosine": (DDPM(schedule="cosine"), ORANGE),
    }
    short = {
        "linear": (DDPM(steps=100), BLUE),
        "linear, --process.rescale": (DDPM(steps=100, rescale=True), GREEN),
    }
    figure, axes = panels(2)
    for axis, chains, title in zip(axes, (schedules, short), ("N = 1000", "N = 100"), strict=True):
        for name, (chain, color) in chains.items():
            signal = torch.cat([torch.ones(1), (1 - chain.variances).cumprod(0).sqrt()])
            axis.plot(np.arange(chain.steps + 1), signal, color=color, label=name)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("n", fontsize=9)
        axis.set_ylabel(r"$\sqrt{\bar{\alpha}_n}$", fontsize=9)
        axis.set_ylim(0, 1.02)
        axis.legend(fontsize=8, frameon=False)
    save(figure, "ddpm")


def edm() -> None:
    """Distance to the exact endpoint of the probability flow, against network evaluations, for the exact score."""
    from difrun_edm.dpmpp import Multistep2, Multistep3, SingleStep2
    from difrun_edm.heun import ChurnedHeun
    from difrun_edm.process import EDM

    process = EDM()
    model = ExactMixture(two_gaussians(), process)
    random = torch.Generator().manual_seed(0)
    noise = model.prior(256, random, dtype=torch.float64)
    exact = probability_flow_endpoint(model, noise)
    samplers: dict[str, tuple[Sampler, str]] = {
        "euler": (Euler(), GREY),
        "edm, --sampler.s-churn 0": (ChurnedHeun(s_churn=0.0), BLUE),
        "dpmpp-2s": (SingleStep2(), PURPLE),
        "dpmpp-2m": (Multistep2(), GREEN),
        "dpmpp-3m": (Multistep3(), ORANGE),
    }
    figure, (axis,) = panels(1, 3.0)
    for name, (sampler, color) in samplers.items():
        evaluations, errors = [], []
        for steps in (8, 12, 18, 27, 40, 60, 90, 135):
            counted = Counted(model)
            samples = integrate(sampler, counted, noise, rho(process, steps))
            evaluations.append(counted.evaluations)
            errors.append((samples - exact).square().mean().sqrt().item())
        axis.loglog(evaluations, errors, "o-", markersize=3, color=color, label=name)
    axis.set_xlabel("network evaluations", fontsize=9)
    axis.set_ylabel("RMS distance to the exact flow", fontsize=9)
    axis.legend(fontsize=8, frameon=False)
    save(figure, "edm")


def flow(first: str, second: str) -> None:
    """Trajectories of the same noise under a flow and its reflow, and one step of Euler under each."""
    figure, axes = panels(4, 2.4)
    for k, (folder, name) in enumerate(((first, "first flow"), (second, "second flow"))):
        run = reopen(folder)
        model, process = run.model, run.parts.process
        noise = process.prior((1500, 2), generator=0)
        trajectories = [noise[:60]]
        integrate(
            Heun(),
            model,
            noise[:60],
            linear(process, 60),
            watch=lambda k, at, x, rows=trajectories: rows.append(x.clone()),
        )
        one_step = integrate(Euler(), model, noise, linear(process, 1))
        paths = torch.stack(trajectories)
        axes[k].plot(*paths.permute(2, 0, 1), color=BLUE, linewidth=0.5)
        axes[k].scatter(*paths[-1].T, s=4, color=ORANGE, zorder=3)
        axes[2 + k].scatter(*one_step.T, s=1, color=ORANGE, alpha=0.6)
        axes[k].set_title(f"{name}: paths", fontsize=9)
        axes[2 + k].set_title(f"{name}: 1 Euler step", fontsize=9)
    for axis in axes:
        axis.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), xticks=[], yticks=[])
        axis.set_box_aspect(1)
        axis.spines[:].set(visible=True, color="#c3c9d2", linewidth=0.6)
    save(figure, "flow")


DRAWINGS = {"ou": ou, "ddpm": ddpm, "edm": edm}

if __name__ == "__main__":
    names = sys.argv[1:]
    if names[:1] == ["flow"]:
        flow(*names[1:])
    else:
        for name in names:
            DRAWINGS[name]()
