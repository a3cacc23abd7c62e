"""Draw inpainting.png: python docs/pictures/inpainting.py RUN, the folder of `difrun --process edm --dataset digits`.

The upper half of three digits that the model never saw, with noise of 0.05, and samples given that half by MMPS. It
prints the misfit mean((y − A x)²)/σ_y² of the samples and of the digits themselves.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from difrun.grid import rho
from difrun.guidance import Context
from difrun.runs import reopen
from difrun.sampler import Ancestral, generate
from difrun_guidance.measurements.methods import LinearMMPS

EXAMPLES, SAMPLES, STEPS, SIGMA_Y = (4, 5, 11), 8, 60, 0.05
TITLES = ("held out", "measured", *[""] * SAMPLES)


def main(folder: str) -> None:
    """Draw three digits, what is measured of them, and samples given that; print the misfits."""
    run = reopen(folder)
    model, data = run.parts.model, run.parts.dataset
    figure = Figure(figsize=(7.2, 2.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(EXAMPLES), SAMPLES + 2)
    misfits, true_misfits = [], []
    for number, example in enumerate(EXAMPLES):
        context = Context(data, seed=example)
        method = LinearMMPS(
            model, context=context, example=example, seen="top", sigma_y=SIGMA_Y, iterations=3
        )
        x = generate(Ancestral(), method, SAMPLES, rho(model.process, STEPS), seed=example)
        truth = data.held_out[example : example + 1]
        misfits.append(method.misfit(x))
        true_misfits.append(method.misfit(truth))
        noise = method.residual_of(truth.double())[0]
        images = np.concatenate([data.decode(a).numpy() for a in (truth, truth, x)])[:, 0]
        images[1, :4] += noise.numpy().reshape(4, 8)
        images[1, 4:] = np.nan
        for panel, image, title in zip(axes[number], images, TITLES, strict=True):
            panel.imshow(
                image, cmap="gray_r", vmin=data.decode(data.train).min(), vmax=data.decode(data.train).max()
            )
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set(color="#c3c9d2", linewidth=0.6)
            if number == 0:
                panel.set_title(title, fontsize=9)
    axes[0, 2 + SAMPLES // 2].set_title("samples given the upper half (MMPS)", fontsize=9)
    figure.savefig(Path(__file__).with_name("inpainting.png"), dpi=110)
    fit = torch.cat(misfits)
    print(f"misfit of {len(fit)} samples: {fit.mean():.2f} ± {fit.std() / len(fit) ** 0.5:.2f}")
    print(f"misfit of the digits themselves: {torch.cat(true_misfits).mean():.2f}")


main(sys.argv[1])
