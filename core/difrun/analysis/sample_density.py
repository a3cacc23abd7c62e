"""The density of samples: that of x_t at t_min, where sampling ends, after the division by α."""

import math
from collections.abc import Callable

from torch import Tensor

from difrun.analysis.likelihood import check_model, log_likelihood
from difrun.model.base import ScoreModel
from difrun.process.gaussian import GaussianProcess


def density_of_samples(
    model: ScoreModel,
    x: Tensor,
    *,
    steps: int = 100,
    probes: int | None = None,
    seed: int = 0,
    watch: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Return log p(x) of the samples of a model, in its units: (n,), float64 on the CPU.

    A sample is x_t at t_min, divided by α about μ. Its density at x is therefore that of x_t, times α^d.

    Args:
        model: The model; after `condition_on`, with one label per row of x.
        x: The examples, (n, *shape).
        steps: Steps of the flow, as for `difrun.analysis.log_likelihood`; so are the others.
        probes: Random probes of the divergence.
        seed: The seed of the probes.
        watch: Called with the number of steps done and their total.

    Raises:
        DifrunError: As `difrun.analysis.log_likelihood`.
    """
    check_model(model, x)
    at_end = noiseless_at_end(model.process, x)
    result = log_likelihood(model, at_end, watch=watch, steps=steps, probes=probes, seed=seed)
    return result.nats.cpu() + x[0].numel() * log_alpha_at_end(model.process)


def noiseless_at_end(process: GaussianProcess, x: Tensor) -> Tensor:
    """Return the examples x (n, ...) where the process takes them at t_min, without its noise: μ + α(x − μ)."""
    centre = process.centre_like(x)
    return centre + process.at(process.t_min).alpha * (x - centre)


def log_alpha_at_end(process: GaussianProcess) -> float:
    """Return log α at t_min."""
    return math.log(process.at(process.t_min).alpha)
