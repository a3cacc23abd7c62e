r"""The pilot grid: steps where the trajectories of a model bend, and where an error of a step matters most.

A few trajectories are solved finely, once per model. The clock is v = asinh(s/κ) with s = σ/(α σ_d), which is
logarithmic at large noise and linear below κ. If the error per step of a method is h^k ‖d^k y/dv^k‖, a step of length h
adds A times that to the error at the end, where A is the factor by which the flow amplifies an error from there to the
end. Steps proportional to

    (A^½ ‖d^k y/dv^k‖)^{−1/k}

share the error evenly; k is the order of `adams` for this number of steps, at most 4. A is measured: trajectories are
perturbed at a few times, in the direction of their own curvature, and solved to the end once more. Such a measurement
sees one direction, and differs much between trajectories; the root of A proved safe on distributions of 2 to 64
dimensions.

This grid is optimal in the limit of many steps, and good for few steps and for other samplers. For `adams` it is
refined from 13 to 49 steps, where that method is of order 4 (`difrun.sampler.tuning.refine`). This uses the slopes of
the fine trajectories and costs no evaluation.
"""

import math
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from difrun.grid.base import check, check_steps
from difrun.model.base import ScoreModel
from difrun.model.eval_mode import in_eval_mode, networks_of
from difrun.model.labels import condition_as_data
from difrun.model.wrappers import Centred, innermost
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator, seed_of
from difrun.sampler.adams import Adams
from difrun.sampler.base import Sampler
from difrun.sampler.gaussian_frame import GaussianFrame, gaussian_frame
from difrun.sampler.integration import carry, integrate
from difrun.sampler.tuning.refine import ReferenceTrajectories

TRAJECTORIES = 64
STEPS = 160
"""Steps of the fine solution."""

KNEE = 0.03
"""Constant κ of the clock."""

FLOOR = 0.05
"""Least density of steps, over the largest, before any refinement, so that no interval is left without steps."""

LAG = 2
"""Steps over which differences are taken: over a single step, float32 rounding is visible in the fourth difference."""

PERTURBED = range(4, STEPS, 20)
"""Steps before which trajectories are perturbed."""

PERTURBATION = 0.02
"""Size of a perturbation over the radius of the data: small, but large enough to cross a border between modes."""

STRIDE = 4
"""Steps of the fine solution that perturbed trajectories take at once."""

REFINED = range(13, 50)
"""Numbers of steps for which the grid is refined. With fewer steps a sampler leaves the fine trajectories too far for
their slopes to hold; with more, these are too coarse to judge a step."""

COORDINATES = 64
"""Most coordinates of the slopes in a frame without principal axes; more are reduced to as many random projections."""

FAR = 100.0
"""Size of y, which is of order 1, beyond which a trajectory of a network has diverged and is ignored."""


@attrs.frozen(eq=False)
class Pilot:
    """The fine trajectories of a model, and the grids that were derived from them.

    Attributes:
        weights: The fingerprint of the networks' weights at that time.
        clocks: v at the fine steps, (STEPS + 1,), decreasing and evenly spaced.
        y: The trajectories that stay near the data, in the units of the end, (STEPS + 1, trajectories, d).
        gains: The amplification A from each step to the end, (STEPS + 1, trajectories).
        slopes: The slopes of y against the clock of the frame, or random projections of them.
        grids: The grids so far, by number of steps and scheme.
    """

    weights: list[float]
    clocks: np.ndarray
    y: Tensor
    gains: Tensor
    slopes: Tensor
    grids: dict[tuple[int, Any], list[float]] = attrs.field(factory=dict)


_pilots: "WeakKeyDictionary[Any, Pilot]" = WeakKeyDictionary()


