"""Rules for Gaussian processes: their schedule, and the moments that follow from it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from difrun.process.gaussian import GaussianProcess
from difrun.testing.references import UnitNoise
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import ensure, ensure_close, ensure_equal, shown

GAUSSIAN = {"gaussian"}


def spread_times(process: GaussianProcess, count: int) -> list[float]:
    """Times from t_min to T at equally spaced λ, both ends exactly."""
    low, high = process.lam_range
    times = process.time_at(torch.linspace(high, low, count, dtype=torch.float64)).tolist()
    return [process.t_min, *times[1:-1], process.horizon]


@check("process", provides=GAUSSIAN)
def marginals_start_at_the_data(subject: ComponentUnderTest) -> None:
    """At t = 0 a sample is the data, and so is where a bridge leads."""
    process = subject.make()
    x0 = torch.tensor([[-1.5, 0.3], [0.0, 2.0]], dtype=torch.float64)
    ensure_close(process.sample(x0, 0.0, 1), x0, "x_t at t = 0", atol=1e-14)
    ensure_close(process.path(x0, [0.0], 1)[0], x0, "the path at t = 0", atol=1e-14)
    at, start = process.centred().instants([0.5 * process.horizon, 0.0])
    mean = process.centred().bridge(x0 + 1, x0, at, start).mean
    ensure_close(mean, x0, "the mean of the bridge to t = 0", rtol=1e-12, atol=1e-12)


@check("process", provides=GAUSSIAN)
def moments_obey_the_sde(subject: ComponentUnderTest) -> None:
    """The moments obey m' = f m and v' = 2 f v + g², g² ≥ 0, by central differences in float64 from t_min to T.

    The error bar is 1e-5 of the derivative, and what the differences themselves can be wrong by: a fiftieth of the
    change when their step is halved, and the rounding of their values over the step.
    """
    process = subject.make()
    for t in spread_times(process, 40):
        t = min(t, 0.999 * process.horizon)
        at = process.at(t)
        rate, rate_error = _slope(process.log_alpha, t, process.horizon)
        d_var, var_error = _slope(process.variance, t, process.horizon)
        here = f"at t = {t:.6g}"
        ensure_close(at.f, rate, f"f {here}", rtol=1e-5, atol=1e-9 + rate_error)
        ensure_close(
            at.d_alpha, rate * at.alpha, f"dα/dt {here}", rtol=1e-5, atol=1e-9 + rate_error * at.alpha
        )
        ensure_close(2 * at.sigma * at.d_sigma, d_var, f"dσ²/dt {here}", rtol=1e-5, atol=1e-12 + var_error)
        error = 1e-5 * (abs(d_var) + abs(2 * at.f * at.var)) + var_error + 2 * rate_error * at.var
        ensure_close(at.g2, d_var - 2 * rate * at.var, f"g² {here}", atol=error)
        ensure(at.g2 >= 0, f"g² = {at.g2:.6g} {here}", "at least 0")


def _slope(function: Callable[[Tensor], Tensor], t: float, horizon: float) -> tuple[float, float]:
    """The derivative of a function of time by central differences over h and h/2, and how far off that may be.

    Their combination has an error of order h⁴. Rounding counts as that of numbers of order 1 at least: 1 − x and its
    logarithm are rounded so.
    """
    h = 3e-3 * min(t, horizon - t)  # inside [0, T], and small beside a pole at T
    ends = torch.tensor([t - h, t - h / 2, t + h / 2, t + h], dtype=torch.float64)
    values = function(ends)
    wide, narrow = ((values[3] - values[0]) / (2 * h)).item(), ((values[2] - values[1]) / h).item()
    rounding = 8 * 2.0**-52 * max(1.0, float(values.abs().max())) / h
    return (4 * narrow - wide) / 3, 0.02 * abs(wide - narrow) + rounding


@check("process", provides=GAUSSIAN)
def fields_of_an_instant_agree(subject: ComponentUnderTest) -> None:
    """α = e^(log α), var = σ² and λ = log(α/σ); numbers, batches and inference mode give the same fields."""
    process = subject.make()
    times = spread_times(process, 9)[:-1]
    batch = process.at(torch.tensor(times, dtype=torch.float64), 3)
    for k, (t, at) in enumerate(zip(times, process.instants(times), strict=True)):
        ensure_close(at.sigma**2, at.var, f"σ² at t = {t:.6g}, of the field var,", rtol=1e-12)
        ensure_close(at.lam, math.log(at.alpha / at.sigma), f"λ at t = {t:.6g}", atol=1e-9)
        with torch.inference_mode():
            alone = process.at(t)
        for name in ("alpha", "sigma", "var", "lam", "f", "g2", "d_alpha", "d_sigma"):
            number = getattr(at, name)
            ensure(isinstance(number, float), f"{name} of one time is a {type(number).__name__}", "a float")
            what = f"{name} at t = {t:.6g}"
            ensure_close(getattr(alone, name), number, f"{what} in inference mode", rtol=1e-9, atol=1e-12)
            field = getattr(batch, name)
            ensure_equal(tuple(field.shape), (len(times), 1, 1), f"the shape of {name} for a batch of times")
            ensure_close(field[k].item(), number, f"{what} in a batch of times", rtol=1e-9, atol=1e-12)


@check("process", provides=GAUSSIAN)
def log_snr_strictly_decreases(subject: ComponentUnderTest) -> None:
    """λ = log(α/σ) falls with time, from well before t_min to T."""
    process = subject.make()
    start, end = math.log(1e-3 * process.t_min), math.log(process.horizon)
    times = torch.linspace(start, end, 2000, dtype=torch.float64).exp().clamp_max(process.horizon)
    rises = (process.log_snr(times).diff() >= 0).nonzero()
    where = f"λ does not fall after t = {times[int(rises[0])]:.6g}" if len(rises) else ""
    ensure(not len(rises), where, "a λ that strictly decreases")


@check("process", provides=GAUSSIAN)
def time_at_inverts_the_log_snr(subject: ComponentUnderTest) -> None:
    """λ(time_at(λ)) = λ to 1e-9, time_near agrees with it to 1e-5, and σ/α is noise_floor at t_min."""
    process = subject.make()
    ensure(
        0 < process.t_min < process.horizon,
        f"t_min = {process.t_min:.6g}",
        f"between 0 and T = {process.horizon:g}",
    )
    end = process.at(process.t_min)
    ensure_close(end.sigma / end.alpha, process.noise_floor, "σ/α at t_min", rtol=1e-9)
    low, high = process.lam_range
    lam = torch.linspace(low, high, 501, dtype=torch.float64)
    times = process.time_at(lam)
    ensure_close(process.log_snr(times)[1:], lam[1:], "λ(time_at(λ))", atol=1e-9)
    ensure_close(process.time_near(lam), times, "time_near(λ)", rtol=1e-5)
    ensure_close(process.time_at(0.5 * (low + high)), times[250].item(), "time_at of one number", rtol=1e-12)


@check("process", provides=GAUSSIAN)
def time_at_answers_in_kind(subject: ComponentUnderTest) -> None:
    """Times have the dtype of λ, and its precision: float32 λ gives the times of float64 λ, to 1e-6."""
    process = subject.make()
    low, high = process.lam_range
    lam = torch.linspace(low, high, 101)
    exact = process.time_at(lam.double())
    kind = type(process.time_at(0.5)).__name__
    ensure(kind == "float", f"time_at of a number gives a {kind}", "a float")
    for method, allowed in ((process.time_at, 1e-6), (process.time_near, 2e-5)):
        times = method(lam)
        ensure(
            times.dtype == torch.float32,
            f"{method.__name__} of a float32 tensor gives {times.dtype}",
            "float32; override _time_at, not time_at",
        )
        ensure_close(times.double(), exact, f"{method.__name__} of float32 λ", rtol=allowed)


def probe(process: GaussianProcess, t: float, s: float) -> tuple[float, float, float]:
    """(a, b, v) of the bridge q(x_s | x_t, x_0) = N(a x_t + b x_0, v), in coordinates centred on μ."""
    at, to = process.instants([t, s])
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    a = process.bridge(one, zero, at, to).mean.item()
    b = process.bridge(zero, one, at, to).mean.item()
    two = torch.zeros(2, 1, dtype=torch.float64)
    drawn = process.bridge(two, two, at, to).sample(UnitNoise(1))
    return a, b, (drawn[0] - drawn[1]).item() ** 2


@check("process", provides=GAUSSIAN)
def bridges_belong_to_the_marginals(subject: ComponentUnderTest) -> None:
    """q(x_s | x_t, x_0) q(x_t | x_0) has the moments of q(x_s | x_0), and Cov(x_s, x_t | x_0) = (α_t/α_s) σ_s²."""
    process = subject.make().centred()
    times = spread_times(process, 6)
    for i, t in enumerate(times):
        for s in times[:i]:
            at, to = process.instants([t, s])
            a, b, v = probe(process, t, s)
            of = f"of the bridge a x_t + b x_0, v from t = {t:.4g} to s = {s:.4g}"
            ensure_close(a * at.alpha + b, to.alpha, f"a α_t + b {of}", rtol=1e-9)
            ensure_close(a**2 * at.var + v, to.var, f"a² σ_t² + v {of}", rtol=1e-9)
            ensure_close(a * at.var, at.alpha / to.alpha * to.var, f"a σ_t² {of}", rtol=1e-9)


@check("process", provides=GAUSSIAN)
def bridges_compose(subject: ComponentUnderTest) -> None:
    """The bridge from t to u, then from u to s, is the bridge from t to s: the process is Markov."""
    process = subject.make().centred()
    times = spread_times(process, 7)
    for s, u, t in (times[:3], times[::3], times[-3:], (times[0], times[1], times[-1])):
        (a, b, v), (a1, b1, v1), (a2, b2, v2) = (probe(process, *pair) for pair in ((t, s), (t, u), (u, s)))
        through = f"of the bridges from t = {t:.4g} through {u:.4g} to s = {s:.4g}"
        ensure_close(a2 * a1, a, f"the factor of x_t {through}", rtol=1e-9)
        ensure_close(b2 + a2 * b1, b, f"the factor of x_0 {through}", rtol=1e-9)
        ensure_close(v2 + a2**2 * v1, v, f"the variance {through}", rtol=1e-9)


@check("process", provides=GAUSSIAN)
def euler_maruyama_converges_to_the_path(subject: ComponentUnderTest) -> None:
    """The moments of simulated paths approach α and σ² as the step shrinks; doubling the steps halves the error."""
    process = subject.make().centred()
    end = 0.9 * process.horizon  # a process that forgets its data has a singular drift at T
    at = process.at(end)
    errors = []
    for steps in (64, 128, 256):
        rows = torch.ones(steps + 1, 1, dtype=torch.float64)
        from_one = process.euler_maruyama(rows, [end], UnitNoise(steps), substeps=steps)[0]
        mean = from_one[-1].item()
        var = (from_one[:-1] - mean).square().sum().item()
        errors.append((abs(mean - at.alpha), abs(var - at.var) / at.var))
    for name, series in zip(("mean", "variance"), zip(*errors, strict=True), strict=True):
        coarse, middle, fine = series
        falls = (fine < 1e-9 or fine < 0.65 * middle) and (middle < 1e-9 or middle < 0.7 * coarse)
        ensure(
            fine < 0.1 and falls,
            f"the {name} of simulated paths is off by {shown(series)} in 64, 128 and 256 steps",
            "an error that halves, to less than 0.1",
        )
