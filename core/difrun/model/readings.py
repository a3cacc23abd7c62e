"""Other readings of a network trained elsewhere, and how well each one denoises."""

import math
from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.model.conventions import TIMES
from difrun.model.foreign_model import ForeignModel
from difrun.model.predictions import PARAMETERISATIONS
from difrun.randomness.generator import Generator

BETTER = 0.97
"""R below which a network knows more of the data than their mean and variance."""

BLIND_BEST = 1.1
"""The largest R of a reading that is advised without data, where R is at least 1; readings under which a network that
says nothing has no more are not advised."""


@attrs.frozen(eq=False)
class Noised:
    """Data at a level of noise.

    Attributes:
        at: The instant.
        x: The noised data.
        x0: The data.
        linear: Mean squared error of the best linear denoiser.
        trivial: That of the better of two: the mean of the data, and x_t/α.
    """

    at: Any
    x: Tensor
    x0: Tensor
    linear: float
    trivial: float


def instant_near(model: ForeignModel, lam: float) -> Any:
    """Return the instant of a λ within the range of the process; of a table, that of the nearest entry."""
    process = model.process
    low, high = process.lam_range
    t = process.time_at(min(max(lam, low), high))
    try:
        process.table_index(t)
    except DifrunError:
        return process.at(t)
    if hasattr(process, "times"):  # a `TabulatedProcess`, whose entries may have any times
        times = [float(entry) for entry in process.times if entry >= process.t_min * (1 - 1e-9)]
        return process.at(min(times, key=lambda entry: abs(entry - t)))
    return process.at(min(max(round(t), math.ceil(process.t_min)), math.floor(process.horizon)))


def noise_levels(model: ForeignModel, x0: Tensor, levels: tuple[float, ...]) -> list[Noised]:
    """Return examples at levels of noise λ, shifted so that they mean the same for data of any variance."""
    mean, var = x0.mean(0), x0.var(0, correction=0)
    shift = 0.5 * math.log(float(var.mean()) or 1.0)
    made = []
    for k, lam in enumerate(levels):
        at = instant_near(model, lam - shift)
        # Seed 0 makes the examples where no data are given.
        x = model.process.diffuse(x0, Generator(k + 1, device=x0.device).normal(x0), at)
        centre = model.process.centre_like(x)
        gain = at.alpha * var / (at.alpha**2 * var + at.var)
        linear = mean + gain * (x - centre - at.alpha * (mean - centre))
        errors = [
            float((guess - x0).square().mean()) for guess in (linear, mean, centre + (x - centre) / at.alpha)
        ]
        made.append(Noised(at, x, x0, errors[0], min(errors[1:])))
    return made


def log_error(model: ForeignModel, noised: list[Noised], outputs: list[Tensor] | None = None) -> float:
    """Return the mean of log R (`difrun.model.foreign_check`); infinite if a prediction is not finite."""
    outputs = _outputs(model, noised) if outputs is None else outputs
    total = 0.0
    for one, output in zip(noised, outputs, strict=True):
        guess = model.read(output, one.x, one.at, "x0")
        error = float((guess - one.x0).square().mean())
        if not math.isfinite(error):
            return math.inf
        total += math.log(max(error, 1e-30) / one.linear)
    return total / len(noised)


def _outputs(model: ForeignModel, noised: list[Noised]) -> list[Tensor]:
    return [model.output(one.x, one.at) for one in noised]


@attrs.frozen
class Reading:
    """A reading that was tried.

    Attributes:
        error: The mean of log R.
        changes: How many of kind, time and scale differ from those of the user.
        words: The reading as arguments of `difrun.wrap`.
        flat: Whether a network that says nothing denoises nearly as well as the best linear denoiser, as one does that
            is read as edm, or as v of a process that preserves the variance.
    """

    error: float
    changes: int
    words: str
    flat: bool