@in_eval_mode
def pilot(model: ScoreModel, steps: int, sampler: Sampler | None = None) -> list[float]:
    """Return a grid that is denser where the trajectories of `model` bend; for `adams` it is refined.

    The pilot costs 333 evaluations of 64 trajectories, once per model and its weights, from its own noise. A model
    with classes is evaluated on classes in the proportions of the data.

    Args:
        model: The model.
        steps: The number of steps.
        sampler: The sampler that will take the steps. The refinement suits `adams` only; any other sampler gets the
            grid before refinement.

    Returns:
        Times from T to t_min, (steps + 1).

    Raises:
        DifrunError: If `steps` is below 1.
    """
    check_steps(steps)
    # Refinement differentiates, also if the caller has turned that off.
    with torch.inference_mode(False):
        fine = _pilot_of(model)
        scheme = sampler.scheme(steps) if isinstance(sampler, Adams) and steps in REFINED else None
        if (steps, scheme) not in fine.grids:
            places = _places(fine, steps)
            if scheme is not None and fine.y.shape[1]:
                places = _refined(model, fine, places, *scheme)
            clocks = np.interp(places, np.arange(STEPS + 1), fine.clocks)
            times = _times(model.process, clocks, model.data_std)
            fine.grids[steps, scheme] = check(times, model.process, steps)
    return list(fine.grids[steps, scheme])


def _places(fine: Pilot, steps: int) -> np.ndarray:
    """The ends of the steps, as places of the fine grid."""
    if not fine.y.shape[1]:  # no trajectory stayed near the data: equal steps in v
        return np.linspace(0, STEPS, steps + 1)
    order, corrected = Adams().scheme(steps)
    density = _step_density(fine.clocks, fine.y, fine.gains, min(order + corrected, 4))
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return np.interp(np.linspace(0, 1, steps + 1), cumulative / cumulative[-1], np.arange(STEPS + 1))


def _refined(model: ScoreModel, fine: Pilot, places: np.ndarray, order: int, corrected: bool) -> np.ndarray:
    """The places at which `adams` of that order has the least error along the fine trajectories."""
    # The clock of the frame is −φ.
    angles = -torch.from_numpy(KNEE * np.sinh(fine.clocks)).atan()
    trajectories = ReferenceTrajectories(gaussian_frame(model), angles, fine.slopes, fine.gains.log())
    return trajectories.refined(torch.from_numpy(places), order, corrected).numpy()


def _times(process: GaussianProcess, clocks: np.ndarray, std: float) -> list[float]:
    """The times at which the clock v has these values; the ends are exactly T and t_min."""
    times = process.time_at(torch.from_numpy(-np.log(KNEE * np.sinh(clocks) * std))).tolist()
    times[0], times[-1] = process.horizon, process.t_min
    return times


@attrs.frozen
class _RecordingAdams(Adams):
    """`adams` of order 3 that records its slopes."""

    slopes: list[Tensor] = attrs.field(factory=list)
    fixed_order: int = 3

    @override
    def step(self, *arguments: Any) -> tuple[Tensor, Any]:
        x, state = super().step(*arguments)
        self.slopes.append(state.slopes[-1])
        return x, state


def _pilot_of(model: ScoreModel) -> Pilot:
    """The pilot of the model with its present weights."""
    weights = _fingerprint(model)
    if model not in _pilots or _pilots[model].weights != weights:
        _pilots[model] = _solve(model, weights)
    return _pilots[model]


def _solve(model: ScoreModel, weights: list[float]) -> Pilot:
    """Solve the trajectories, and measure how the flow amplifies errors along them."""
    # In float64 if the model is, because differences amplify rounding.
    mean = torch.as_tensor(model.mean)
    conditioned = condition_as_data(model, TRAJECTORIES)
    generator = Generator(seed_of(0, "pilot"), device=mean.device)
    x = conditioned.prior(TRAJECTORIES, generator, dtype=mean.dtype, device=mean.device)
    centred = conditioned
    if model.process.centred() is not model.process:
        centred = Centred(conditioned, x)
    x = x - model.process.centre_like(x)
    process, frame = centred.process, gaussian_frame(centred)
    low, high = (math.exp(-lam) / frame.std for lam in reversed(process.lam_range))
    clocks = np.linspace(math.asinh(high / KNEE), math.asinh(low / KNEE), STEPS + 1)
    times = _times(process, clocks, frame.std)
    path, sampler = [x], _RecordingAdams()
    integrate(sampler, centred, x, times, watch=lambda k, at, x: path.append(x))
    instants = process.instants(times)
    with torch.no_grad():
        slopes = torch.stack([*sampler.slopes, frame.slope(path[-1], instants[-1])])
    y = torch.stack([frame.enter(x, at) for x, at in zip(path, instants, strict=True)])
    y, slopes = _in_data(frame, y), _in_data(frame, slopes)
    gains = _gains(centred, frame, times, path, y)
    near = (y.abs() < FAR).all(2).all(0) & slopes.isfinite().all(2).all(0) & gains.isfinite().all(0)
    y, gains, slopes = y[:, near], gains[:, near], slopes[:, near]
    if type(frame) is GaussianFrame:
        slopes = _project(slopes)
    return Pilot(weights, clocks, y, gains, slopes)


