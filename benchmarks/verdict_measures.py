"""What is measured of a sampler: its order, its error on its own grid, its evaluations, and how its grid ends."""

import math
from functools import cache

import attrs
import torch
from torch import Tensor
from verdict_methods import Method

from difrun.data import GaussianMixture
from difrun.model import Counted, ExactMixture, ScoreModel
from difrun.process import GaussianProcess
from difrun.randomness import Generator
from difrun.sampler import integrate
from difrun.testing import (
    ReferenceVP,
    affine_moments,
    probability_flow_endpoint,
    two_gaussians,
)
from difrun.testing.references import CountedNoise
from difrun_ddpm.process import DDPM
from difrun_diffusers.sampler import SchedulerSampler
from difrun_edm.process import EDM
from difrun_flow.process import RectifiedFlow

STARTS = 64
"""Trajectories of a deterministic method."""

OWN = 20
"""Steps on a scheduler's own grid."""


def one_gaussian(process: GaussianProcess) -> ExactMixture:
    """The exact model of one Gaussian, whose samples by an affine method have an exact distribution."""
    mixture = GaussianMixture([1.0], [[1.0, -0.5]], [[[0.2, 0.0], [0.0, 0.5]]])
    return ExactMixture(mixture, process)


def rms(error: Tensor) -> float:
    """Root mean square."""
    return error.square().mean().sqrt().item()


def weak_error(method: Method, process: GaussianProcess, times: list[float], upto: int = -1) -> float:
    """The exact error of mean and variance on one Gaussian, relative to the true ones, at one of the times."""
    model = one_gaussian(process)
    start = {} if math.isclose(times[0], process.horizon) else {"t": times[0]}

    def run(generator: Generator, n: int) -> Tensor:
        x = model.prior(n, generator, dtype=torch.float64, **start)
        if upto == -1:
            return method.run(model, x, times, generator)
        return states_of(method, model, x, times, generator)[upto]

    counted = CountedNoise(1)
    run(counted, 1)
    got_mean, got_var = affine_moments(run, counted.draws)
    end = process.at(times[upto])
    mean, var = end.alpha * model.mean, end.alpha**2 * model.var + end.var
    return float(torch.cat([(got_mean - mean) / var.sqrt(), got_var / var - 1]).norm())


def states_of(
    method: Method, model: ScoreModel, x: Tensor, times: list[float], generator: Generator | None
) -> list[Tensor]:
    """The states at all times."""
    states = [x]
    integrate(method.sampler, model, x, times, generator=generator, watch=lambda k, at, y: states.append(y))
    return states


@cache
def process_of(name: str) -> GaussianProcess:
    """The process on which a kind of scheduler makes its own grid."""
    made = {"chain": DDPM, "edm": EDM, "flow": RectifiedFlow}[name]
    return made()


def kind_of(sampler: SchedulerSampler) -> str:
    """Which process suits a scheduler."""
    entry = sampler.entry
    if entry.frame == "flow" or entry.table == "ipndm":
        return "flow"
    return "edm" if entry.own and entry.frame == "ve" else "chain"


@attrs.frozen
class OwnGrid:
    """What a scheduler does on the grid that it makes.

    Attributes:
        error: At the end: rms to the end of the flow, or of mean and variance on one Gaussian. None if it fails.
        before: The same before the last step.
        evaluations: Calls of the network.
        ends: The last two levels σ/α.
    """

    error: float | None = None
    before: float | None = None
    evaluations: int | None = None
    ends: tuple[float, float] | None = None


def own_grid(method: Method, steps: int = OWN) -> OwnGrid:
    """Measure a scheduler of diffusers on its own grid."""
    process = process_of(kind_of(method.sampler))
    counted = Counted(one_gaussian(process))
    try:
        times, _ = _on_own_grid(method, counted, steps)
        ratios = method.sampler.own(process, steps).ratios
        error, before = (_error(method, process, times, upto) for upto in (-1, -2))
    except ImportError:
        raise
    except Exception:  # whatever the package raises; `failures` says what
        return OwnGrid()
    return OwnGrid(error, before, counted.evaluations, (ratios[-2], ratios[-1]))


def _on_own_grid(method: Method, model: ScoreModel, steps: int) -> tuple[list[float], Tensor]:
    """The times of the grid that a scheduler makes, and two samples on it."""
    from difrun_diffusers.grid import scheduler_grid

    times = scheduler_grid(model.process, steps, method.sampler)
    x = model.prior(2, 0, dtype=torch.float64, t=times[0])
    return times, method.run(model, x, times, Generator(1))


def _error(method: Method, process: GaussianProcess, times: list[float], upto: int) -> float:
    """The error on a scheduler's own grid, at one of its times."""
    if len(times) + upto < 1:
        return math.nan
    if method.stochastic:
        return weak_error(method, process, times, upto)
    model = ExactMixture(two_gaussians(), process)
    x = model.prior(STARTS, 0, dtype=torch.float64, t=times[0])
    last = times[upto] or float(process.time_at(-math.log(1e-5)))
    exact = probability_flow_endpoint(model, x, times=(times[0], last))
    if times[upto] == 0:
        exact = model.predict(exact, process.at(last), "x0")
    return rms(states_of(method, model, x, times, None)[upto] - exact)


def failures(method: Method) -> dict[str, list[int]]:
    """Some numbers of steps at which a scheduler's own grid fails or gives samples that are not finite."""
    found: dict[str, list[int]] = {}
    # Those with a second stage in between take seconds to make.
    for steps in (1, 2, 20) if method.sampler.entry.table == "middles" else (1, 2, 5, 11, 20, 50):
        what = own_grid_runs(method, steps)
        if what:
            found.setdefault(what, []).append(steps)
    return found


def own_grid_runs(method: Method, steps: int) -> str:
    """Why a scheduler does not sample on its own grid of so many steps; empty if it does."""
    try:
        _, end = _on_own_grid(method, one_gaussian(process_of(kind_of(method.sampler))), steps)
    except ImportError:
        raise
    except Exception as failure:
        return str(failure).splitlines()[0].replace("|", "/")
    return "" if bool(end.isfinite().all()) else "samples are not finite"


class Reference(ReferenceVP):
    """dX = −X dt + √2 dW on [0, 4], σ/α from 55 to 0.002, with t = ½ log(1 + (σ/α)²) in closed form."""

    def _time_at(self, target: Tensor) -> Tensor:
        return (0.5 * torch.log1p(torch.exp(-2 * target))).clamp_max(self.horizon)


REFERENCE = Reference()
"""The process of the orders."""
