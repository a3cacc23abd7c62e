r"""The pilot grid: steps where this model's trajectories bend, and where a bend that is missed matters.

A few trajectories are solved finely once per model. In the clock v = asinh(s/κ), s = σ/(α σ_d), which is logarithmic at
large noise and linear below κ, a step h of a method whose error per step is h^k ‖d^k y/dv^k‖ adds A times as much to
the end, A the factor by which the flow stretches an error from there to the end. Steps proportional to
(A^½ ‖d^k y/dv^k‖)^{−1/k} share the error evenly; k is the order of `adams` for so many steps, at most 4. A is measured:
trajectories are kicked at a few places along their own bend, and solved to the end once more. It is known along one
direction and far apart between trajectories; its root is what proved safe on distributions of 2 to 64 dimensions.

Such a grid is best in the limit of many steps, and good for few and for other samplers. For `adams` it is refined from
13 to 49 steps, where that is of order 4 (`difrun.tuning.refine`): the slopes of the fine trajectories are kept, and
no evaluation is added.
"""

import math
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun.grid.base import check, check_steps
from difrun.model.base import ScoreModel
from difrun.model.labels import condition_on_class_shares
from difrun.model.wrappers import Centred, innermost
from difrun.randomness.generator import Generator, seed_of
from difrun.sampler.adams import Adams
from difrun.sampler.gaussian_frame import GaussianFrame, gaussian_frame
from difrun.sampler.integrate import integrate
from difrun.tuning.refine import ReferenceTrajectories

TRAJECTORIES = 64
STEPS = 160
KNEE = 0.03
FLOOR = 0.05
"""Least density of steps, as a fraction of the largest, before any refinement: no stretch is left without."""

LAG = 2
"""Steps over which a difference is taken: over one, rounding in float32 shows in the fourth."""

KICKED = range(4, STEPS, 20)
"""Steps before which trajectories are kicked."""

KICK = 0.02
"""Size of a kick over the radius of the data: small, but not so small that a border between modes is never crossed."""

STRIDE = 4
"""Kicked trajectories are solved with a step for so many of the others."""

REFINED = range(13, 50)
"""Numbers of steps for which the grid is refined: with fewer, a sampler strays too far from the fine trajectories for
what is known along them; for more, these are too coarse themselves to judge a step."""

COORDINATES = 64
"""Coordinates of the slopes that are kept where no axes are told apart: beyond, as many random projections."""


@attrs.frozen(eq=False)
class Pilot:
    """What the pilot has found for a model.

    weights: the fingerprint of those it had. clocks: v (STEPS + 1,), decreasing and evenly spaced. y: there, as it
    counts at the end (STEPS + 1, trajectories, d), for those that stay near the data. gains: by how much a kick grows
    from there on (STEPS + 1, trajectories). slopes: of y against the clock of the frame, or projections of them.
    grids: those that were asked for, by steps and scheme.
    """

    weights: list[float]
    clocks: np.ndarray
    y: Tensor
    gains: Tensor
    slopes: Tensor
    grids: dict[tuple[int, Any], list[float]] = attrs.field(factory=dict)


FAR = 100.0
"""Size of y, which is of the order of 1, beyond which a trajectory of a network is lost, and no measure for others."""

_pilots: "WeakKeyDictionary[Any, Pilot]" = WeakKeyDictionary()


def pilot(model: Any, steps: int, sampler: Any = None) -> list[float]:
    """Times (steps + 1) from T to t_min, denser where the trajectories of `model` bend; refined for `adams`.

    sampler: what is to take the steps. What is refined suits the weights of `adams` alone, and any other sampler gets
    the grid that the bends lay. A model of classes is asked about them in the proportion of the data. The pilot costs
    333 evaluations of 64 trajectories, once per model and its weights; its noise is its own.
    Raises DifrunError for less than one step.
    """
    check_steps(steps)
    # Refinement differentiates, whatever the caller does.
    with torch.inference_mode(False):
        found = _solved(model)
        scheme = sampler.scheme(steps) if isinstance(sampler, Adams) and steps in REFINED else None
        if (steps, scheme) not in found.grids:
            places = _places(found, steps)
            if scheme is not None and found.y.shape[1]:
                places = _refined(model, found, places, *scheme)
            clocks = np.interp(places, np.arange(STEPS + 1), found.clocks)
            times = _times(model.process, clocks, model.data_std)
            found.grids[steps, scheme] = check(times, model.process, steps)
    return list(found.grids[steps, scheme])


def _places(found: Pilot, steps: int) -> np.ndarray:
    """Where the steps begin and end, as places of the fine grid."""
    if not found.y.shape[1]:  # nothing is known: equal steps in v
        return np.linspace(0, STEPS, steps + 1)
    order, corrected = Adams().scheme(steps)
    monitor = _monitor(found.clocks, found.y, found.gains, min(order + corrected, 4))
    share = np.concatenate([[0.0], np.cumsum(0.5 * (monitor[1:] + monitor[:-1]))])
    return np.interp(np.linspace(0, 1, steps + 1), share / share[-1], np.arange(STEPS + 1))


def _refined(model: Any, found: Pilot, places: np.ndarray, order: int, corrected: bool) -> np.ndarray:
    """The places at which `adams` of that order errs least along the fine trajectories."""
    # The clock of the frame is −φ.
    angles = -torch.from_numpy(KNEE * np.sinh(found.clocks)).atan()
    known = ReferenceTrajectories(gaussian_frame(model), angles, found.slopes, found.gains.log())
    return known.refined(torch.from_numpy(places), order, corrected).numpy()


