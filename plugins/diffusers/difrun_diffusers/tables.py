"""Schedulers whose own levels are replaced by those of a grid, family by family.

Each function takes the entry, the settings, the process and the levels σ/α of a grid, decreasing, and returns a
scheduler. Where a family takes its last jump, to x̂_0, apart, the table has one level more than the grid takes steps,
and that jump is left out, unless the grid itself ends without noise.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.process import GaussianProcess
from difrun.text import listed
from difrun_diffusers.levels import (
    Schedule,
    betas_of,
    calls_of,
    construct,
    coordinates,
    in_words,
    ready,
    set_chain,
)
from difrun_diffusers.rebound import rebound
from difrun_diffusers.settings import SPACING
from difrun_diffusers.table import Scheduler

Levels = Sequence[float]
Settings = Mapping[str, Any]


def _noisy(ratios: Levels) -> list[float]:
    """The levels with noise, decreasing."""
    return [r for r in ratios if r > 0]


def _wide(values: Any) -> Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.float64))


def _chain(entry: Scheduler, settings: Settings, process: GaussianProcess, ratios: Levels) -> Any:
    """A chain whose timesteps are the levels of the grid."""
    levels = _noisy(ratios)[::-1]
    betas = betas_of(levels)
    scheduler = construct(
        entry,
        {**settings, "steps_offset": 0} if "steps_offset" in settings else settings,
        trained_betas=betas,
        num_train_timesteps=len(levels),
        original_inference_steps=len(levels),
    )
    set_chain(scheduler, _wide(betas))
    if hasattr(scheduler, "final_alpha_cumprod"):
        scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    scheduler.set_timesteps(len(levels))
    return scheduler


def _sigmas(entry: Scheduler, settings: Settings, process: GaussianProcess, ratios: Levels) -> Any:
    """One call per step, at sigmas[k]."""
    steps = len(ratios) - 1
    scheduler = construct(
        entry,
        settings,
        final_sigmas_type="sigma_min" if ratios[-1] > 0 else "zero",
        sigma_max=ratios[0],
        sigma_min=_noisy(ratios)[-1],
    )
    scheduler.set_timesteps(steps)
    scheduler.sigmas = _wide([_sigma(entry, r) for r in ratios])
    scheduler.timesteps = _places(process, ratios[:-1])
    if hasattr(scheduler, "num_inference_steps"):
        scheduler.num_inference_steps = steps
    return scheduler


def _sigma(entry: Scheduler, ratio: float) -> float:
    return coordinates("flow", ratio)[1] if entry.frame == "flow" else ratio


def _places(process: GaussianProcess, ratios: Levels) -> Tensor:
    """Timesteps from 0 to 1000 at some levels, for schedulers that read something from them."""
    lam = _wide([-math.log(r) if math.isfinite(r) else -math.inf for r in ratios])
    return 1000 * process.time_at(lam) / process.horizon


def _flow_map(entry: Scheduler, settings: Settings, process: GaussianProcess, ratios: Levels) -> Any:
    """A flow map looks its timestep up in the table: whole numbers are never confused."""
    scheduler = _sigmas(entry, settings, process, ratios)
    scheduler.timesteps = torch.arange(len(ratios) - 1, 0, -1, dtype=torch.float64)
    return scheduler


def _minimax(entry: Scheduler, settings: Settings, process: GaussianProcess, ratios: Levels) -> Any:
    """Its timestep is 1 − σ, and the step computes with it."""
    scheduler = construct(entry, settings)
    scheduler.set_timesteps(len(ratios) + 1)
    scheduler.sigmas = _wide([_sigma(entry, r) for r in ratios])
    scheduler.timesteps = 1 - scheduler.sigmas[:-1]
    return scheduler


def _pairs(entry: Scheduler, settings: Settings, process: GaussianProcess, ratios: Levels) -> Any:
    """Two calls per step, at its start and at its end."""
    scheduler = construct(entry, settings)
    scheduler.set_timesteps(len(ratios) - 1)
    sigmas = [_sigma(entry, r) for r in ratios]
    doubled = [sigmas[0], *(sigma for sigma in sigmas[1:] for _ in range(2 if sigma > 0 else 1))]
    scheduler.sigmas = _wide(doubled)
    scheduler.timesteps = torch.arange(len(doubled), 0, -1, dtype=torch.float64)
    return scheduler


def _middles(entry: Scheduler, settings: Settings, process: GaussianProcess, ratios: Levels) -> Any:
    """Two calls per step, the second in between: the scheduler computes where, from a table of the user's."""
    levels = _noisy(ratios)
    betas = betas_of(levels[::-1])
    scheduler = construct(
        entry, {**settings, "use_karras_sigmas": True}, trained_betas=betas, num_train_timesteps=len(betas)
    )
    cls: Any = type(scheduler)
    scheduler.__class__ = rebound(cls, True)
    scheduler._convert_to_karras = lambda *_, **__: np.array(levels)
    scheduler.set_timesteps(len(levels))
    return scheduler