def _in_data(frame: GaussianFrame, values: Tensor) -> Tensor:
    """Values (k, n, ...) of the frame in the units of t = 0, (k, n, d), in float64 on the CPU."""
    return torch.stack([frame.in_data(value) for value in values]).flatten(2).cpu().double()


def _project(values: Tensor) -> Tensor:
    """Project (k, n, d) with large d on COORDINATES random directions; mean squares stay the same on average."""
    d = values.shape[-1]
    if d <= COORDINATES:
        return values
    generator = torch.Generator().manual_seed(0)
    return values @ (torch.randn(d, COORDINATES, generator=generator, dtype=values.dtype) / COORDINATES**0.5)


def _gains(
    model: ScoreModel, frame: GaussianFrame, times: list[float], path: list[Tensor], y: Tensor
) -> Tensor:
    """The amplification of a perturbation of each trajectory, along its curvature, from every step to the end."""
    size = PERTURBATION * y.shape[-1] ** 0.5
    gains = []
    for k in PERTURBED:
        at, end = model.process.instants([times[k], times[-1]])
        curvature = y[k + 1] - 2 * y[k] + y[k - 1]
        perturbation = size * curvature / curvature.norm(dim=1, keepdim=True).clamp(min=1e-30)
        inside = frame.enter(path[k], at)
        # in_data is linear, and the same at all times.
        unit = frame.in_data(torch.ones_like(inside))
        start = frame.leave(inside + perturbation.to(inside).reshape(inside.shape) / unit, at)
        x = carry(Adams(fixed_order=3), model, start, times[k::STRIDE])
        difference = frame.in_data(frame.enter(x, end)).flatten(1).cpu().double() - y[-1]
        gains.append(difference.norm(dim=1) / size + 1e-3)
    logs = torch.stack([*gains, torch.ones_like(gains[0])]).log().numpy()
    steps = np.arange(STEPS + 1)
    per_trajectory = [np.interp(steps, [*PERTURBED, STEPS], column) for column in logs.T]
    return torch.from_numpy(np.exp(np.stack(per_trajectory, 1)))


def _fingerprint(model: ScoreModel) -> list[float]:
    """One number per tensor of the model's networks, which shows whether their weights have changed.

    Of a plain function nothing can be seen but the networks around it, and whether it is still the same one.
    """
    network = getattr(innermost(model), "network", None)
    function = [] if network is None or isinstance(network, nn.Module) else [float(id(network))]
    tensors = (tensor for network in networks_of(model) for tensor in network.state_dict().values())
    return function + [float(tensor.cpu().double().sum()) for tensor in tensors]


def _step_density(clocks: np.ndarray, y: Tensor, gains: Tensor, k: int) -> np.ndarray:
    """(A^½ ‖d^k y/dv^k‖)^{1/k} at the clocks: root mean square over trajectories, smoothed, bounded from below."""
    for _ in range(k):
        y = (y[LAG:] - y[:-LAG]) / (LAG * (clocks[1] - clocks[0]))
    gains = gains[LAG * k // 2 : LAG * k // 2 + len(y)]
    size = (gains * y.square().sum(2)).mean(1).sqrt().numpy() + 1e-300
    window = np.hanning(11)[1:-1]
    padded = np.pad(np.log(size), 4, mode="edge")
    smooth = np.exp(np.convolve(padded, window / window.sum(), "valid"))
    # A difference has fewer values than there are clocks; they are spread over all of them.
    places = np.linspace(0, len(clocks) - 1, len(smooth))
    density = np.interp(np.arange(len(clocks)), places, smooth) ** (1 / k)
    return np.maximum(density, FLOOR * density.max())