def other_readings(model: ForeignModel, noised: list[Noised]) -> list[Reading]:
    """Return all readings of known kinds, times and scales of the input that the network can be called with."""
    found = []
    for scale_text, scaled in _scales(model).items():
        for time_text, timed in _times_of(scaled).items():
            try:
                outputs = _outputs(timed, noised)
            except Exception:  # a time that the network, or the process, does not have
                continue
            for kind_text, predicts in _kinds(model).items():
                read = timed.reading(predicts=predicts)
                error = log_error(read, noised, outputs)
                changed = (
                    predicts != model.convention.predicts,
                    timed.convention.time != model.convention.time,
                    scaled is not model,
                )
                words = ", ".join(filter(None, (kind_text, time_text, scale_text)))
                silent = [torch.zeros_like(output) for output in outputs]
                flat = log_error(read, noised, silent) < math.log(BLIND_BEST)
                found.append(Reading(error, sum(changed), words, flat))
    return found


def advised(readings: list[Reading], blind: bool) -> tuple[float, str]:
    """Return the reading to advise, as its error and in words; infinite and empty if there is none.

    Of those that are nearly as good as the best, it is the one that changes the least, or is listed first.

    On data, it must be better than the best linear denoiser. Without, where many readings look alike, only those that
    change one thing are named.
    """
    if blind:
        readings = [
            one for one in readings if one.changes == 1 and not one.flat and one.error < math.log(BLIND_BEST)
        ]
    else:
        readings = [one for one in readings if one.error < math.log(BETTER)]
    best = min((one.error for one in readings), default=math.inf)
    near = sorted(
        (one for one in readings if one.error <= best + math.log(1.5 if blind else 1.1)),
        key=lambda one: one.changes,
    )
    return (near[0].error if near else math.inf), " or ".join(one.words for one in near[: 3 if blind else 1])


def _kinds(model: ForeignModel) -> dict[str, Any]:
    """What it may predict, that of the user first, in the words of the argument `predicts`."""
    given = model.convention.predicts
    kinds: dict[str, Any] = {f"predicts={kind!r}": kind for kind in PARAMETERISATIONS}
    first = f"predicts={given!r}" if isinstance(given, str) else "predicts as given"
    return (
        {first: given}
        | kinds
        | {
            "predicts=lambda at: (0.0, -1.0)": lambda at: (0.0, -1.0),
            "predicts=lambda at: (1.0, -1.0)": lambda at: (1.0, -1.0),
            "predicts=lambda at: (at.sigma, -at.alpha)": lambda at: (at.sigma, -at.alpha),
        }
    )


def _scales(model: ForeignModel) -> dict[str, ForeignModel]:
    """The model as it is, and with the input scaled in the other way."""
    given = model.convention.scale
    other = None if given == "edm" else "edm"
    return {
        "" if given is None else "input_scale as given": model,
        f"input_scale={other!r}": model.reading(scale=other),
    }


def _times_of(model: ForeignModel) -> dict[str, ForeignModel]:
    """The model with each known time, that of the user first, in the words of the argument `time`."""
    horizon = float(model.process.horizon)
    functions: dict[str, Callable[[Any], Tensor]] = {
        "lambda at: 1000 * at.t": lambda at: 1000 * at.t,
        f"lambda at: at.t / {horizon:g}": lambda at: at.t / horizon,
        f"lambda at: 1000 * at.t / {horizon:g}": lambda at: 1000 * at.t / horizon,
        f"lambda at: 1 - at.t / {horizon:g}": lambda at: 1 - at.t / horizon,
        f"lambda at: {horizon:g} - at.t": lambda at: horizon - at.t,
        "lambda at: at.sigma.log()": lambda at: at.sigma.log(),
        "lambda at: at.sigma / at.alpha": lambda at: at.sigma / at.alpha,
        "lambda at: 2 * at.lam": lambda at: 2 * at.lam,
    }
    times = {f"time={name!r}": name for name in TIMES}
    given = model.convention.time
    first = f"time={given!r}" if isinstance(given, str) else "time as given"
    everything: dict[str, Any] = {
        first: given,
        **times,
        **{f"time={text}": f for text, f in functions.items()},
    }
    return {text: model.reading(time=time) for text, time in everything.items()}
