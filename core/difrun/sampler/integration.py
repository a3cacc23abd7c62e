"""The one sampling loop."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from difrun.data.casts import as_data, as_labels
from difrun.data.checks import finite_data
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.eval_mode import in_eval_mode
from difrun.model.labels import as_condition
from difrun.model.wrappers import Centred
from difrun.process.base import ForwardProcess, Randomness
from difrun.process.gaussian import GaussianProcess
from difrun.process.times import decreasing
from difrun.randomness.brownian import Brownian
from difrun.randomness.generator import Generator
from difrun.sampler.base import Sampler
from difrun.sampler.spacing import refuse_useless

Watch = Callable[[int, Any, Tensor], None]
"""Called after every step with its number (from 1), the instant reached and x there, in plain coordinates."""


Begin = Callable[[slice, Generator], Tensor]
"""Called with the numbers of some samples and the source of their randomness; returns their states, (rows, ...)."""

NOISES = ("fresh", "brownian")
"""The noise of a stochastic sampler: fresh in every step, or the increments of one Brownian path."""


@in_eval_mode
def integrate(
    sampler: Sampler,
    model: ScoreModel,
    x: Tensor,
    times: Sequence[float],
    *,
    generator: Randomness = None,
    watch: Watch | None = None,
) -> Tensor:
    """Carry x from times[0] to times[-1] by one step of the sampler per interval.

    The instants of the grid are computed once, as Python numbers, and the mean of the process is subtracted once. Where
    a Gaussian process ends at t = 0, without noise, the last step is x̂_0, the limit of DDIM, unless the sampler
    `ends_at_data`.

    Args:
        sampler: The method.
        model: The model that it asks.
        x: The start, (n, ...).
        times: Strictly decreasing times.
        generator: The source of random numbers.
        watch: Called after every step.

    Returns:
        x at times[-1], (n, ...).

    Raises:
        DifrunError: If there are fewer than two times, they do not strictly decrease, or as `refuse_useless`.
    """
    x = finite_data(x, "the start of sampling")
    return carry(sampler, model, x, decreasing(times), generator, watch)


def carry(
    sampler: Sampler,
    model: ScoreModel,
    x: Tensor,
    times: Sequence[float],
    generator: Randomness = None,
    watch: Watch | None = None,
) -> Tensor:
    """Carry x along times as `integrate` does; a deterministic sampler also along increasing ones.

    Rows that are not finite are carried along with the others.
    """
    x = as_data(x, "the start of sampling")
    process = model.process.centred()
    shift = None
    if process is not model.process:
        model = Centred(model, x)
        shift = model.offset
        x = x - shift
    random = Generator.of(generator, x.device)
    instants = process.instants(times)
    if isinstance(process, GaussianProcess):
        refuse_useless(instants, sampler, x.dtype)
    at_data = isinstance(process, GaussianProcess) and instants[-1].t == 0
    no_noise = at_data and not sampler.ends_at_data
    before = instants[:-1] if no_noise else instants
    state = sampler.prepare(model, before) if len(before) > 1 else None
    step = sampler.step
    with torch.no_grad():
        for k, to in enumerate(instants[1:], start=1):
            if no_noise and to is instants[-1]:
                x = model.predict(x, instants[k - 1], "x0")
            else:
                random.enter(instants[k - 1].t, to.t)
                result = step(model, x, instants[k - 1], to, state, random)
                if type(result) is not tuple or len(result) != 2:
                    raise DifrunError(_not_a_pair(sampler, result))
                if not _is_like(result[0], x):
                    raise DifrunError(_not_like(sampler, result[0], x))
                x, state = result
            if watch is not None:
                watch(k, to, x if shift is None else x + shift)
    random.leave()
    return x if shift is None else x + shift


@in_eval_mode
def generate(
    sampler: Sampler,
    model: ScoreModel,
    n: int,
    times: Sequence[float],
    *,
    seed: int = 0,
    chunk: int = 4096,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    noise: str = "fresh",
    labels: Tensor | None = None,
    begin: Begin | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Draw samples from the moment-matched prior at times[0], and divide them by α in the end (`to_data`).

    What the sampler leaves undecided, such as masks, is drawn in the end, too (`ForwardProcess.decide`).

    Sample i gets the same random numbers whatever `chunk` is.

    Args:
        sampler: The method.
        model: The model that it asks.
        n: Number of samples.
        times: Strictly decreasing times. They may start below T, and end at t = 0.
        seed: The seed of all random numbers.
        chunk: Number of samples that are drawn at once.
        device: Where to compute.
        dtype: Dtype of the samples.
        noise: "fresh" in every step, or "brownian": the increments of one path (`difrun.randomness.brownian`), which
            finer steps refine.
        labels: The class of each sample, (n,) int64, −1 for any, or its condition, (n, *condition_shape), NaN where it
            is not known (`ScoreModel.condition_on`).
        begin: Gives the states at times[0], in place of the prior.
        watch: Called with the number of steps done and their total over all chunks.

    Returns:
        The samples, (n, *model.shape).

    Raises:
        DifrunError: If a sample is not finite, or the sampler has no use for Brownian noise.
    """
    times = decreasing(times)
    refuse_noise(sampler, noise)
    if n < 1 or chunk < 1:
        raise DifrunError(f"the number of samples and the chunk must be at least 1, not {n} and {chunk}")
    if dtype not in (torch.float32, torch.float64):
        raise DifrunError(f"samples are computed in torch.float32 or torch.float64, not in {dtype}.")
    if labels is not None:
        labels = _labels_of(model, labels, n)
    at_horizon = math.isclose(times[0], model.process.horizon, rel_tol=1e-9)
    start: dict[str, Any] = {} if at_horizon else {"t": times[0]}
    parts, done = [], 0
    total = -(-n // chunk) * (len(times) - 1)

    def tick(*_: Any) -> None:
        nonlocal done
        done += 1
        if watch is not None:
            watch(done, total)

    for first in range(0, n, chunk):
        random = _source(noise, seed, model.process, first, device)
        rows = min(chunk, n - first)
        chunk_model = model
        if labels is not None:
            chunk_model = model.condition_on(labels[first : first + rows].to(device))
        if begin is None:
            x = chunk_model.prior(rows, random, dtype=dtype, device=device, **start)
        else:
            x = begin(slice(first, first + rows), random).to(dtype).to(device)
        x = integrate(sampler, chunk_model, x, times, generator=random, watch=tick)
        parts.append(model.process.decide(chunk_model, x, times, random))
    samples = to_data(model.process, torch.cat(parts), times[-1])
    if samples.is_meta:
        return samples
    if model.completes and labels is not None:
        known = labels.to(samples)
        samples = torch.where(known.isnan(), samples, known)
    _refuse_not_finite(samples, sampler, model)
    return samples


def _labels_of(model: ScoreModel, labels: Any, n: int) -> Tensor:
    """The classes or conditions of n samples. Raises DifrunError if there are not n."""
    if model.condition_shape is not None:
        condition = as_condition(labels, model.condition_shape)
        if len(condition) != n:
            raise DifrunError(f"{n} samples need {n} conditions, not {len(condition)}.")
        return condition
    labels = as_labels(labels)
    if labels.shape != (n,):
        raise DifrunError(f"{n} samples need {n} labels, not {tuple(labels.shape)}.")
    return labels


def _refuse_not_finite(samples: Tensor, sampler: Sampler, model: ScoreModel) -> None:
    """Raise DifrunError if a sample is not finite; the message names the first."""
    finite = samples.isfinite().flatten(1).all(1)
    if finite.all():
        return
    n, bad = len(samples), int((~finite).sum())
    are = "sample is" if n == 1 else "samples are"
    advice = "Take more steps, another grid or another sampler"
    if bad == n:
        advice = f"As no sample is finite, look at the sampler ({_name(sampler)}) and the model ({_name(model)}) first"
    elif hasattr(model, "network"):
        advice += ", or train longer"
    raise DifrunError(
        f"{bad} of {n} {are} not finite (the first is number {int((~finite).nonzero()[0])}). {advice}."
    )


def to_data(process: ForwardProcess, x: Tensor, t: float) -> Tensor:
    """Return x at the end of sampling as data: μ + (x − μ)/α(t), which on some processes is not quite x.

    Noise of standard deviation σ/α, the `noise_floor`, remains. For a process without α it is what x has of data
    (`ForwardProcess.observed`).
    """
    if not isinstance(process, GaussianProcess):
        return process.observed(x)
    centre = process.centre_like(x)
    return centre + (x - centre) / process.at(float(t)).alpha


def refuse_noise(
    sampler: Sampler, noise: str, model: ScoreModel | None = None, times: Sequence[float] = ()
) -> None:
    """Raise DifrunError if a sampler has no use for such noise; given a model and times, one step is tried."""
    if noise not in NOISES:
        raise DifrunError(f"there is no noise {noise!r}; choose one of {', '.join(NOISES)}")
    if noise == "fresh":
        return
    if not sampler.stochastic:
        raise DifrunError(
            "--noise brownian is for stochastic samplers; this one draws no noise. Leave --noise out, or take a "
            "sampler such as ancestral."
        )
    if model is not None:
        device = torch.as_tensor(model.mean).device
        random = _source(noise, 0, model.process, 0, device)
        x = model.prior(1, random, device=device)
        integrate(sampler, model, x, times[:2], generator=random)


def _source(
    noise: str, seed: int, process: ForwardProcess, first: int, device: torch.device | str
) -> Generator:
    """The generator of the noise of a chunk."""
    if noise == "fresh":
        return Generator(seed, first=first, device=device)
    if not isinstance(process, GaussianProcess):
        raise DifrunError(
            "--noise brownian is for Gaussian processes; the jumps of others follow no Brownian motion. Leave it out."
        )
    return Brownian(seed, horizon=process.horizon, t_min=process.t_min, first=first, device=device)


def _not_a_pair(sampler: Sampler, result: Any) -> str:
    returned = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
    return (
        f"The step of sampler {_name(sampler)} must return a pair (x, state), with None as the state where it needs "
        f"none; it returned {returned}."
    )


def _is_like(moved: Any, x: Tensor) -> bool:
    kinds = [(t.shape, t.dtype, t.device.type, t.layout) for t in (moved, x) if isinstance(t, Tensor)]
    return len(kinds) == 2 and kinds[0] == kinds[1]


def _not_like(sampler: Sampler, moved: Any, x: Tensor) -> str:
    def shown(t: Any) -> str:
        return f"{t.dtype}, {tuple(t.shape)}, {t.device}" if isinstance(t, Tensor) else type(t).__name__

    return (
        f"The step of sampler {_name(sampler)} must return x with the shape, the dtype and the device that it got, "
        f"{shown(x)}; it returned {shown(moved)}."
    )


def _name(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__name__}"
