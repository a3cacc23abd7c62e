"""Rules for processes of finitely many states, on a small system: what they draw, and from which random numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from difrun.randomness.generator import Generator
from difrun.testing.enumerated import EnumeratedProcess, ensure_counts
from difrun.testing.rules import ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.verdict import ensure, ensure_equal

DISCRETE = {"discrete"}
N = 20000


@check("process", provides=DISCRETE)
def draws_follow_the_kernel(subject: ComponentUnderTest) -> None:
    """20 000 draws of x_t from the first and the last example have the distribution of the kernel: χ², p > 1e-6.

    This holds at one time for all examples, and at one time for each.
    """
    enumerated = EnumeratedProcess.of(subject)
    times = enumerated.times
    few = enumerated.data[[0, -1]].repeat(N // 2, *[1] * (enumerated.data.ndim - 1))
    for t in times[1:]:
        states, distribution = enumerated.index(enumerated.process.sample(few, t, 3)), enumerated.from_data(t)
        for k in (0, 1):
            ensure_counts(states[k::2], distribution[-k], f"x_t at t = {t:g}")
    each = torch.tensor([times[2], times[4]], dtype=torch.float64).repeat(N // 2)
    states = enumerated.index(enumerated.process.sample(enumerated.many(N), each, 5))
    for k, t in enumerate((times[2], times[4])):
        ensure_counts(
            states[k::2], enumerated.from_data(t)[-1], f"x_t at t = {t:g}, one time for each example"
        )


@check("process", provides=DISCRETE)
def joint_paths_follow_the_kernels(subject: ComponentUnderTest) -> None:
    """(x_s, x_t) of 20 000 paths from the last example: χ² against q(x_s | x_0) q(x_t | x_s), p > 1e-6."""
    enumerated = EnumeratedProcess.of(subject)
    m = len(enumerated.states)
    x0 = enumerated.many(N)
    for s, t in ((enumerated.times[1], enumerated.times[2]), (enumerated.times[2], enumerated.times[4])):
        path = enumerated.process.path(x0, [0.0, s, t], 7)
        ensure_equal(path[0], x0, "the path at t = 0")
        distribution = enumerated.from_data(s)[-1][:, None] * enumerated.kernel(s, t)
        ensure_counts(
            enumerated.index(path[1]) * m + enumerated.index(path[2]),
            distribution,
            f"x at s = {s:g} and t = {t:g}",
        )


@check("process", provides=DISCRETE)
def prior_is_the_noised_data(subject: ComponentUnderTest) -> None:
    """20 000 draws of the prior, for uniform data: χ² against the mean of q(x_T | x_0) over x_0, p > 1e-6."""
    enumerated = EnumeratedProcess.of(subject)
    data = enumerated.data
    moments = {"mean": data.mean(0), "var": data.var(0, correction=0)}
    x = enumerated.process.prior((N, *data.shape[1:]), **moments, generator=11, dtype=torch.float64)
    ensure_counts(enumerated.index(x), enumerated.from_data(enumerated.process.horizon).mean(0), "prior")


@check("process", provides=DISCRETE)
def draws_by_its_generator_alone(subject: ComponentUnderTest) -> None:
    """One seed gives one result, another seed a different one; inputs and global random states do not change."""
    enumerated = EnumeratedProcess.of(subject)
    process, x0 = enumerated.process, enumerated.data.repeat(50, *[1] * (enumerated.data.ndim - 1))
    before = x0.clone()
    late, early = (part * process.horizon for part in (0.62, 0.37))
    p, _ = enumerated.posteriors(late)
    x_t = process.sample(x0, late, 1)
    mean = torch.tensordot(p, enumerated.data, 1)[enumerated.index(x_t)]
    calls = {
        "sample": lambda seed: process.sample(x0, late, seed),
        "path": lambda seed: process.path(x0, [early, late], seed),
        "prior": lambda seed: process.prior(tuple(x0.shape), mean=x0.mean(0), var=x0.var(0), generator=seed),
    }
    with global_randomness_untouched():
        for name, call in calls.items():
            ensure_equal(call(1), call(1), f"{name}, twice with one seed,")
            matters = not torch.equal(call(1), call(2)) or (name == "prior" and _sure(enumerated))
            ensure(matters, f"{name} is the same for seeds 1 and 2", "draws by the generator")
        process.bridge(x_t, mean, process.at(late), process.at(early)).sample(Generator(1))
    ensure_equal(x0, before, "the input, after the calls,")


def _sure(enumerated: EnumeratedProcess) -> bool:
    """Whether x_T is certain, as with masks, so that every seed gives the same result."""
    return bool((enumerated.from_data(enumerated.process.horizon).mean(0) > 1 - 1e-9).any())


@check("process", provides=DISCRETE)
def gives_numpy_for_numpy(subject: ComponentUnderTest) -> None:
    """`sample` and `path` take NumPy arrays and return NumPy arrays of the same dtype, with the numbers of tensors."""
    enumerated = EnumeratedProcess.of(subject)
    process, times = enumerated.process, [0.3 * enumerated.process.horizon, 0.6 * enumerated.process.horizon]
    for dtype in (np.float32, np.float64):
        array = enumerated.data.numpy().astype(dtype)
        calls: Sequence[Any] = (lambda x: process.sample(x, times[0], 1), lambda x: process.path(x, times, 1))
        for call in calls:
            answer = call(array)
            ensure(isinstance(answer, np.ndarray), f"a {type(answer).__name__} for an array", "an array")
            ensure_equal(answer.dtype, np.dtype(dtype), "the dtype of what an array gives")
            ensure_equal(
                answer, call(torch.from_numpy(array)), "what an array gives, against what a tensor gives,"
            )
