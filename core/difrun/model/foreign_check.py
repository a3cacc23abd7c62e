r"""Whether a network trained elsewhere denoises as it was wrapped, and which other reading of it would fit better.

Data are noised at a few levels. The error of x̂_0 is compared with that of the best linear denoiser,

    R = E‖x̂_0 − x_0‖² / E‖x̂_lin − x_0‖²,    x̂_lin = m + α v/(α² v + σ²) (x_t − α m),

for data of mean m and variance v per coordinate. R is the same for every kind of prediction. A trained network has
R < 1 on its own data; one that is read wrongly has an R of 10 or 10 000.
"""

import contextlib
import math
import warnings
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.data.casts import as_data, with_numbers
from difrun.errors import DifrunError
from difrun.model.foreign_model import ForeignModel
from difrun.model.readings import advised, instant_near, log_error, noise_levels, other_readings
from difrun.model.schedule_check import wrong_schedule
from difrun.randomness.generator import Generator
from difrun.text import in_one_line

LEVELS = (2.5, 1.5, 0.5, -0.5, -1.5)
"""λ of the noised data, for data of variance 1."""

BLIND_LEVELS = (-0.5, -1.0, -1.5)
"""Likewise where the data are not given: there is so much noise that others of the same variance are alike."""

CLEARLY, SUSPECT = 2.0, 1.15
"""Another reading fits better if its R is smaller by the first factor; by the second, where the network is worse than
the best linear denoiser, as a trained one is not. A small network that predicts the noise has an R of 1.2 read as v."""

TOLD = 1.25
"""R from which on a network is told to be worse than the best linear denoiser."""

GROSS = 3.0
"""R from which on a network is refused where the data are not given: they may differ from its own."""

MOST_ROWS, MOST_NUMBERS = 256, 200_000
"""Bounds of a batch."""


def checked_data(data: Any, shape: tuple[int, ...], data_range: tuple[float, float] | None) -> Tensor:
    """Return examples as floats.

    Raises:
        DifrunError: If they have another shape, are not finite, or lie outside the range.
    """
    examples = with_numbers(as_data(data)).detach()
    if tuple(examples.shape[1:]) != shape or len(examples) < 2:
        raise DifrunError(
            f"data of shape {tuple(examples.shape)}; expected (N, {', '.join(map(str, shape))}), N ≥ 2."
        )
    if not bool(examples.isfinite().all()):
        raise DifrunError("data must be finite.")
    if bool((examples == examples[0]).all()):
        raise DifrunError("data must vary: all of these examples are the same.")
    if data_range is not None:
        low, high = (float(bound) for bound in (examples.min(), examples.max()))
        slack = 1e-3 * (data_range[1] - data_range[0])
        if low < data_range[0] - slack or high > data_range[1] + slack:
            raise DifrunError(
                f"data run from {low:g} to {high:g}, and the network was trained on {data_range[0]:g} to "
                f"{data_range[1]:g} (data_range): bring them to that range."
            )
    return examples


def check_model(model: ForeignModel, data: Tensor | None, labels: Tensor | None) -> None:
    """Refuse a network that cannot be called as it was wrapped, or does not denoise.

    Args:
        model: The model.
        data: Its data; None takes normal noise in their place.
        labels: The labels of the data, if it takes any.

    Raises:
        DifrunError: If it fails, or its R says that it is read wrongly. The message names the reading that fits best.
    """
    x0, asked = _rows(model, data, labels)
    x0 = x0.to(model.mean.device)
    _try_call(asked, x0)
    noised = noise_levels(asked, x0, BLIND_LEVELS if data is None else LEVELS)
    with torch.no_grad():
        mine = log_error(asked, noised)
        allowed = math.log(GROSS)
        if data is not None:
            trivial = sum(math.log(one.trivial / one.linear) for one in noised) / len(noised)
            allowed = max(trivial, math.log(CLEARLY))
        if data is None and mine <= math.log(CLEARLY):
            return
        best, fits = advised(other_readings(asked, noised), blind=data is None)
    factor = CLEARLY if data is None or mine <= 0 else SUSPECT
    if not (best < mine - math.log(factor) and best <= allowed):
        fits = ""
    if not mine <= allowed or (data is None and fits):  # also where it is not finite
        raise DifrunError(_misfit(mine, data is None, fits, best))
    if data is None:
        return
    with torch.no_grad():
        doubt = "" if fits else wrong_schedule(asked, x0)
    if doubt:
        warnings.warn(doubt, stacklevel=3)
    _tell(mine, best, fits)


def _tell(mine: float, best: float, fits: str) -> None:
    """Refuse a network that denoises, but would do better read otherwise; warn of one that denoises badly."""
    if fits:
        raise DifrunError(
            f"the network denoises (its error is {_times(mine)} that of the best linear denoiser), but would do better "
            f"read as {fits}: {_times(best)}. If that is not how it was trained, wrap it with check=False."
        )
    if mine > math.log(TOLD):
        warnings.warn(
            f"the network denoises these data less well than the best linear denoiser: its error is {_times(mine)}. "
            "Is it trained, and were these its data? No other reading of its output and times fits clearly better.",
            stacklevel=4,
        )