def _wuerstchen(entry: Scheduler, settings: Settings, process: GaussianProcess, ratios: Levels) -> Any:
    """A chain whose ᾱ is a function of the timestep."""
    levels = _noisy(ratios)
    scheduler = construct(entry, settings)
    scheduler.set_timesteps(len(levels))
    scheduler.timesteps = torch.arange(len(levels), -1, -1, dtype=torch.float64)
    table = _wide([1 / (1 + r**2) if math.isfinite(r) else 0.0 for r in (*levels, 0.0)])
    scheduler._alpha_cumprod = lambda t, device: table[len(levels) - t.long()].to(device)
    return scheduler


def _ipndm(entry: Scheduler, settings: Settings, process: GaussianProcess, ratios: Levels) -> Any:
    """Its tables are σ and α themselves."""
    scheduler = construct(entry, settings)
    scheduler.set_timesteps(len(ratios) - 1)
    pairs = [coordinates("vp", r) for r in ratios]
    scheduler.alphas, scheduler.betas = _wide([a for a, _ in pairs]), _wide([s for _, s in pairs])
    scheduler.timesteps = torch.arange(len(ratios) - 1, 0, -1, dtype=torch.float64)
    return scheduler


def _score_sde_ve(entry: Scheduler, settings: Settings, process: GaussianProcess, ratios: Levels) -> Any:
    """It looks its level up by t (N − 1), rounded down."""
    levels = _noisy(ratios)
    scheduler = construct(entry, settings)
    scheduler.set_timesteps(len(levels))
    scheduler.discrete_sigmas = _wide(levels[::-1])
    places = torch.arange(len(levels) - 1, -1, -1, dtype=torch.float64)
    scheduler.timesteps = (places + 0.25) / max(1, len(levels) - 1)
    return scheduler


BUILDERS: dict[str, Callable[[Scheduler, Settings, GaussianProcess, Levels], Any]] = {
    "chain": _chain,
    "sigmas": _sigmas,
    "flow-map": _flow_map,
    "minimax": _minimax,
    "pairs": _pairs,
    "middles": _middles,
    "wuerstchen": _wuerstchen,
    "ipndm": _ipndm,
    "score-sde-ve": _score_sde_ve,
}
"""How the levels of a scheduler are stored -> the function that replaces them."""


def schedule_on(
    entry: Scheduler, settings: Mapping[str, Any], process: GaussianProcess, ratios: Sequence[float]
) -> Schedule:
    """Return a scheduler on given levels, which take the place of those that it makes, in float64.

    Raises:
        DifrunError: If a setting is of its own grid, or the scheduler refuses the settings or the number of steps.
    """
    ignored = sorted(name for name in SPACING & set(settings) if settings[name] != entry.defaults.get(name))
    if ratios[-1] > 0 and settings.get("final_sigmas_type") == "sigma_min":
        ignored.remove("final_sigmas_type")  # such a grid ends so
    if ignored:
        raise DifrunError(
            f"{listed(ignored)} of {entry.cls} would have no effect on this grid: "
            f"{'it sets' if len(ignored) == 1 else 'they set'} the scheduler's own. Leave it out, or take "
            "--grid diffusers."
        )
    with in_words(entry, len(ratios) - 1):
        scheduler = BUILDERS.get(entry.table, BUILDERS["chain"])(entry, settings, process, list(ratios))
    return Schedule(ready(scheduler), entry.frame, ratios, calls_of(scheduler, entry, ratios))
