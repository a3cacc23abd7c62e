r"""Whether a network trained elsewhere has the noise levels of the schedule that it is wrapped with.

A table of β of the right length and of wrong values makes no call fail, and x̂_0 only a little worse. But a network is
told by its time how much noise there is, and at a fixed noise no time gives a smaller error than the right one. Data
are therefore noised at several levels λ, and the network is asked with the times that the schedule has at λ + δ. If its
error is least at δ ≠ 0, it has learned at these times the noise of λ − δ:

    R(δ) = E‖x̂_0(x_λ, t(λ + δ)) − x_0‖² / E‖x̂_lin(x_λ) − x_0‖²,    averaged over λ.

The error is compared example by example, so that the standard error of the difference is small. A network that knows
hardly more than mean and variance of the data (R near 1) cannot tell, nor one that is given σ itself for a time.
"""

import math

import torch
from torch import Tensor

from difrun.model.foreign_model import ForeignModel
from difrun.model.readings import instant_near, noise_levels

SHIFTS = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
"""The δ that are tried: smaller ones are within what an imperfect training does."""

LEVELS = (2.5, 1.9, 1.3, 0.7, 0.1, -0.5, -1.1, -1.7)
"""λ of the noised data, for data of variance 1."""

LEAST_GAIN, LEAST_ERRORS = 0.04, 5.0
"""By which share, and by how many standard errors, R must be smaller at another δ. Under their own schedule networks of
different kinds and lengths of training, if R < 1, stay below both."""


def wrong_schedule(model: ForeignModel, x0: Tensor) -> str:
    """Return what does not fit about the noise levels of a schedule; empty if they fit, or if it cannot be seen.

    Args:
        model: The model, which denoises.
        x0: Its data, (n, *shape).
    """
    errors = _errors(model, x0)
    if errors is None:
        return ""
    means = errors.mean(1)
    best, own = int(means.argmin()), SHIFTS.index(0.0)
    gained = errors[own] - errors[best]
    spread = float(gained.std() / len(gained) ** 0.5)
    gain = float(gained.mean() / means[own])
    if not float(means[best]) < 1 or gain < LEAST_GAIN or float(gained.mean()) < LEAST_ERRORS * spread:
        return ""
    at = instant_near(model, 0.0)
    ratio = at.sigma / at.alpha
    return (
        "the schedule does not seem to be the one that the network was trained with: at the time t = "
        f"{at.t:g}, where the schedule has the noise σ/α = {ratio:.2g}, it denoises as one that has learned "
        f"σ/α ≈ {ratio * math.exp(SHIFTS[best]):.2g}. With times that are shifted so, its error is {gain:.0%} smaller "
        f"({float(gained.mean()) / spread:.0f} standard errors). Is the table of β, ᾱ or σ its own?"
    )


def _errors(model: ForeignModel, x0: Tensor) -> Tensor | None:
    """R of each example at every shift, averaged over the levels, (len(SHIFTS), n); None if a call fails."""
    low, high = model.process.lam_range
    sums = torch.zeros(len(SHIFTS), len(x0), device=x0.device)
    noised = noise_levels(model, x0, LEVELS)
    for one in noised:
        for k, shift in enumerate(SHIFTS):
            to = instant_near(model, min(max(one.at.lam + shift, low), high))
            try:
                output = model.output(one.x, to)
            except Exception:  # a time that the network, or a function of the user's, does not have
                return None
            guess = model.read(output, one.x, one.at, "x0")
            sums[k] += (guess - one.x0).square().flatten(1).mean(1) / one.linear
    return sums / len(noised)
