"""Rules for Gaussian processes: their schedule, and the moments that follow from it."""

import math

import pytest
import torch

from difrun.process.gaussian import GaussianProcess
from difrun.testing.check import ComponentUnderTest, check
from difrun.testing.references import UnitNoise

GAUSSIAN = {"gaussian"}


def spread_times(process: GaussianProcess, count: int) -> list[float]:
    """Times from t_min to T at equally spaced λ, both ends exactly."""
    low, high = process.lam_range
    times = process.time_at(torch.linspace(high, low, count, dtype=torch.float64)).tolist()
    return [process.t_min, *times[1:-1], process.horizon]


@check("process", provides=GAUSSIAN)
def marginals_start_at_the_data(subject: ComponentUnderTest) -> None:
    """At t = 0 a sample is the data."""
    process = subject.make()
    x0 = torch.tensor([[-1.5, 0.3], [0.0, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(process.sample(x0, 0.0, 1), x0, rtol=0, atol=1e-14)
    torch.testing.assert_close(process.path(x0, [0.0], 1)[0], x0, rtol=0, atol=1e-14)


@check("process", provides=GAUSSIAN)
def moments_obey_the_sde(subject: ComponentUnderTest) -> None:
    """The moments obey m' = f m and v' = 2 f v + g², g² ≥ 0, by central differences in float64 from t_min to T."""
    process = subject.make()
    for t in spread_times(process, 40):
        t = min(t, 0.999 * process.horizon)
        h = 1e-4 * min(t, process.horizon - t)  # inside [0, T], and small beside a pole at T
        at, ends = process.at(t), torch.tensor([t - h, t + h], dtype=torch.float64)
        rate = (process.log_alpha(ends).diff() / (2 * h)).item()
        d_var = (process.variance(ends).diff() / (2 * h)).item()
        assert at.f == pytest.approx(rate, rel=1e-5, abs=1e-9), f"f at t = {t}"
        assert at.d_alpha == pytest.approx(rate * at.alpha, rel=1e-5, abs=1e-9), f"dα/dt at t = {t}"
        assert 2 * at.sigma * at.d_sigma == pytest.approx(d_var, rel=1e-5, abs=1e-12), f"dσ²/dt at t = {t}"
        size = abs(d_var) + abs(2 * at.f * at.var)
        assert at.g2 == pytest.approx(d_var - 2 * rate * at.var, abs=1e-5 * size), f"g² at t = {t}"
        assert at.g2 >= 0, f"g² < 0 at t = {t}"


@check("process", provides=GAUSSIAN)
def fields_of_an_instant_agree(subject: ComponentUnderTest) -> None:
    """α = e^(log α), var = σ² and λ = log(α/σ); numbers, batches and inference mode give the same fields."""
    process = subject.make()
    times = spread_times(process, 9)[:-1]
    batch = process.at(torch.tensor(times, dtype=torch.float64), 3)
    for k, (t, at) in enumerate(zip(times, process.instants(times), strict=True)):
        assert at.sigma**2 == pytest.approx(at.var, rel=1e-12)
        assert at.lam == pytest.approx(math.log(at.alpha / at.sigma), abs=1e-9)
        with torch.inference_mode():
            alone = process.at(t)
        for name in ("alpha", "sigma", "var", "lam", "f", "g2", "d_alpha", "d_sigma"):
            number = getattr(at, name)
            assert isinstance(number, float), name
            assert getattr(alone, name) == pytest.approx(number, rel=1e-9, abs=1e-12), (
                f"{name} in inference mode"
            )
            field = getattr(batch, name)
            assert field.shape == (len(times), 1, 1), name
            assert field[k].item() == pytest.approx(number, rel=1e-9, abs=1e-12), f"{name} of a batch"


@check("process", provides=GAUSSIAN)
def log_snr_strictly_decreases(subject: ComponentUnderTest) -> None:
    """λ = log(α/σ) falls with time, from well before t_min to T."""
    process = subject.make()
    start, end = math.log(1e-3 * process.t_min), math.log(process.horizon)
    times = torch.linspace(start, end, 2000, dtype=torch.float64).exp().clamp_max(process.horizon)
    assert (process.log_snr(times).diff() < 0).all()


@check("process", provides=GAUSSIAN)
def time_at_inverts_the_log_snr(subject: ComponentUnderTest) -> None:
    """λ(time_at(λ)) = λ to 1e-9, time_near agrees with it to 1e-5, and σ/α is noise_floor at t_min."""
    process = subject.make()
    assert 0 < process.t_min < process.horizon
    end = process.at(process.t_min)
    assert end.sigma / end.alpha == pytest.approx(process.noise_floor, rel=1e-9)
    low, high = process.lam_range
    lam = torch.linspace(low, high, 501, dtype=torch.float64)
    times = process.time_at(lam)
    torch.testing.assert_close(process.log_snr(times)[1:], lam[1:], rtol=0, atol=1e-9)
    torch.testing.assert_close(process.time_near(lam), times, rtol=1e-5, atol=0)
    assert process.time_at(0.5 * (low + high)) == pytest.approx(times[250].item(), rel=1e-12)


@check("process", provides=GAUSSIAN)
def time_at_answers_in_kind(subject: ComponentUnderTest) -> None:
    """Times have the dtype of λ, and its precision: float32 λ gives the times of float64 λ, to 1e-6."""
    process = subject.make()
    low, high = process.lam_range
    lam = torch.linspace(low, high, 101)
    exact = process.time_at(lam.double())
    assert isinstance(process.time_at(0.5), float), "time_at of a number gives a number"
    for method, allowed in ((process.time_at, 1e-6), (process.time_near, 2e-5)):
        times = method(lam)
        assert times.dtype == torch.float32, (
            f"{method.__name__} of a float32 tensor gives {times.dtype}: override _time_at, not time_at"
        )
        torch.testing.assert_close(times.double(), exact, rtol=allowed, atol=0)


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
            assert a * at.alpha + b == pytest.approx(to.alpha, rel=1e-9)
            assert a**2 * at.var + v == pytest.approx(to.var, rel=1e-9)
            assert a * at.var == pytest.approx(at.alpha / to.alpha * to.var, rel=1e-9)


@check("process", provides=GAUSSIAN)
def bridges_compose(subject: ComponentUnderTest) -> None:
    """The bridge from t to u, then from u to s, is the bridge from t to s: the process is Markov."""
    process = subject.make().centred()
    times = spread_times(process, 7)
    for s, u, t in (times[:3], times[::3], times[-3:], (times[0], times[1], times[-1])):
        (a, b, v), (a1, b1, v1), (a2, b2, v2) = (probe(process, *pair) for pair in ((t, s), (t, u), (u, s)))
        assert a2 * a1 == pytest.approx(a, rel=1e-9)
        assert b2 + a2 * b1 == pytest.approx(b, rel=1e-9)
        assert v2 + a2**2 * v1 == pytest.approx(v, rel=1e-9)


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
    for coarse, middle, fine in zip(*errors, strict=True):
        assert fine < 0.1, errors
        assert fine < 1e-9 or fine < 0.65 * middle, errors
        assert middle < 1e-9 or middle < 0.7 * coarse, errors
