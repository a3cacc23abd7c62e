"""Grids whose times differ, but not enough to compute with."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch

from difrun.errors import DifrunError
from difrun.process.schedule import Instant
from difrun.sampler.base import Sampler

LEAST_RATIO = 0.003
"""The shortest step beside its neighbours, in log(α/σ), over which two predictions are compared.

What they err by is multiplied by the inverse. The grids of difrun stay above 0.05.
"""


def refuse_useless(instants: Sequence[Instant], sampler: Sampler, dtype: torch.dtype) -> None:
    """Raise DifrunError where two times are too close for the sampler, or the noise of one vanishes.

    Steps may be of any length for a method that forgets what it has asked before. One whose order is above its number
    of evaluations extrapolates through earlier ones, and divides their differences by the length of a step.

    Args:
        instants: The instants of a Gaussian process, one after the other.
        sampler: The method.
        dtype: In which x is computed.

    Raises:
        DifrunError: If σ² at a time above 0 is not a number of `dtype`; or, for such a method, if a step is shorter
            than `LEAST_RATIO` of the one before or after it, measured in log(α/σ).
    """
    least = torch.finfo(dtype).tiny
    for at in instants:
        if at.t > 0 and at.var < least:
            raise DifrunError(
                f"the noise at t = {at.t:g} is too little to compute with: σ² = {at.var:g}, and the smallest number of "
                f"{dtype} is {least:g}. Let the times end later, or at t = 0."
            )
    if (sampler.order or 1) <= (sampler.evaluations or 1):
        return
    steps = [abs(to.lam - at.lam) for at, to in pairwise(instants)]
    for k, (one, other) in enumerate(pairwise(steps)):
        if math.isfinite(one + other) and min(one, other) < LEAST_RATIO * max(one, other):
            short = k if one < other else k + 1
            raise DifrunError(
                f"the times {instants[short].t:.17g} and {instants[short + 1].t:.17g} are too close for this sampler: "
                f"log(α/σ) changes by {steps[short]:.3g} between them, and by {max(one, other):.3g} in the step "
                "beside. Leave one of them out, or take a sampler that does not look back, such as heun."
            )
