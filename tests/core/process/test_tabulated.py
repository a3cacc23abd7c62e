"""Schedules from tables, against NumPy and against processes in closed form."""

import math

import numpy as np
import pytest
import torch

from difrun.errors import DifrunError
from difrun.grid import logsnr
from difrun.model import ExactMixture
from difrun.process.functions import FunctionProcess
from difrun.process.noise_curve import NoiseCurve
from difrun.process.spline import MonotoneSpline
from difrun.process.tabulated import TabulatedProcess
from difrun.sampler import Adams, Heun, generate
from difrun.testing import ReferenceVP
from difrun.testing.checks import process as rules
from difrun.testing.references import two_gaussians

BETAS = np.linspace(1e-4, 0.02, 1000)
BAR = np.cumprod(1 - BETAS)
SIGMAS = np.geomspace(0.01, 50, 40)
NUMBERS = np.arange(1, 41)
TO_NOISE = [*BAR[::50].tolist(), 0.0]


def free():
    """A table that obeys none of the named laws: α = e^−n/30, σ = n/20."""
    return TabulatedProcess(np.exp(-NUMBERS / 30), NUMBERS / 20)


UNEVEN = 4 * (NUMBERS / 40) ** 1.5
"""Times of 40 entries, closer together near the data."""


def timed():
    """A table of α = e^−t, σ² = 1 − e^−2t with the times of its entries."""
    return TabulatedProcess(np.exp(-UNEVEN), np.sqrt(-np.expm1(-2 * UNEVEN)), times=UNEVEN)


TABLES = {
    "betas": lambda: TabulatedProcess.from_betas(BETAS),
    "alphas_cumprod": lambda: TabulatedProcess.from_alphas_cumprod(BAR[::20]),
    "to noise": lambda: TabulatedProcess.from_alphas_cumprod(TO_NOISE),
    "sigmas": lambda: TabulatedProcess.from_sigmas(SIGMAS),
    "falling": lambda: TabulatedProcess.from_sigmas([*SIGMAS[::-1], 0.0]),
    "straight": lambda: TabulatedProcess.from_sigmas(np.linspace(0, 1, 33), scale="straight"),
    "free": free,
    "timed": timed,
}


class Subject:
    """What a rule of the conformance kit asks for: something that makes the process."""

    def __init__(self, process):
        self.process = process

    def make(self):
        return self.process


