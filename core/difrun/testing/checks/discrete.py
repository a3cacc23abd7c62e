"""Rules for processes of finitely many states, on a small system: kernels, bridge, limiting distribution, rates."""

from itertools import combinations

import torch

from difrun.testing.enumerated import EnumeratedProcess, close
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import NotTried, ensure, ensure_equal

DISCRETE = {"discrete"}


@check("process", provides=DISCRETE)
def names_a_small_system(subject: ComponentUnderTest) -> None:
    """`enumeration` gives float64 examples and float64 values of x_t. Rows are unique; x_t can be any example."""
    enumerated = EnumeratedProcess.of(subject)
    for rows in (enumerated.data, enumerated.states):
        ensure_equal(rows.dtype, torch.float64, "the dtype of a small system")
        ensure(2 <= len(rows) <= 300, f"{len(rows)} rows", "2 to 300")
        unique = len(rows.flatten(1).unique(dim=0))
        ensure(unique == len(rows), f"{len(rows)} rows, {unique} of them different", "each value once")
    enumerated.index(enumerated.data)
    for t in enumerated.times:
        enumerated.index(enumerated.process.sample(enumerated.data, t, 1))


@check("process", provides=DISCRETE)
def kernels_are_distributions(subject: ComponentUnderTest) -> None:
    """q(x_t | x_s) ≥ 0 sums to 1 over all x_t, to 1e-9; it is the identity for s = t; x_0 is the data."""
    enumerated = EnumeratedProcess.of(subject)
    for s, t in combinations(enumerated.times, 2):
        kernel = enumerated.kernel(s, t)
        ensure(kernel.min() >= 0, f"q(x_t | x_s) = {kernel.min():.3g}", "at least 0")
        close(
            kernel.sum(1), torch.ones(len(kernel)).double(), f"sum over x_t from s = {s:g} to t = {t:g}", 1e-9
        )
    for t in enumerated.times:
        close(
            enumerated.kernel(t, t),
            torch.eye(len(enumerated.states)).double(),
            f"from t = {t:g} to itself",
            1e-9,
        )
    ensure_equal(enumerated.process.sample(enumerated.data, 0.0, 1), enumerated.data, "x_t at t = 0")


@check("process", provides=DISCRETE)
def kernels_compose(subject: ComponentUnderTest) -> None:
    """Σ_u q(x_u | x_s) q(x_t | x_u) = q(x_t | x_s), to 1e-9 (Chapman and Kolmogorov)."""
    enumerated = EnumeratedProcess.of(subject)
    for s, u, t in combinations(enumerated.times, 3):
        through = enumerated.kernel(s, u) @ enumerated.kernel(u, t)
        close(through, enumerated.kernel(s, t), f"from s = {s:g} through {u:g} to t = {t:g}", 1e-9)


@check("process", provides=DISCRETE)
def bridges_are_bayes(subject: ComponentUnderTest) -> None:
    """q(x_s | x_t, x_0) = q(x_s | x_0) q(x_t | x_s)/q(x_t | x_0), by brute force over all three, to 1e-8."""
    enumerated = EnumeratedProcess.of(subject)
    m, n = len(enumerated.states), len(enumerated.data)
    ones = [1] * (enumerated.states.ndim - 1)
    for s, t in enumerated.pairs():
        first, second, whole = enumerated.from_data(s), enumerated.kernel(s, t), enumerated.from_data(t)
        truth = first[:, None, :] * second.T[None] / whole.clamp_min(1e-300)[..., None]  # x_0, x_t, x_s
        x0 = enumerated.data.repeat_interleave(m * m, 0)
        x_t = enumerated.states.repeat_interleave(m, 0).repeat(n, *ones)
        distribution = enumerated.process.bridge(x_t, x0, enumerated.process.at(t), enumerated.process.at(s))
        computed = distribution.log_prob(enumerated.states.repeat(n * m, *ones)).exp().reshape(n, m, m)
        possible = whole > 1e-9
        close(computed[possible], truth[possible], f"bridge from t = {t:g} to s = {s:g}")


@check("process", provides=DISCRETE)
def bridges_average_over_the_data(subject: ComponentUnderTest) -> None:
    """With E[x_0 | x_t] in place of x_0, the bridge has the mean E[x_s | x_t] of the mixture over x_0, to 1e-8.

    That is one ancestral step of an exact model. Bayes' rule from q(x_s | E[x_0 | x_t]) gives something else.
    """
    enumerated = EnumeratedProcess.of(subject)
    for s, t in enumerated.pairs():
        p, possible = enumerated.posteriors(t)
        ways = enumerated.from_data(s)[None] * enumerated.kernel(s, t).T[:, None]  # x_t, x_0, x_s
        ways = ways / enumerated.from_data(t).T.clamp_min(1e-300)[..., None]
        truth = torch.tensordot((p[..., None] * ways).sum(1), enumerated.states, 1)
        mean = torch.tensordot(p, enumerated.data, 1)
        at, to = enumerated.process.at(t), enumerated.process.at(s)
        computed = enumerated.process.bridge(enumerated.states[possible], mean[possible], at, to).mean
        close(computed, truth[possible], f"mean of the bridge from t = {t:g} to s = {s:g}")


@check("process", provides=DISCRETE)
def one_distribution_is_stationary(subject: ComponentUnderTest) -> None:
    """The kernel between any two times leaves the limit of repeated noising unchanged, to 1e-9."""
    enumerated = EnumeratedProcess.of(subject)
    whole = enumerated.kernel(0.0, enumerated.process.horizon)
    for _ in range(60):
        whole = whole @ whole
        whole = whole / whole.sum(1, keepdim=True)
    for s, t in combinations(enumerated.times, 2):
        moved = whole @ enumerated.kernel(s, t)
        close(moved, whole, f"the limiting distribution from s = {s:g} to t = {t:g}", 1e-9)


@check("process", provides=DISCRETE)
def rates_are_the_derivative_of_the_kernel(subject: ComponentUnderTest) -> None:
    """The rate of x → y is lim q(x_{t+h} = y | x_{t−h} = x)/2h, by two h, to 1e-5 of the largest one."""
    if "chain" in subject.entry.component.provides:
        raise NotTried("a chain of steps has no rates")
    enumerated = EnumeratedProcess.of(subject)
    m = len(enumerated.states)
    away = ~torch.eye(m, dtype=torch.bool)
    for t in enumerated.times[1:-1]:
        h = 1e-4 * enumerated.process.horizon
        slow, fast = (enumerated.kernel(t - width, t + width) / (2 * width) for width in (h / 2, h))
        truth = 2 * slow - fast  # errors of the order h cancel
        starts, ends = (
            enumerated.states.repeat_interleave(m, 0),
            enumerated.states.repeat(m, *[1] * (enumerated.states.ndim - 1)),
        )
        computed = enumerated.process.jump_rate(starts, ends, enumerated.process.at(t)).reshape(m, m)
        close(computed[away], truth[away], f"rates at t = {t:g}", 1e-5 * float(truth[away].abs().max()))
