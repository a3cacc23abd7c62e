r"""Schedulers of diffusers on the levels of a process.

A level is the ratio r = σ/α. Every scheduler has coordinates z = a x_0 + s ε with s/a = r:

    vp:    a² + s² = 1        ve:    a = 1        flow:    a + s = 1

so that z = x (a + s)/(α + σ) for a state x of any Gaussian process, and a scheduler needs no more than the levels of a
grid: its own, or any other.
"""

import contextlib
import inspect
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import attrs
import diffusers
import numpy as np
import torch

from difrun.errors import DifrunError
from difrun.process import GaussianProcess
from difrun.text import in_one_line
from difrun_diffusers.rebound import brownian, rebound
from difrun_diffusers.settings import class_of
from difrun_diffusers.table import Scheduler

TABLE = 1000
"""Number of levels of a process without a table of its own, equally spaced in time, from which a scheduler chooses."""


@attrs.frozen
class Call:
    """One call of a scheduler's step: the timestep that it is told, and the level at which the network is asked."""

    timestep: Any
    ratio: float


@attrs.frozen(eq=False)
class Schedule:
    """A scheduler that is ready for its first step.

    Attributes:
        scheduler: The scheduler; a step must work on a copy.
        frame: Its coordinates.
        ratios: The levels at which steps start and end, (steps + 1,), decreasing.
        calls: The calls of each step.
    """

    scheduler: Any
    frame: str
    ratios: Sequence[float]
    calls: Sequence[Sequence[Call]]


def coordinates(frame: str, ratio: float) -> tuple[float, float]:
    """Return (a, s) of a frame at a level."""
    if frame == "ve":
        return 1.0, ratio
    if math.isinf(ratio):
        return 0.0, 1.0
    total = math.hypot(1.0, ratio) if frame == "vp" else 1.0 + ratio
    return 1.0 / total, ratio / total


def own_schedule(
    entry: Scheduler, settings: Mapping[str, Any], process: GaussianProcess, steps: int
) -> Schedule:
    """Return a scheduler on the grid that it makes, by its `set_timesteps`, from the levels of a process.

    Raises:
        DifrunError: If it refuses the settings or the number of steps, or its levels do not decrease.
    """
    with in_words(entry, steps):
        scheduler = _made(entry, settings, process)
        if entry.table == "score-sde-ve":
            scheduler.set_timesteps(steps)
            scheduler.set_sigmas(steps)
        else:
            # MiniMax-H3 counts levels, the last one included, and not steps.
            scheduler.set_timesteps(steps + (entry.table == "minimax"))
    frame = "flow" if scheduler.config.get("use_flow_sigmas") else entry.frame
    ratios = _ratios(scheduler, entry, frame, steps)
    if len(ratios) != steps + 1 or any(not later < r for r, later in pairwise(ratios)):
        shown = ", ".join(f"{r:.4g}" for r in ratios[-4:])
        raise DifrunError(
            f"{entry.cls} gives no decreasing grid of {steps} steps with these settings: {len(ratios)} levels σ/α, "
            f"which end in {shown}. Take another number of steps, or other settings."
        )
    return Schedule(ready(scheduler), frame, ratios, calls_of(scheduler, entry, ratios))


def process_table(process: GaussianProcess) -> np.ndarray:
    """Return β_1 ... β_N of the chain at N levels of a process: its own, or `TABLE` equally spaced in time."""
    betas = getattr(process, "variances", None)  # of a chain such as `ddpm`
    if isinstance(betas, torch.Tensor) and betas.ndim == 1:
        return betas.double().numpy()
    alphas, sigmas = getattr(process, "alphas", None), getattr(process, "sigmas", None)
    if isinstance(alphas, torch.Tensor) and isinstance(sigmas, torch.Tensor):  # a `TabulatedProcess`
        return betas_of(
            [s / a if a else math.inf for a, s in zip(alphas.tolist()[1:], sigmas.tolist()[1:], strict=True)]
        )
    times = [process.horizon * k / TABLE for k in range(1, TABLE + 1)]
    return betas_of([at.sigma / at.alpha if at.alpha else math.inf for at in process.instants(times)])


def betas_of(ratios: Sequence[float]) -> np.ndarray:
    """Return β of the chain with levels σ/α, increasing."""
    log_signal = -np.log1p(np.square(np.array([0.0, *ratios])))  # log ᾱ
    with np.errstate(invalid="ignore"):
        return -np.expm1(np.diff(log_signal))


@contextlib.contextmanager
def in_words(entry: Scheduler, steps: int) -> Iterator[None]:
    """Turn what a scheduler raises into a DifrunError."""
    log = diffusers.utils.logging
    verbosity = log.get_verbosity()
    try:
        with warnings.catch_warnings():
            # About settings that are deprecated in diffusers, or that it changes itself.
            warnings.simplefilter("ignore")
            log.set_verbosity_error()
            yield
    except DifrunError:
        raise
    except Exception as error:
        raise DifrunError(
            f"{entry.cls} of diffusers fails with these settings at {steps} steps: {in_one_line(error)}"
        ) from error
    finally:
        log.set_verbosity(verbosity)


