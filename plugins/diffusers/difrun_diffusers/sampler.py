"""A scheduler of diffusers as a sampler."""

import copy
import math
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.model import ScoreModel
from difrun.process import GaussianProcess
from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun_diffusers.clipping import left_to
from difrun_diffusers.levels import Call, Schedule, coordinates, own_schedule
from difrun_diffusers.options import SchedulerOptions
from difrun_diffusers.rebound import drawing_from, rebound
from difrun_diffusers.settings import split
from difrun_diffusers.table import Scheduler
from difrun_diffusers.tables import schedule_on

CLOSE = 2e-5
"""Relative distance of two levels that count as the same; the tables of diffusers are float32."""

_made: "WeakKeyDictionary[GaussianProcess, dict[Any, Schedule]]" = WeakKeyDictionary()
"""Schedulers on their own grids, which takes some of them a second; a step works on a copy."""

_KINDS = {
    "epsilon": (0.0, 1.0),
    "sample": (1.0, 0.0),
    "velocity": (-1.0, 1.0),
    "reversed velocity": (1.0, -1.0),
}
"""What a network predicts -> (c, d) in c·x̂_0 + d·ε̂; v and the score depend on the level."""


@attrs.frozen(eq=False)
class State:
    """A scheduler between two steps.

    Attributes:
        schedule: What was made for the grid.
        asked: The instants at which each step calls the model.
        scheduler: The scheduler with its history.
        k: The number of steps done.
        last_x0: The last x̂_0, for the scheduler that is told it.
    """

    schedule: Schedule
    asked: Sequence[Sequence[Any]]
    scheduler: Any
    k: int = 0
    last_x0: Tensor | None = None


