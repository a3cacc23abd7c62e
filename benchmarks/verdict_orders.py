"""Orders of convergence, measured."""

import math
from functools import cache
from itertools import pairwise
from typing import Any

import attrs
import torch
from torch import Tensor
from verdict_measures import STARTS, process_of, rms, states_of, weak_error
from verdict_methods import Method

from difrun.grid import logsnr
from difrun.model import ExactMixture, ModelWrapper, ScoreModel
from difrun.process import GaussianProcess
from difrun.testing import observed_order, probability_flow_endpoint, two_gaussians
from difrun_diffusers.settings import SPACING

GROUPS = 8
"""Groups of the trajectories of a deterministic method, whose orders give the error bar."""

STEPS = (20, 40, 80)
WIDE = (40, 80, 160)
"""Steps for orders above 2."""

LARGEST_BAR = 0.25
"""Error bar above which an order says nothing: the tolerance of the conformance kit."""

FINER = (1, 2, 4)
"""Factors of the numbers of steps that are tried until the error bar is smaller."""


@attrs.frozen
class Order:
    """An observed order with its error bar, and the error at 40 steps.

    Attributes:
        value: The order.
        bar: Its error bar.
        error: The error at 40 steps.
        steps: The first and the last number of steps.
        errors: The error at each number of steps, from the first that was tried to the last.
    """

    value: float
    bar: float
    error: float
    steps: tuple[int, int] = (STEPS[0], STEPS[-1])
    errors: tuple[float, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether the error bar tells this order from another."""
        return self.bar <= LARGEST_BAR


@cache
def _problem(process: GaussianProcess) -> tuple[ExactMixture, Tensor, Tensor]:
    """Two Gaussians: the exact model, starts, and the ends of the flow from them."""
    model = ExactMixture(two_gaussians(), process)
    x = model.prior(STARTS, 0, dtype=torch.float64)
    return model, x, probability_flow_endpoint(model, x)


def sets_its_own_grid(method: Method) -> bool:
    """Whether settings decide where the steps of the own grid lie, so that it takes no other grid."""
    names = {setting.partition("=")[0] for setting in method.settings.split(",") if setting}
    return bool(names & SPACING - {"final_sigmas_type"}) and method.package == "diffusers"


def order_of(method: Method, process: GaussianProcess) -> Order:
    """The order on grids of equal steps in log σ.

    Deterministic: the slope of log error against log steps, over trajectories to the exact end of the flow; the bar is
    the standard error over groups of trajectories. Stochastic: the slope of the error of mean and variance on one
    Gaussian, which is computed exactly; the bar is half the range of its local slopes.

    Where the bar exceeds `LARGEST_BAR`, the errors do not yet fall as a power, and finer grids are tried.
    """
    first = WIDE if (method.claim or 1) > 2 else STEPS
    gaps: dict[int, Any] = {}
    for factor in FINER:
        counts = tuple(factor * n for n in first)
        for n in counts:
            if n not in gaps:
                gaps[n] = _gap(method, process, n)
        errors = [gaps[n] if method.stochastic else rms(gaps[n]) for n in counts]
        bar = (
            _bar_of_slopes(errors) if method.stochastic else _bar_of_groups(counts, [gaps[n] for n in counts])
        )
        every = tuple(gap if method.stochastic else rms(gap) for gap in gaps.values())
        order = Order(
            observed_order(counts, errors),
            bar,
            every[list(gaps).index(40)],
            counts[:: len(counts) - 1],
            every,
        )
        if order.measured:
            break
    return order


def _gap(method: Method, process: GaussianProcess, steps: int) -> Any:
    """What a method is off by: for a stochastic one a number, else a tensor of trajectories."""
    if method.stochastic:
        return weak_error(method, process, logsnr(process, steps))
    model, x, exact = _problem(process)
    return method.run(model, x, logsnr(process, steps), None) - exact


def _bar_of_slopes(errors: list[float]) -> float:
    local = [math.log(a / b, 2) for a, b in pairwise(errors)]
    return (max(local) - min(local)) / 2


def _bar_of_groups(counts: tuple[int, ...], gaps: list[Tensor]) -> float:
    groups = [
        observed_order(counts, [rms(part) for part in parts])
        for parts in zip(*(gap.chunk(GROUPS) for gap in gaps), strict=True)
    ]
    return torch.tensor(groups).std().item() / GROUPS**0.5


class AtTimesteps(ModelWrapper):
    """A model that is asked at the scheduler's timestep, a whole number where it rounds, in place of its level."""

    def __init__(self, inner: ScoreModel, places: dict[float, float]):
        super().__init__(inner)
        self.places = places

    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        ratio = at.sigma / at.alpha
        near = min(self.places, key=lambda known: abs(math.log(known / ratio)))
        told = self.process.at(self.places[near] + 1)
        return self.process.convert(self.inner.predict(x, told, "noise"), x, at, "noise", kind)


def two_views(method: Method) -> tuple[Order, Order]:
    """Orders before the last step on the own grid, with the network asked at the level and at the timestep."""
    process = process_of("chain")
    orders = []
    for told in (False, True):
        errors = []
        for steps in STEPS:
            schedule = method.sampler.own(process, steps)
            calls = [call for step in schedule.calls for call in step]
            places = {call.ratio: float(call.timestep) for call in calls}
            model = ExactMixture(two_gaussians(), process)
            asked = AtTimesteps(model, places) if told else model
            times = [float(process.time_at(-math.log(r))) for r in schedule.ratios[:-1]]
            x = model.prior(STARTS, 0, dtype=torch.float64, t=times[0])
            exact = probability_flow_endpoint(model, x, times=(times[0], times[-1]))
            last = 0.0 if schedule.ratios[-1] == 0 else float(process.time_at(-math.log(schedule.ratios[-1])))
            errors.append(rms(states_of(method, asked, x, [*times, last], None)[-2] - exact))
        orders.append(Order(observed_order(STEPS, errors), 0.0, errors[1]))
    return orders[0], orders[1]