def _rows(model: ForeignModel, data: Tensor | None, labels: Tensor | None) -> tuple[Tensor, ForeignModel]:
    """Some examples, and the model for them, with their labels."""
    count = max(8, min(MOST_ROWS, MOST_NUMBERS // math.prod(model.shape)))
    if data is None:
        like = torch.empty(count, *model.shape)
        x0 = model.mean.cpu() + model.var.cpu().sqrt() * Generator(0).normal(like)
        index = None
    else:
        index = torch.linspace(0, len(data) - 1, min(count, len(data))).long()
        x0 = data[index].float()
    takes = bool(model.classes) or model.condition_shape is not None
    if not takes or (labels is None and model.null is not None):
        return x0, model
    if labels is not None and index is not None:
        return x0, model.condition_on(labels[index])
    if data is not None:
        raise DifrunError("this network predicts given labels alone: give the labels of the data as well.")
    if model.condition_shape is not None:
        return x0, model.condition_on(torch.zeros(len(x0), *model.condition_shape))
    return x0, model.condition_on(torch.arange(len(x0)) % model.classes)


def _try_call(model: ForeignModel, x0: Tensor) -> None:
    """Raise DifrunError if the network cannot be called, or returns something else, with what would help."""
    at = instant_near(model, 0.0)
    try:
        with torch.no_grad():
            output = model.output(x0, at)
    except DifrunError:
        raise
    except Exception as error:
        raise DifrunError(
            f"the network failed when it was called with {_called_with(model, x0, at)}: {in_one_line(error)[:300]}."
            + _what_works(model, x0, at)
        ) from error
    if not bool(output.isfinite().all()):
        raise DifrunError("the network returned numbers that are not finite for noised data.")
    for t in (model.process.t_min, model.process.horizon):
        _try_end(model, x0, t)


def _try_end(model: ForeignModel, x0: Tensor, t: float) -> None:
    """Raise DifrunError if the network fails at an end of the process, as one that has no entry for that time does."""
    at = model.process.at(t)
    try:
        with torch.no_grad():
            model.output(x0, at)
    except DifrunError:  # a time that has no number there, such as log σ where σ is 0
        return
    except Exception as error:
        value = ""
        with contextlib.suppress(Exception):  # of a function of the user's, for times or scales
            value = f", time = {model.parts(x0, at)['time'].flatten()[0].item():g}"
        raise DifrunError(
            f"the network works in the middle of the process and failed at its end t = {t:g}{value}: "
            f"{in_one_line(error)[:300]}. Its times do not reach so far: is the schedule the one it was trained with, "
            "with as many entries, and is `time` what it counts in (an index begins with 0, t of a chain with 1)?"
        ) from error


def _called_with(model: ForeignModel, x0: Tensor, at: Any) -> str:
    """``x float32 (256, 2), time float32 (256,)``, in the order of the call."""
    try:
        parts = model.parts(x0, at)
    except Exception as error:  # a function of the user's, for times or scales
        return f"arguments that could not be made ({in_one_line(error)[:200]})"
    order = model.call.arguments
    pairs = order.items() if hasattr(order, "items") else ((part, part) for part in order)
    return ", ".join(
        f"{name} {str(parts[part].dtype).removeprefix('torch.')} {tuple(parts[part].shape)}"
        for name, part in pairs
    )


def _what_works(model: ForeignModel, x0: Tensor, at: Any) -> str:
    """What to change, if one change makes the call work."""
    turned = model.reading(integer=not model.convention.integer)
    trials: list[tuple[str, ForeignModel]] = [
        (f"integer={turned.convention.integer}", turned),
    ]
    if not hasattr(model.call.arguments, "items"):
        first, second, *rest = model.call.arguments
        for base, also in ((model, ""), (turned, f" and integer={turned.convention.integer}")):
            swapped = base.reading()
            swapped.call = attrs.evolve(model.call, arguments=(second, first, *rest))
            trials.append((f"arguments={(second, first, *rest)!r}{also}", swapped))
    for text, trial in trials:
        try:
            with torch.no_grad():
                trial.output(x0, at)
        except Exception:
            continue
        return f" It works with {text}."
    return " Its arguments are said by `arguments`, `integer` and `time`."


def _misfit(mine: float, blind: bool, fits: str, best: float) -> str:
    data = "normal noise in the place of data" if blind else "noised data"
    text = (
        f"the network does not denoise as it is wrapped: on {data} its error is {_times(mine)} that of the best linear "
        "denoiser."
    )
    if fits:
        more = " Examples, as `data`, tell more." if blind else ""
        return f"{text} Read as {fits} it is {_times(best)}.{more} (check=False leaves this test out.)"
    if blind:
        return (
            f"{text} Normal noise does not tell which other reading fits: give examples, as `data`. Is it trained, on "
            "data of this mean and variance, and under this process? (check=False leaves this test out.)"
        )
    return (
        f"{text} No other reading of its output and times fits: is it trained, on data of this mean and variance, and "
        "under this process? Give `data`, `mean` and `var` in its units. (check=False leaves this test out.)"
    )


def _times(log_ratio: float) -> str:
    return f"{math.exp(min(log_ratio, 700)):.3g}×"