def construct(entry: Scheduler, settings: Mapping[str, Any], **more: Any) -> Any:
    """Make a scheduler with settings, and with those of `more` that its class knows."""
    cls = class_of(entry)
    known = inspect.signature(cls.__init__).parameters
    return cls(**{**settings, **{name: value for name, value in more.items() if name in known}})


def _made(entry: Scheduler, settings: Mapping[str, Any], process: GaussianProcess) -> Any:
    """A scheduler whose noise schedule is that of a process."""
    if entry.frame == "flow" or entry.table in ("wuerstchen", "ipndm"):
        return construct(entry, settings)
    if entry.own:
        high, low = process.lam_range
        return construct(entry, settings, sigma_max=math.exp(-high), sigma_min=math.exp(-low))
    betas = process_table(process)
    scheduler = construct(entry, settings, trained_betas=betas, num_train_timesteps=len(betas))
    if entry.table == "unclip":
        set_chain(scheduler, torch.from_numpy(betas).float())
    return scheduler


def set_chain(scheduler: Any, betas: torch.Tensor) -> None:
    """Set the tables of a chain."""
    scheduler.betas, scheduler.alphas = betas, 1 - betas
    scheduler.alphas_cumprod = (1 - betas).cumprod(0)


def ready(scheduler: Any) -> Any:
    """Return a scheduler as it is before its first step, at the first index, with the noise of difrun."""
    scheduler.__class__ = rebound(type(scheduler).__mro__[0], False)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    if hasattr(scheduler, "is_scale_input_called"):
        scheduler.is_scale_input_called = True
    if hasattr(scheduler, "_sigma_broadcast"):
        # A level without axes goes with samples on any device, while that of the class must be on theirs.
        scheduler._sigma_broadcast = lambda sigma, sample: sigma.reshape(())
    if hasattr(scheduler, "noise_sampler"):
        scheduler.noise_sampler = brownian
    return scheduler


def _ratios(scheduler: Any, entry: Scheduler, frame: str, steps: int) -> list[float]:
    """The levels of a scheduler's own grid."""
    if entry.table == "wuerstchen":
        signal = scheduler._alpha_cumprod(scheduler.timesteps, torch.device("cpu"))
        return ((1 - signal) / signal).sqrt().double().tolist()
    if entry.table == "ipndm":
        pairs = zip(scheduler.betas.tolist(), scheduler.alphas.tolist(), strict=True)
        return [s / a if a else math.inf for s, a in pairs]
    if entry.table == "score-sde-ve":
        places = (scheduler.timesteps * (steps - 1)).long()
        return [*scheduler.discrete_sigmas[places].tolist(), 0.0]
    if hasattr(scheduler, "sigmas"):
        sigmas = scheduler.sigmas.double().tolist()
        if entry.calls == 2:
            sigmas = [sigmas[0], *sigmas[1::2][:steps]]
        return [_ratio_of(sigma, frame) for sigma in sigmas]
    places = scheduler.timesteps.tolist()
    if entry.table == "pndm":
        places = [place for k, place in enumerate(places) if k == 0 or place != places[k - 1]]
    signal = [scheduler.alphas_cumprod[place].item() for place in places]
    last = getattr(scheduler, "final_alpha_cumprod", 1.0)
    if entry.cls == "TCDScheduler":
        last = scheduler.alphas_cumprod[0]
    elif entry.cls == "LCMScheduler":
        last = 1.0
    return [math.sqrt(max(0.0, 1 - a) / a) if a else math.inf for a in (*signal, float(last))]


def _ratio_of(sigma: float, frame: str) -> float:
    if frame != "flow":
        return sigma
    return sigma / (1 - sigma) if sigma < 1 else math.inf


def calls_of(scheduler: Any, entry: Scheduler, ratios: Sequence[float]) -> list[list[Call]]:
    """Return the calls of each step."""
    steps, times = len(ratios) - 1, scheduler.timesteps
    if entry.table == "pndm":
        extra = len(times) - len(set(times.tolist()))  # the first step is taken twice
        first = [Call(times[j], ratios[j]) for j in range(1 + extra)]
        return [first, *([Call(times[k + extra], ratios[k])] for k in range(1, steps))]
    if entry.calls == 1:
        return [[Call(times[k], ratios[k])] for k in range(steps)]
    calls = []
    for k, (ratio, after) in enumerate(pairwise(ratios)):
        here = [Call(times[2 * k], ratio)]
        if after > 0:
            here.append(Call(times[2 * k + 1], _second(scheduler, entry, k, ratio, after)))
        calls.append(here)
    return calls


def _second(scheduler: Any, entry: Scheduler, k: int, ratio: float, after: float) -> float:
    """The level of the second call of a step."""
    if entry.table == "pairs":
        return after
    if entry.cls == "DPMSolverSDEScheduler":
        return math.sqrt(ratio * after)
    shift = 1 if entry.cls == "KDPM2AncestralDiscreteScheduler" else 0
    return float(scheduler.sigmas_interpol[2 * k + 1 - shift])