def _times(process: Any, clocks: np.ndarray, std: float) -> list[float]:
    times = process.time_at(torch.from_numpy(-np.log(KNEE * np.sinh(clocks) * std))).tolist()
    times[0], times[-1] = process.horizon, process.t_min
    return times


@attrs.frozen
class _Recorded(Adams):
    """`adams` of order 3 that keeps its slopes."""

    slopes: list[Tensor] = attrs.field(factory=list)
    fixed_order: int = 3

    def step(self, *arguments: Any) -> tuple[Tensor, Any]:
        x, state = super().step(*arguments)
        self.slopes.append(state.slopes[-1])
        return x, state


def _solved(model: Any) -> Pilot:
    """The pilot of the model as it is now."""
    weights = _fingerprint(model)
    if model not in _pilots or _pilots[model].weights != weights:
        # In float64 where the model is, as differences magnify rounding.
        place, dtype = (getattr(torch.as_tensor(model.mean), name) for name in ("device", "dtype"))
        random = Generator(seed_of(0, "pilot"), device=place)
        asked = condition_on_class_shares(model, TRAJECTORIES)
        x = asked.prior(TRAJECTORIES, random, dtype=dtype, device=place)
        centred = Centred(asked, x) if model.process.centred() is not model.process else asked
        x = x - model.process.centre_like(x)
        process, frame = centred.process, gaussian_frame(centred)
        low, high = (math.exp(-lam) / frame.std for lam in reversed(process.lam_range))
        clocks = np.linspace(math.asinh(high / KNEE), math.asinh(low / KNEE), STEPS + 1)
        times = _times(process, clocks, frame.std)
        path, recorded = [x], _Recorded()
        integrate(recorded, centred, x, times, watch=lambda k, at, x: path.append(x))
        instants = process.instants(times)
        with torch.no_grad():
            slopes = torch.stack([*recorded.slopes, frame.slope(path[-1], instants[-1])])
        y = torch.stack([frame.enter(x, at) for x, at in zip(path, instants, strict=True)])
        y, slopes = (_as_they_count(frame, values) for values in (y, slopes))
        gains = _gains(centred, frame, times, path, y)
        near = (y.abs() < FAR).all(2).all(0) & slopes.isfinite().all(2).all(0) & gains.isfinite().all(0)
        y, gains, slopes = y[:, near], gains[:, near], slopes[:, near]
        if type(frame) is GaussianFrame:
            slopes = _fewer(slopes)
        _pilots[model] = Pilot(weights, clocks, y, gains, slopes)
    return _pilots[model]


def _as_they_count(frame: GaussianFrame, values: Tensor) -> Tensor:
    """Values (k, n, ...) of the frame as they count at the end, (k, n, d) in float64 on the CPU."""
    return torch.stack([frame.in_data(value) for value in values]).flatten(2).cpu().double()


def _fewer(values: Tensor) -> Tensor:
    """(k, n, d) with many d projected on COORDINATES directions at random, which leaves mean squares as they are."""
    d = values.shape[-1]
    if d <= COORDINATES:
        return values
    random = torch.Generator().manual_seed(0)
    return values @ (torch.randn(d, COORDINATES, generator=random, dtype=values.dtype) / COORDINATES**0.5)


def _gains(
    model: ScoreModel, frame: GaussianFrame, times: list[float], path: list[Tensor], y: Tensor
) -> Tensor:
    """By how much a kick along the bend of each trajectory has grown at the end, for kicks at all times."""
    size = KICK * y.shape[-1] ** 0.5
    found = []
    for k in KICKED:
        at, end = model.process.instants([times[k], times[-1]])
        bend = y[k + 1] - 2 * y[k] + y[k - 1]
        kick = size * bend / bend.norm(dim=1, keepdim=True).clamp(min=1e-30)
        inside = frame.enter(path[k], at)
        # in_data is linear, and the same at all times
        unit = frame.in_data(torch.ones_like(inside))
        moved = frame.leave(inside + kick.to(inside).reshape(inside.shape) / unit, at)
        x = integrate(Adams(fixed_order=3), model, moved, times[k::STRIDE])
        gap = frame.in_data(frame.enter(x, end)).flatten(1).cpu().double() - y[-1]
        found.append(gap.norm(dim=1) / size + 1e-3)
    logs = torch.stack([*found, torch.ones_like(found[0])]).log().numpy()
    places = np.arange(STEPS + 1)
    return torch.from_numpy(
        np.exp(np.stack([np.interp(places, [*KICKED, STEPS], column) for column in logs.T], 1))
    )


def _fingerprint(model: Any) -> list[float]:
    """A number per tensor of the model's network, by which a change of its weights is seen."""
    network = getattr(innermost(model), "network", None)
    if network is None:
        return []
    return [float(tensor.cpu().double().sum()) for tensor in network.state_dict().values()]


def _monitor(clocks: np.ndarray, y: Tensor, gains: Tensor, k: int) -> np.ndarray:
    """(A^½ ‖d^k y/dv^k‖)^{1/k} at the clocks, root mean square over trajectories, smoothed, and bounded from below."""
    for _ in range(k):
        y = (y[LAG:] - y[:-LAG]) / (LAG * (clocks[1] - clocks[0]))
    gains = gains[LAG * k // 2 : LAG * k // 2 + len(y)]
    size = (gains * y.square().sum(2)).mean(1).sqrt().numpy() + 1e-300
    window = np.hanning(11)[1:-1]
    padded = np.pad(np.log(size), 4, mode="edge")
    smooth = np.exp(np.convolve(padded, window / window.sum(), "valid"))
    places = np.linspace(0, len(clocks) - 1, len(smooth))
    density = np.interp(np.arange(len(clocks)), places, smooth) ** (1 / k)
    return np.maximum(density, FLOOR * density.max())