RULES = [
    rules.marginals_start_at_the_data,
    rules.moments_obey_the_sde,
    rules.fields_of_an_instant_agree,
    rules.log_snr_strictly_decreases,
    rules.time_at_inverts_the_log_snr,
    rules.time_at_answers_in_kind,
    rules.bridges_belong_to_the_marginals,
    rules.bridges_compose,
    rules.euler_maruyama_converges_to_the_path,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", TABLES)
def test_the_kit_s_rules_for_processes_hold(name, rule):
    if name == "straight" and rule is rules.euler_maruyama_converges_to_the_path:
        return  # Euler's mean is exact where α is linear; what is left is the ripple of the spline, 1e-5
    rule(Subject(TABLES[name]()))


@pytest.mark.parametrize(
    ("name", "alphas", "sigmas"),
    [
        ("betas", np.sqrt(BAR), np.sqrt(1 - BAR)),
        ("alphas_cumprod", np.sqrt(BAR[::20]), np.sqrt(1 - BAR[::20])),
        ("to noise", np.sqrt(TO_NOISE), np.sqrt(1 - np.array(TO_NOISE))),
        ("sigmas", np.ones(40), SIGMAS),
        ("falling", np.ones(40), SIGMAS),
        ("straight", 1 - np.linspace(0, 1, 33)[1:], np.linspace(0, 1, 33)[1:]),
        ("free", np.exp(-NUMBERS / 30), NUMBERS / 20),
    ],
)
def test_the_entries_are_those_of_the_table(name, alphas, sigmas):
    """α and σ at t = 1 ... N are the given numbers to 1e-12, and at t = 0 x is the data."""
    process = TABLES[name]()
    assert process.horizon == len(alphas)
    instants = process.instants(range(len(alphas) + 1))
    np.testing.assert_allclose([at.alpha for at in instants], [1, *alphas], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose([at.sigma for at in instants], [0, *sigmas], rtol=1e-9, atol=1e-15)
    assert process.t_min == pytest.approx(1, rel=1e-9)
    low = TabulatedProcess.from_betas(BETAS, noise_floor=0.002)
    assert low.at(low.t_min).sigma / low.at(low.t_min).alpha == pytest.approx(0.002)


def test_between_entries_the_law_of_the_table_holds():
    """α² + σ² = 1, α = 1 or α + σ = 1 at every t; the free scale is near its smooth functions."""
    t = torch.linspace(0.01, 0.999, 997, dtype=torch.float64)
    for name in ("betas", "alphas_cumprod", "to noise"):
        process = TABLES[name]()
        at = process.at(t * process.horizon)
        torch.testing.assert_close(at.alpha**2 + at.var, torch.ones_like(t), rtol=0, atol=1e-14)
    assert TABLES["sigmas"]().at(t * 40).alpha.unique().tolist() == [1.0]
    straight = TABLES["straight"]()
    at = straight.at(t * 32)
    torch.testing.assert_close(at.alpha + at.sigma, torch.ones_like(t), rtol=0, atol=1e-14)
    torch.testing.assert_close(at.sigma[40:], t[40:], rtol=0, atol=2e-3)
    at = free().at(t * 40)
    n = t * 40
    torch.testing.assert_close(at.alpha[40:], (-n / 30).exp()[40:], rtol=2e-3, atol=0)
    torch.testing.assert_close(at.sigma[40:], (n / 20)[40:], rtol=5e-3, atol=0)


def test_a_fine_table_approaches_the_process_it_was_taken_from():
    """Halving the spacing of the entries of ᾱ = e^(−t²/2 − t/10) divides the error between them by 4 or more."""

    def fall(t):
        return t**2 / 2 + t / 10

    errors = []
    for n in (20, 40, 80):
        times = torch.linspace(0, 4, n + 1, dtype=torch.float64)[1:]
        process = TabulatedProcess.from_alphas_cumprod((-fall(times)).exp())
        middle = torch.arange(5, n, dtype=torch.float64) + 0.5
        exact = fall(middle * 4 / n)
        errors.append(float((-2 * process.log_alpha(middle) - exact).abs().max()))
    assert errors[1] < errors[0] / 4
    assert errors[2] < errors[1] / 4


def test_entries_have_their_own_times():
    """α and σ at the given times are the entries to 1e-12, an index is counted in entries, and T is the last time."""
    process = timed()
    instants = process.instants([0.0, *UNEVEN])
    np.testing.assert_allclose([at.alpha for at in instants], [1, *np.exp(-UNEVEN)], rtol=1e-12)
    np.testing.assert_allclose(
        [at.var for at in instants], [0, *-np.expm1(-2 * UNEVEN)], rtol=1e-11, atol=1e-15
    )
    assert process.horizon == UNEVEN[-1]
    assert process.t_min == pytest.approx(UNEVEN[0], rel=1e-9)
    assert [process.table_index(t) for t in UNEVEN] == pytest.approx(np.arange(40), abs=1e-12)
    # Between entries it is the process that the table was taken from, but for the error of interpolation.
    between = torch.linspace(0.3, 3.9, 57, dtype=torch.float64)
    torch.testing.assert_close(process.at(between).alpha, (-between).exp(), rtol=3e-4, atol=0)
    torch.testing.assert_close(process.at(between).f, -torch.ones_like(between), rtol=0.02, atol=0)
    even = TabulatedProcess(*(table[1:] for table in _even(41)), times=np.linspace(0, 4, 41)[1:])
    rows = TabulatedProcess(*_even(41), times=np.linspace(0, 4, 41))
    for t in (0.1, 1.23, 3.99):
        assert even.at(t).alpha == pytest.approx(math.exp(-t), rel=1e-4)
        assert rows.at(t).alpha == pytest.approx(even.at(t).alpha, rel=1e-14)
        assert even.at(float(np.float32(t))).f == pytest.approx(-1, abs=1e-2)


def _even(n):
    t = np.linspace(0, 4, n)
    return np.exp(-t), np.sqrt(-np.expm1(-2 * t))


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (UNEVEN[:-1], "times has 39 entries, and the table 40"),
        (UNEVEN - UNEVEN[0], "the first entry has noise and the time 0"),
        (UNEVEN[::-1], "times must strictly increase"),
    ],
)
def test_times_that_are_none_of_the_table_are_refused(times, message):
    with pytest.raises(DifrunError, match=message):
        TabulatedProcess(np.exp(-UNEVEN), np.sqrt(-np.expm1(-2 * UNEVEN)), times=times)
    with pytest.raises(DifrunError, match=r"whose time is 0; it has the time 0\.1"):
        TabulatedProcess(*_even(4), times=[0.1, 1, 2, 3])


def test_indices_count_in_the_order_of_the_table():
    process = TabulatedProcess.from_betas(BETAS)
    assert [process.table_index(t) for t in (1.0, 1.5, 1000.0)] == [0, 0.5, 999]
    falling = TABLES["falling"]()
    given = [*SIGMAS[::-1], 0.0]
    for index in (0, 7, 40):
        t = 40.0 - index
        assert falling.table_index(t) == index
        assert falling.at(t).sigma == pytest.approx(given[index], rel=1e-12)
    zero_first = TABLES["straight"]()
    assert zero_first.table_index(32.0) == 32
    with pytest.raises(DifrunError, match="not made from a table"):
        ReferenceVP().table_index(1.0)


