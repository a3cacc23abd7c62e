"""Rules for the use of Gaussian processes: kinds of prediction, arrays, shapes, seeds, devices."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from difrun.model.predictions import PREDICTIONS
from difrun.process.gaussian import GaussianProcess
from difrun.testing.checks.process import spread_times
from difrun.testing.rules import ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.verdict import ensure, ensure_close, ensure_different, ensure_equal, ensure_refused

GAUSSIAN = {"gaussian"}
EPS = 2.0**-24
"""Rounding of float32."""


def truth(kind: str, at: Any, x0: Tensor, noise: Tensor) -> Tensor:
    """The kind by its definition, a x_0 + b ε."""
    a, b = PREDICTIONS[kind](at)
    return a * x0 + b * noise


@check("process", provides=GAUSSIAN)
def conversions_are_right_in_float32(subject: ComponentUnderTest) -> None:
    """Every kind converts to every other, at both ends of time, with no more error than rounded inputs explain.

    With B = p x + q A the error is at most 16 roundings of |p x| + |q A|, or 1e-4 of it for float32 tensors of times;
    for velocities more where σ̇ = g²/2σ + f σ cancels to a number that is small beside its terms.
    """
    process = subject.make().centred()
    x0 = torch.tensor([[-1.7, 0.9], [0.4, 2.2]], dtype=torch.float64)
    noise = torch.tensor([[0.3, -1.2], [2.1, 0.7]], dtype=torch.float64)
    for t in (process.t_min, spread_times(process, 3)[1], 0.999 * process.horizon):
        t32 = torch.tensor(t, dtype=torch.float32).item()
        at = process.at(t32)
        batch = process.at(torch.full((2,), t32, dtype=torch.float32), 2)
        x = at.alpha * x0 + at.sigma * noise
        # Of α̇ x_0 + σ̇ ε in float32 so much is rounding.
        lost = 16 * EPS * abs(at.f) * at.sigma / (abs(at.d_alpha) + abs(at.d_sigma))
        for source, row in PREDICTIONS.items():
            a, b = row(at)
            prediction = a * x0 + b * noise
            for target in PREDICTIONS:
                c, d = PREDICTIONS[target](at)
                determinant = at.alpha * b - at.sigma * a
                p, q = (c * b - d * a) / determinant, (at.alpha * d - at.sigma * c) / determinant
                size = (p * x).abs() + (q * prediction).abs() + truth(target, at, x0, noise).abs()
                coarse = max(1e-4, lost) if "velocity" in (source, target) else 1e-4
                for instant, allowed in ((at, 16 * EPS), (batch, coarse)):
                    got = process.convert(prediction.float(), x.float(), instant, source, target)
                    what = f"{source} converted to {target} at t = {t:.6g}"
                    ensure_equal(got.dtype, torch.float32, f"the dtype of {what}, in float32,")
                    error = (got.double() - truth(target, at, x0, noise)).abs()
                    share = (error / size).max().item()
                    ensure(
                        share <= allowed, f"{what} is off by {share:.2g} of its terms", f"0 ± {allowed:.2g}"
                    )


@check("process", provides=GAUSSIAN)
def conversions_round_trip(subject: ComponentUnderTest) -> None:
    """x̂_0 → kind → x̂_0 in float32, with the process's μ, gives x̂_0 back to 64 roundings of |x_0| + |x|/α."""
    process = subject.make()
    x0 = torch.tensor([[-1.7, 0.9], [0.4, 2.2]])
    for t in spread_times(process, 5)[:-1]:
        at = process.at(t)
        x = process.diffuse(x0, torch.tensor([[0.3, -1.2], [2.1, 0.7]]), at)
        for kind in PREDICTIONS:
            back = process.convert(process.convert(x0, x, at, "x0", kind), x, at, kind, "x0")
            limit = 64 * EPS * (x0.abs().max() + x.abs().max() / at.alpha)
            ensure_close(back, x0, f"x̂_0 through {kind} and back at t = {t:.6g}", atol=float(limit))


def calls(process: GaussianProcess) -> dict[str, Callable[[Any], Any]]:
    """Everything that draws or evaluates at examples x0 (n, d)."""
    early, late = 0.3 * process.horizon, 0.7 * process.horizon
    at, to = process.instants([late, early])
    return {
        "sample": lambda x0: process.sample(x0, late, 1),
        "path": lambda x0: process.path(x0, [0.0, early, late], 1),
        "euler_maruyama": lambda x0: process.euler_maruyama(x0, [early, late], 1, substeps=2),
        "bridge": lambda x0: process.bridge(x0, 0.5 * x0, at, to).mean,
        "convert": lambda x0: process.convert(x0, 0.5 * x0, at, "x0", "score"),
        "density": lambda x0: process.density(x0, 0.5 * x0, late),
    }


ARRAYS = ("sample", "path", "euler_maruyama", "density")
"""The calls that also take NumPy arrays."""


