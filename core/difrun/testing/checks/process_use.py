"""Rules for the use of Gaussian processes: kinds of prediction, arrays, shapes, seeds, devices."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.model.predictions import PREDICTIONS
from difrun.process.gaussian import GaussianProcess
from difrun.testing.check import ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.checks.process import spread_times

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

    With B = p x + q A the error is at most 16 roundings of |p x| + |q A|, or 1e-4 of it for float32 tensors of times.
    """
    process = subject.make().centred()
    x0 = torch.tensor([[-1.7, 0.9], [0.4, 2.2]], dtype=torch.float64)
    noise = torch.tensor([[0.3, -1.2], [2.1, 0.7]], dtype=torch.float64)
    for t in (process.t_min, spread_times(process, 3)[1], 0.999 * process.horizon):
        t32 = torch.tensor(t, dtype=torch.float32).item()
        at = process.at(t32)
        batch = process.at(torch.full((2,), t32, dtype=torch.float32), 2)
        x = at.alpha * x0 + at.sigma * noise
        for source, row in PREDICTIONS.items():
            a, b = row(at)
            prediction = a * x0 + b * noise
            for target in PREDICTIONS:
                c, d = PREDICTIONS[target](at)
                determinant = at.alpha * b - at.sigma * a
                p, q = (c * b - d * a) / determinant, (at.alpha * d - at.sigma * c) / determinant
                size = (p * x).abs() + (q * prediction).abs() + truth(target, at, x0, noise).abs()
                for instant, allowed in ((at, 16 * EPS), (batch, 1e-4)):
                    got = process.convert(prediction.float(), x.float(), instant, source, target)
                    assert got.dtype == torch.float32
                    error = (got.double() - truth(target, at, x0, noise)).abs()
                    assert (error <= allowed * size).all(), (
                        f"{source} to {target} at t = {t}: {error.max():.2g}"
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
            assert (back - x0).abs().max() <= limit, f"{kind} at t = {t}"


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
            assert isinstance(result, Tensor), name
            assert result.dtype == tensor.dtype, name
            if name in ARRAYS:
                answer = call(array)
                assert isinstance(answer, np.ndarray), name
                assert answer.dtype == dtype, name
                np.testing.assert_array_equal(answer, result.numpy(), err_msg=name)
    times = np.array([0.2, 0.4, 0.6]) * process.horizon
    assert process.sample(array.astype(np.float32), times, 1).dtype == np.float32
    assert process.sample(array, t=times, generator=1).shape == (3, 2)


@check("process", provides=GAUSSIAN)
def takes_examples_of_any_shape(subject: ComponentUnderTest) -> None:
    """Examples may be numbers (n,), one vector (1, d) or images (n, c, h, w)."""
    process = subject.make()
    for shape in ((5,), (1, 3), (3, 2, 4, 5)):
        x0 = torch.linspace(-1, 1, torch.Size(shape).numel()).reshape(shape)
        assert process.prior(shape, generator=1).shape == shape
        for name, call in calls(process).items():
            if name != "density":
                assert call(x0).shape[-len(shape) :] == shape, name
        each = torch.full((shape[0],), 0.5 * process.horizon)
        torch.testing.assert_close(process.sample(x0, each, 1), process.sample(x0, 0.5 * process.horizon, 1))


@check("process", provides=GAUSSIAN)
def leaves_its_inputs_alone(subject: ComponentUnderTest) -> None:
    """No call changes the tensors that it is given."""
    process = subject.make()
    for name, call in calls(process).items():
        x0 = torch.tensor([[-1.0, 0.5], [0.3, 2.0]])
        before = x0.clone()
        call(x0)
        assert torch.equal(x0, before), name


@check("process", provides=GAUSSIAN)
def is_random_only_through_its_generator(subject: ComponentUnderTest) -> None:
    """One seed gives one result, another seed a different one; global random states are neither used nor changed."""
    process = subject.make()
    x0 = torch.tensor([[-1.0, 0.5], [0.3, 2.0]])
    with global_randomness_untouched():
        for name, call in calls(process).items():
            assert torch.equal(call(x0), call(x0)), name
        process.sample(x0, 0.5 * process.horizon)
        first = process.sample(x0, 0.5 * process.horizon, 1)
        assert not torch.equal(first, process.sample(x0, 0.5 * process.horizon, 2))
        by_torch = [
            process.sample(x0, 0.5 * process.horizon, torch.Generator().manual_seed(3)) for _ in range(2)
        ]
        assert torch.equal(*by_torch)


@check("process", provides=GAUSSIAN)
def runs_where_its_tensors_are(subject: ComponentUnderTest) -> None:
    """Every call stays on the device "meta", where a tensor made on the CPU by mistake raises."""
    process = subject.make()
    x0 = torch.empty(4, 2, device="meta")
    for name, call in calls(process).items():
        assert call(x0).is_meta, name
    moments = {"mean": torch.zeros(2), "var": torch.ones(2)}
    assert process.prior((4, 2), **moments, device="meta").is_meta
    assert process.sample(x0, torch.empty(4, device="meta"), 1).is_meta


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
            with pytest.raises(DifrunError, match="time runs from 0"):
                call(*arguments)
    for path in (process.path, process.euler_maruyama):
        with pytest.raises(DifrunError, match="time runs from 0"):
            path(x0, [0.1 * process.horizon, late])
    for times in ([0.5, 0.2], [-0.1, 0.2], []):
        with pytest.raises(DifrunError, match="times of a path"):
            process.path(x0, times)