class SchedulerSampler(SchedulerOptions, Sampler):
    """A scheduler of diffusers, on the grid that it makes or on any other.

    On the grid `diffusers`, made for the same number of steps, the scheduler keeps its own tables. On any other grid
    the levels of the grid take their place. The network is asked at the level of the scheduler's state, σ/α to full
    precision, also where a pipeline of diffusers would round its timestep to a whole number.
    """

    entry: ClassVar[Scheduler]
    ends_at_data = True

    def __attrs_post_init__(self) -> None:
        self.built_and_stepped  # noqa: B018 (refuses settings at once)

    @cached_property
    def built_and_stepped(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The settings of the constructor and of a step."""
        return split(self.entry, self.settings)

    @property
    def order(self) -> int | None:  # type: ignore[override]
        """The order that the scheduler claims."""
        built, stepped = self.built_and_stepped
        if (
            self.entry.cls == "SASolverScheduler"
        ):  # a corrector raises the order of its predictor by 1 at most
            predictor, corrector = built.get("predictor_order", 2), built.get("corrector_order", 2)
            return int(min(corrector, predictor + 1) if corrector else predictor)
        chosen = built.get("solver_order", stepped.get("order"))
        if chosen is None:
            return self.entry.order
        return int(chosen) + (self.entry.cls == "UniPCMultistepScheduler")  # the corrector raises the order

    @property
    def evaluations(self) -> int:  # type: ignore[override]
        """Calls of the model in one step. A last step to t = 0 of two calls takes one."""
        return self.entry.calls

    @override
    def evaluations_in(self, steps: int) -> int:
        # PLMS takes its first step twice.
        return steps * self.entry.calls + (self.entry.table == "pndm")

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        """Whether the scheduler draws noise with these settings."""
        built, stepped = self.built_and_stepped
        given = {**built, **stepped}
        if self.entry.cls in ("TCDScheduler", "LTXEulerAncestralRFScheduler") and "eta" in given:
            return given["eta"] > 0
        return (
            self.entry.stochastic
            or given.get("eta", 0) > 0
            or given.get("s_churn", 0) > 0
            or bool(given.get("stochastic_sampling"))
            or str(given.get("algorithm_type", "")).startswith("sde")
        )

    def own(self, process: GaussianProcess, steps: int) -> Schedule:
        """Return the scheduler on the grid that it makes from the levels of a process."""
        made = _made.setdefault(process, {})
        key = (self.entry.cls, self.settings, steps)
        if key not in made:
            made[key] = own_schedule(self.entry, self.built_and_stepped[0], process, steps)
        return made[key]

    @override
    def prepare(self, model: ScoreModel, instants: Sequence[Any]) -> State:
        ratios = [_ratio(at) for at in instants]
        self._refuse_no_signal(ratios[0])
        schedule = self._own_if_it_is(model.process, ratios)
        if schedule is None:
            schedule = schedule_on(self.entry, self.built_and_stepped[0], model.process, ratios)
        return State(schedule, _asked(schedule, model.process, instants), schedule.scheduler)

    def _refuse_no_signal(self, ratio: float) -> None:
        """Raise DifrunError if the scheduler would divide by the α at the start, which is 0."""
        if math.isfinite(ratio) or self.entry.frame == "flow":
            return
        predicts = self.built_and_stepped[0].get("prediction_type", self.entry.output or "epsilon")
        if self.entry.frame == "ve":  # its state is x/α
            advice = "or a process with some signal at its end"
        elif predicts in ("epsilon", "score"):
            advice = "a process with some signal at its end, or another prediction_type in --sampler.settings"
        else:
            return
        raise DifrunError(
            f"{self.entry.cls} divides by the signal α, and this process has none left at its end. Take a sampler "
            f"diffusers-flow-..., {advice}."
        )

    def _own_if_it_is(self, process: GaussianProcess, ratios: Sequence[float]) -> Schedule | None:
        """The scheduler's own grid, if these are its levels."""
        if self.entry.table == "middles" and ratios[-1] > 0:
            return None  # their own grids end at 0, and take seconds to make
        try:
            schedule = self.own(process, len(ratios) - 1)
        except DifrunError:
            return None
        return schedule if all(map(_same, schedule.ratios, ratios)) else None

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: State, generator: Generator
    ) -> tuple[Tensor, State]:
        schedule, k = state.schedule, state.k
        scheduler = _copied(state.scheduler, x.dtype == torch.float64)
        z = x * _factor(schedule, k, at)
        last_x0 = state.last_x0
        with drawing_from(generator, z), left_to(scheduler), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # NumPy functions on tensors, in DEIS
            for call, here in zip(schedule.calls[k], state.asked[k], strict=True):
                output = self._output(model, z, call.ratio, here, schedule, scheduler).to(x.dtype)
                z, last_x0 = self._call(scheduler, output, call, z, schedule, k, last_x0)
                z = z.to(x.dtype)
        return z / _factor(schedule, k + 1, to), State(schedule, state.asked, scheduler, k + 1, last_x0)

    def _call(
        self,
        scheduler: Any,
        output: Tensor,
        call: Call,
        z: Tensor,
        schedule: Schedule,
        k: int,
        last_x0: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """One call of the scheduler's step: the state after it, and x̂_0 where it returns that."""
        more = self.built_and_stepped[1]
        table = self.entry.table
        if table == "cogvideox-dpm":
            back = schedule.calls[k - 1][0].timestep if k else None
            return scheduler.step(output, last_x0, call.timestep, back, z, return_dict=False, **more)
        if table == "score-sde-ve":
            return scheduler.step_pred(output, call.timestep, z, return_dict=False, **more)[0], None
        if table == "wuerstchen":
            # Its step needs timesteps of a batch on the device of the samples, and reads one of them back.
            times = call.timestep.expand(len(z))
            return scheduler.step(output.cpu(), times, z.cpu(), return_dict=False, **more)[0].to(
                z.device
            ), None
        if table == "unclip":
            times = scheduler.timesteps
            more = {**more, "prev_timestep": times[k + 1] if k + 1 < len(times) else torch.tensor(-1)}
        return scheduler.step(output, call.timestep, z, return_dict=False, **more)[0], None

    def _output(
        self,
        model: ScoreModel,
        z: Tensor,
        ratio: float,
        here: Any,
        schedule: Schedule,
        scheduler: Any,
    ) -> Tensor:
        """What the scheduler's network would predict at z, whose level is a ratio σ/α."""
        a, s = coordinates(schedule.frame, ratio)
        x = z if _is_of(schedule.frame, here) else z * ((here.alpha + here.sigma) / (a + s))
        kind = self.entry.output or scheduler.config.get("prediction_type", "epsilon")
        if kind == "preconditioned":
            x0 = model.predict(x, here, "x0")
            sigma = torch.tensor(ratio, dtype=z.dtype)
            skip = scheduler.precondition_outputs(z, torch.zeros_like(z), sigma)
            return (x0 - skip) / scheduler.precondition_outputs(0 * z, torch.ones_like(z), sigma)
        if kind == "flow_prediction":
            kind = "velocity"
        if kind in ("v", "v_prediction"):
            scale = math.hypot(a, s)
            c, d = -s / scale, a / scale
        elif kind == "score":
            c, d = 0.0, -1 / s
        else:
            c, d = _KINDS[kind]
        if c == 0:
            return d * model.predict(x, here, "noise") if d != 1 else model.predict(x, here, "noise")
        if d == 0:
            return model.predict(x, here, "x0")
        # With u = ε̂ − x̂_0 and y = x/(α + σ), x̂_0 = y − τ u and ε̂ = y + (1 − τ) u: regular at both ends.
        tau = here.sigma / (here.alpha + here.sigma)
        u = model.predict(x, here, "straight")
        return (
            u
            if (c, d) == (-1.0, 1.0)
            else ((c + d) * (x / (here.alpha + here.sigma)) + (d * (1 - tau) - c * tau) * u)
        )


def _asked(schedule: Schedule, process: GaussianProcess, instants: Sequence[Any]) -> list[list[Any]]:
    """The instant of every call, step by step: an end of the step, or one in between."""
    ends = [
        [next((at for at in instants[k : k + 2] if _same(call.ratio, _ratio(at))), None) for call in calls]
        for k, calls in enumerate(schedule.calls)
    ]
    middles = [
        call.ratio
        for calls, known in zip(schedule.calls, ends, strict=True)
        for call, end in zip(calls, known, strict=True)
        if end is None
    ]
    # All of them at once, because the inverse of λ(t) is a search for some processes.
    lam = -torch.tensor(middles, dtype=torch.float64).log()
    between = iter(process.instants(process.time_at(lam).tolist()) if middles else [])
    return [[next(between) if end is None else end for end in known] for known in ends]


def _ratio(at: Any) -> float:
    """The level σ/α of an instant."""
    return at.sigma / at.alpha if at.alpha else math.inf


def _same(one: float, other: float) -> bool:
    return one == other or math.isclose(one, other, rel_tol=CLOSE)


def _is_of(frame: str, at: Any) -> bool:
    """Whether a state of the process is one of the scheduler; its table may be rounded, the process is not."""
    total = {"vp": at.alpha**2 + at.var, "ve": at.alpha, "flow": at.alpha + at.sigma}[frame]
    return math.isclose(total, 1, abs_tol=1e-9)


def _factor(schedule: Schedule, k: int, at: Any) -> float:
    """The factor that makes a state of the process one of the scheduler."""
    if _is_of(schedule.frame, at):
        return 1.0
    a, s = coordinates(schedule.frame, schedule.ratios[k])
    return (a + s) / (at.alpha + at.sigma)


def _copied(scheduler: Any, wide: bool) -> Any:
    """A scheduler whose history can change while that of the original stays."""
    fresh = copy.copy(scheduler)
    for name, value in vars(scheduler).items():
        if isinstance(value, list):
            setattr(fresh, name, list(value))
    fresh.__class__ = rebound(type(scheduler).__mro__[1], wide)
    return fresh