@check("process", provides=GAUSSIAN)
def takes_and_gives_numpy_and_torch(subject: ComponentUnderTest) -> None:
    """NumPy arrays give NumPy arrays, tensors give tensors, with the same numbers and the same dtype."""
    process = subject.make()
    for dtype in (np.float32, np.float64):
        array = np.array([[-1.0, 0.5], [0.3, 2.0], [0.1, 0.2]], dtype=dtype)
        for name, call in calls(process).items():
            tensor = torch.from_numpy(array.copy())
            result = call(tensor)
            ensure(isinstance(result, Tensor), f"{name} of a tensor is a {type(result).__name__}", "a tensor")
            ensure_equal(result.dtype, tensor.dtype, f"the dtype of {name}")
            if name in ARRAYS:
                answer = call(array)
                ensure(
                    isinstance(answer, np.ndarray),
                    f"{name} of an array is a {type(answer).__name__}",
                    "an array",
                )
                ensure_equal(answer.dtype, np.dtype(dtype), f"the dtype of {name} of an array")
                ensure_equal(answer, result, f"{name} of an array, against that of a tensor,")
    times = np.array([0.2, 0.4, 0.6]) * process.horizon
    single = process.sample(array.astype(np.float32), times, 1).dtype
    ensure_equal(single, np.dtype(np.float32), "the dtype of sample for an array of times")
    ensure_equal(
        process.sample(array, t=times, generator=1).shape, (3, 2), "the shape of sample, called by names"
    )


@check("process", provides=GAUSSIAN)
def takes_examples_of_any_shape(subject: ComponentUnderTest) -> None:
    """Examples may be numbers (n,), one vector (1, d) or images (n, c, h, w)."""
    process = subject.make()
    for shape in ((5,), (1, 3), (3, 2, 4, 5)):
        x0 = torch.linspace(-1, 1, torch.Size(shape).numel()).reshape(shape)
        ensure_equal(tuple(process.prior(shape, generator=1).shape), shape, "the shape of the prior")
        for name, call in calls(process).items():
            if name != "density":
                got = tuple(call(x0).shape[-len(shape) :])
                ensure_equal(got, shape, f"the shape of {name} for examples of shape {shape}")
        if len(shape) > 2:
            for name in ("bridge", "convert"):
                flat = calls(process)[name](x0.flatten(1))
                what = f"{name} of images, against that of the vectors of their pixels,"
                ensure_close(calls(process)[name](x0).flatten(1), flat, what, rtol=1e-5, atol=1e-6)
        half = 0.5 * process.horizon
        each = process.sample(x0, torch.full((shape[0],), half), 1)
        ensure_close(
            each, process.sample(x0, half, 1), "sample at one time per example", rtol=1.3e-6, atol=1e-5
        )


@check("process", provides=GAUSSIAN)
def leaves_its_inputs_alone(subject: ComponentUnderTest) -> None:
    """No call changes the tensors that it is given."""
    process = subject.make()
    for name, call in calls(process).items():
        x0 = torch.tensor([[-1.0, 0.5], [0.3, 2.0]])
        before = x0.clone()
        call(x0)
        ensure_equal(x0, before, f"the input of {name}, after the call,")


@check("process", provides=GAUSSIAN)
def is_random_only_through_its_generator(subject: ComponentUnderTest) -> None:
    """One seed gives one result, another seed a different one; global random states are neither used nor changed."""
    process = subject.make()
    x0 = torch.tensor([[-1.0, 0.5], [0.3, 2.0]])
    with global_randomness_untouched():
        for name, call in calls(process).items():
            ensure_equal(call(x0), call(x0), f"{name}, twice with one seed,")
        process.sample(x0, 0.5 * process.horizon)
        first = process.sample(x0, 0.5 * process.horizon, 1)
        second = process.sample(x0, 0.5 * process.horizon, 2)
        ensure_different(first, second, "a sample of seed 2", "another than that of seed 1")
        first, second = (
            process.euler_maruyama(x0, [0.5 * process.horizon], seed, substeps=4) for seed in (1, 2)
        )
        ensure_different(first, second, "a simulated path of seed 2", "another than that of seed 1")
        once, again = (
            process.sample(x0, 0.5 * process.horizon, torch.Generator().manual_seed(3)) for _ in range(2)
        )
        ensure_equal(once, again, "a sample of one torch generator, twice,")


@check("process", provides=GAUSSIAN)
def runs_where_its_tensors_are(subject: ComponentUnderTest) -> None:
    """Every call stays on the device "meta", where a tensor made on the CPU by mistake raises."""
    process = subject.make()
    x0 = torch.empty(4, 2, device="meta")
    for name, call in calls(process).items():
        ensure(call(x0).is_meta, f"{name} of a tensor on 'meta' is not there", "the device of the input")
    moments = {"mean": torch.zeros(2), "var": torch.ones(2)}
    prior = process.prior((4, 2), **moments, device="meta")
    ensure(prior.is_meta, "a prior asked for on 'meta' is not there", "the device that is asked for")
    late = process.sample(x0, torch.empty(4, device="meta"), 1)
    ensure(late.is_meta, "a sample at times on 'meta' is not there", "the device of the input")


@check("process", provides=GAUSSIAN)
def refuses_times_that_are_none(subject: ComponentUnderTest) -> None:
    """A time outside [0, T], as a number or in a tensor, and times of a path that do not increase raise DifrunError."""
    process = subject.make()
    x0 = torch.zeros(2, 1)
    late = 1.01 * process.horizon
    for t in (-0.1, late, float("nan")):
        for call, *arguments in (
            (process.at, t),
            (process.at, torch.tensor([0.0, t])),
            (process.instants, [0.0, t]),
            (process.sample, x0, t),
            (process.sample, x0, torch.tensor([t, 0.0])),
            (process.density, x0, x0, t),
        ):
            what = f"t = {t:g} in {call.__name__}"
            ensure_refused(call, *arguments, what=what, says="time runs from 0")
    for path in (process.path, process.euler_maruyama):
        what = f"a time beyond T in {path.__name__}"
        ensure_refused(path, x0, [0.1 * process.horizon, late], what=what, says="time runs from 0")
    for times in ([0.5, 0.2], [-0.1, 0.2], []):
        ensure_refused(process.path, x0, times, what=f"a path at {times}", says="times of a path")