def test_samples_of_a_tabulated_process_are_exact():
    """The flow from pure noise down a short table, and from the end of a long one, lead to the data."""
    mixture = two_gaussians()
    for name, sampler in (("to noise", Heun()), ("sigmas", Adams()), ("free", Adams())):
        process = TABLES[name]()
        model = ExactMixture(mixture, process)
        x = generate(sampler, model, 4000, logsnr(process, 30), seed=1, dtype=torch.float64)
        noisy = mixture.var + process.noise_floor**2
        # Six standard errors of 4000 samples.
        torch.testing.assert_close(x.mean(0), mixture.mean, rtol=0, atol=0.13, msg=name)
        torch.testing.assert_close(x.var(0), noisy, rtol=0.12, atol=0, msg=name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TabulatedProcess.from_betas([0.1, 1.2]), "entry 1 is 1.2"),
        (lambda: TabulatedProcess.from_betas([0.1, 0.0, 0.1]), "entry 1 is 0"),
        (lambda: TabulatedProcess.from_betas([[0.1, 0.2]]), r"shape \(1, 2\)"),
        (lambda: TabulatedProcess.from_betas([0.1, math.nan]), "entry 1 is nan"),
        (lambda: TabulatedProcess.from_betas([0.1]), "at least 2 entries with noise; this one has 1"),
        (lambda: TabulatedProcess.from_betas(["a"]), "real numbers"),
        (lambda: TabulatedProcess.from_alphas_cumprod(BAR[::-1]), "reverse it"),
        (lambda: TabulatedProcess.from_alphas_cumprod([0.9, 0.9, 0.1]), "entry 0 to entry 1.*float64"),
        (lambda: TabulatedProcess.from_alphas_cumprod([1.5, 0.9]), "between 0 and 1"),
        (lambda: TabulatedProcess.from_sigmas([0.1, 0.5, 0.3]), "strictly increase, or strictly decrease"),
        (lambda: TabulatedProcess.from_sigmas([0.1, 5], scale="straight"), "scale='exploding'"),
        (lambda: TabulatedProcess([1, 0.5], [0.1]), "2 entries and sigma 1"),
        (lambda: TabulatedProcess([0.9, -0.5], [0.1, 0.2]), "must not be negative"),
        (lambda: TabulatedProcess([0.9, 0.5], [0.1, 0.2], scale="preserving"), "α² . σ² = 1"),
        (lambda: TabulatedProcess([0.9, 0.5], [0.1, 0.2], scale="vp"), "no scale 'vp'"),
        (lambda: FunctionProcess(lambda t: math.exp(-t), lambda t: t, 1.0), "not math.exp"),
        (lambda: FunctionProcess(lambda t: t, lambda t: t, 1.0), "alpha.0. = 1 and sigma.0. = 0; they are 0"),
        (lambda: FunctionProcess(1.0, lambda t: 1 - t + t**3, 1.0), "they are 1 and 1"),
        (lambda: FunctionProcess(1.0, lambda t: t * (1 - t), 1.0), "must increase with t"),
        (lambda: FunctionProcess(1.0, lambda t: t.detach(), 1.0), "cannot be differentiated"),
        (lambda: FunctionProcess(1.0, lambda t: np.abs(t), 1.0), "cannot be differentiated"),
        (lambda: FunctionProcess("1", lambda t: t, 1.0), "alpha is a function of t, or a number"),
        (lambda: FunctionProcess(1.0, lambda t: t, -1.0), "horizon T is a time above 0"),
        (lambda: FunctionProcess(1.0, lambda t: 1 / (1 - t) - 1, 1.0), "finite number for every t"),
    ],
)
def test_what_is_no_schedule_is_refused_in_words(make, message):
    with pytest.raises(DifrunError, match=message):
        make()


def test_a_curve_that_ends_in_noise_is_smooth_at_its_last_knot():
    """The slope of u is continuous at node N − 1, and a falls to exactly 0 at N."""
    for root in (False, True):
        curve = NoiseCurve(torch.tensor([0.0, 0.1, 0.5, 1.5, torch.inf], dtype=torch.float64), root=root)
        t = torch.tensor([3 - 1e-7, 3.0, 3 + 1e-7, 4.0], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(curve.signal(t).sum(), t)
        assert slope[0] == pytest.approx(slope[2].item(), rel=1e-5)
        assert slope[1] == pytest.approx(slope[2].item(), rel=1e-5)
        assert curve.signal(t)[3] == 0
        assert slope[3].isfinite()
        torch.testing.assert_close(curve.noise(t) ** 2, curve.noise_var(t), rtol=1e-12, atol=0)
        torch.testing.assert_close(curve.signal(t) ** 2 + curve.noise_var(t), torch.ones_like(t))


def test_the_spline_is_constant_beyond_its_ends():
    spline = MonotoneSpline(torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64))
    assert spline(torch.tensor([-1.0, 2.5], dtype=torch.float64)).tolist() == [0, 3]
