"""Langevin's stationary distribution, and predictor and corrector: exact variances, any sampler as predictor."""

import math

import pytest
import torch

from difrun.errors import DifrunError
from difrun.grid import logsnr
from difrun.model import Counted, ExactMixture
from difrun.randomness import Generator
from difrun.sampler import Ancestral, Euler, Heun, Sampler, generate, integrate
from difrun.testing import affine_moments, observed_order, probability_flow_endpoint, two_gaussians
from difrun.testing.references import NoNoise
from difrun_ou.euler_maruyama import EulerMaruyama
from difrun_ou.predictor_corrector import Langevin, PredictorCorrector
from difrun_ou.process import OrnsteinUhlenbeck

from .support import GAUSSIAN, PROCESSES, STEPS, sample_moments, start, truth


@pytest.mark.parametrize("snr", [0.05, 0.16, 0.5])
def test_langevin_keeps_the_distribution(snr):
    """Stationary variance V/(1 − ε/(2V)) with ε = 2(rσ)², the closed form of the discretised equation; mean kept.

    Iterated until it has converged, from the distribution itself, on a Gaussian whose p_t has variance V = α² v + σ².
    """
    process = PROCESSES["ou"].centred()
    model = ExactMixture(GAUSSIAN, process)
    at = process.at(0.8)
    v = at.alpha**2 * 0.3 + at.var
    size = 2 * snr**2 * at.var
    steps = math.ceil(12 * v / size)
    corrector = Langevin(snr)

    def run(generator, n):
        x = at.alpha * GAUSSIAN.mean + v**0.5 * generator.normal(torch.empty(n, 2, dtype=torch.float64))
        for _ in range(steps):
            x, _ = corrector.step(model, x, at, at, None, generator)
        return x

    mean, var = affine_moments(run, steps + 1)
    torch.testing.assert_close(mean, at.alpha * GAUSSIAN.mean, rtol=1e-12, atol=1e-12)
    stationary = torch.full((2,), v / (1 - size / (2 * v)), dtype=torch.float64)
    torch.testing.assert_close(var, stationary, rtol=1e-9, atol=0)


def test_langevin_mixes_towards_a_mixture():
    """From N(0, I) to two Gaussians at t = 0.5: mean and variance within 5 standard errors of 4000 samples and 3 %."""
    process = OrnsteinUhlenbeck()
    model, at, n = ExactMixture(two_gaussians(), process), process.at(0.5), 4000
    generator, corrector = Generator(1), Langevin(0.25)
    x = generator.normal(torch.empty(n, 2, dtype=torch.float64))
    for _ in range(400):
        x, _ = corrector.step(model, x, at, at, None, generator)
    true = two_gaussians().diffused(at.alpha, at.sigma)
    std = true.var.sqrt()
    assert ((x.mean(0) - true.mean).abs() < 5 * std / n**0.5 + 0.03 * std).all()
    fourth = (x - x.mean(0)).pow(4).mean(0)
    assert ((x.var(0) - true.var).abs() < 5 * ((fourth - true.var**2) / n).sqrt() + 0.03 * true.var).all()


@pytest.mark.parametrize("name", list(PROCESSES))
def test_the_corrector_repairs_the_variance(name):
    """Ancestral steps are under-dispersed; corrections bring the exact variance of their samples nearer the truth."""
    process = PROCESSES[name]
    _, var = truth(process)
    errors = []
    for corrections, options in (
        (0, {"corrector": "none"}),
        (1, {}),
        (4, {"corrections": 4}),
        (4, {"corrections": 4, "snr": 0.5}),
    ):
        sampler = PredictorCorrector(predictor=Ancestral(), **options)
        _, got = sample_moments(sampler, process, 20, 1 + 20 * (1 + corrections))
        errors.append(1 - float(got[0]) / var)
    assert all(error > 0 for error in errors), errors
    assert errors == sorted(errors, reverse=True), errors
    assert errors[-1] < 0.7 * errors[0], errors


def test_without_corrections_it_is_its_predictor():
    """Then it has the order of the predictor, and draws what that draws; with Langevin's it has none."""
    model = ExactMixture(two_gaussians(), PROCESSES["ou"])
    plain = PredictorCorrector(predictor=Heun(), corrector="none")
    assert (plain.order, plain.stochastic) == (2, False)
    times = logsnr(model.process, 5)
    got = integrate(plain, model, start(model), times, generator=NoNoise())
    assert torch.equal(got, integrate(Heun(), model, start(model), times))
    corrected = PredictorCorrector(predictor=Heun(), corrections=1)
    assert (corrected.order, corrected.stochastic) == (None, True)
    for options, message in (
        ({"corrector": "none", "snr": 0.5}, "only a Langevin correction has an snr"),
        ({"corrector": "restart", "snr": 0.5}, "only a Langevin correction has an snr"),
        ({"corrector": "none", "corrections": 2}, "without a corrector there are no corrections"),
        ({"corrector": "langevine"}, "corrector.*langevin.*restart.*none"),
        ({"corrections": 0}, "corrections.*>= 1"),
    ):
        with pytest.raises(ValueError, match=message):
            PredictorCorrector(**options)


def test_the_bias_of_the_corrections_is_as_documented():
    """The excess of variance with Heun's method falls far more slowly than its own error would, and is at most r²."""
    _, var = truth(PROCESSES["ou"])
    excess = []
    for steps in (40, 160):
        sampler = PredictorCorrector(predictor=Heun(), corrections=1)
        _, got = sample_moments(sampler, PROCESSES["ou"], steps, 1 + steps)
        excess.append(float(got[0]) / var - 1)
    assert excess == pytest.approx([0.022, 0.015], abs=5e-4)
    assert max(excess) < 0.16**2


def test_corrections_act_at_the_time_reached():
    """One step is the predictor's, then Langevin steps at s: the composition, to rounding."""
    process = PROCESSES["vp-linear"]
    model = ExactMixture(two_gaussians(), process)
    x = start(model)
    at, to = process.instants([0.6, 0.4])
    one, two = Generator(3), Generator(3)
    got, _ = PredictorCorrector(predictor=Heun(), corrections=2, snr=0.3).step(model, x, at, to, None, one)
    expected, _ = Heun().step(model, x, at, to, None, two)
    for _ in range(2):
        score = model.predict(expected, to, "score")
        size = 2 * (0.3 * to.sigma) ** 2
        expected = expected + size * score + math.sqrt(2 * size) * two.normal(expected)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_any_sampler_is_a_predictor():
    exact = ExactMixture(two_gaussians(), PROCESSES["ve"])
    for predictor, evaluations in (("ancestral", 1), (Euler(), 1), (Heun(), 2), (EulerMaruyama(a=0.5), 1)):
        model = Counted(exact)
        sampler = PredictorCorrector(predictor=predictor, corrections=3)
        assert sampler.stochastic
        x = integrate(sampler, model, start(model, 4), logsnr(model.process, 5), generator=1)
        assert x.isfinite().all()
        assert (
            model.evaluations == 5 * (evaluations + 3) == 5 * sampler.evaluations == sampler.evaluations_in(5)
        )
    with pytest.raises(DifrunError, match=r"No sampler is called 'ancestrel'. Did you mean 'ancestral'"):
        PredictorCorrector(predictor="ancestrel")
    with pytest.raises(DifrunError, match=r"cannot be 'pc', which is pc itself. Predictors: adams, .*, rk4"):
        PredictorCorrector(predictor="pc")


def test_a_predictor_for_other_processes_is_refused(monkeypatch):
    """A sampler of spins is no predictor here; the message names those that are, and not itself."""
    from difrun.api import Component
    from difrun.plugin import Plugin, Registered, get_registry

    plugin = Plugin("spins", "difrun-spins", "1.0", "spins")
    flips = [
        Registered("sampler", Component("flips", "spins:Flips", "Flips", requires={"discrete"}), plugin),
        Registered("process", Component("coins", "spins:Coins", "Coins", provides={"discrete"}), plugin),
    ]
    registry = get_registry()
    monkeypatch.setattr(registry, "_entries", [*registry._entries, *flips])
    with pytest.raises(DifrunError, match="'flips', which runs on none of the processes") as refused:
        PredictorCorrector(predictor="flips")
    assert "flips" not in str(refused.value).split("Predictors:")[1]


@pytest.mark.parametrize("predictor", [Euler(), Heun(), Ancestral()], ids=["euler", "heun", "ancestral"])
def test_restart_keeps_the_order_of_its_predictor(predictor):
    """Mean and variance of samples of one Gaussian, exactly: off by steps^−order at most, to 0.25."""
    sampler = PredictorCorrector(predictor=predictor, corrector="restart")
    assert (sampler.order, sampler.stochastic) == (predictor.order, True)
    draws = 2 if predictor.stochastic else 0
    # The error of Heun's method, below 1e-4 from the start, changes its sign on coarser grids.
    counts = STEPS if predictor.order == 1 else (160, 320)
    for name in ("ou", "vp-linear", "ve", "straight"):
        mean, var = truth(PROCESSES[name])
        errors = []
        for steps in counts:
            got_mean, got_var = sample_moments(sampler, PROCESSES[name], steps, 1 + steps * (1 + draws))
            errors.append(float(torch.cat([(got_mean - mean) / var**0.5, got_var / var - 1]).norm()))
        assert observed_order(counts, errors) > predictor.order - 0.25, (name, errors)


def test_restart_is_the_forward_process_and_the_step_again():
    """Affine in its noise: mean and variance after one step and one restart are those of the composition."""
    process = PROCESSES["vp-linear"]
    model = ExactMixture(GAUSSIAN, process)
    x, times = torch.tensor([[0.3, -1.2]], dtype=torch.float64), [0.6, 0.4]
    at, to = process.instants(times)
    sampler = PredictorCorrector(predictor=Euler(), corrector="restart")

    def run(generator, n):
        return integrate(sampler, model, x.expand(n, 2), times, generator=generator)

    def euler(x):
        return to.alpha * model.predict(x, at, "x0") + to.sigma * model.predict(x, at, "noise")

    ratio = at.alpha / to.alpha
    mean, var = affine_moments(run, 1)
    torch.testing.assert_close(mean, euler(ratio * euler(x))[0], rtol=1e-11, atol=1e-11)
    gain = (euler(x + 1) - euler(x))[0]
    torch.testing.assert_close(var, gain**2 * (at.var - ratio**2 * to.var), rtol=1e-9, atol=0)


@pytest.mark.parametrize("predictor", ["adams", "exponential", "adaptive"])
def test_predictors_that_look_back_go_on_from_where_x_was_moved(predictor):
    """A corrector that shifts x by 0.05 on the way shifts the end as the flow carries it, to 0.01; it is not undone."""
    model = ExactMixture(two_gaussians(), PROCESSES["ou"])
    times = logsnr(model.process, 40)

    class Shift(Sampler):
        order, evaluations, stochastic = 1, 0, False

        def step(self, model, x, at, to, state, generator):
            return (x + 0.05 if to.t == times[30] else x), state

    sampler = PredictorCorrector(predictor=predictor, corrector=Shift())
    moved, seen = start(model, 8), []
    end = integrate(sampler, model, moved, times, watch=lambda k, at, x: seen.append(x))
    unmoved = integrate(sampler.predictor, model, start(model, 8), times)
    assert (end - unmoved).abs().min() > 0.03
    expected = probability_flow_endpoint(model, seen[29], times=(times[30], times[-1]))
    torch.testing.assert_close(end, expected, rtol=0, atol=0.01)


def test_corrections_are_no_increments():
    """The noise of `pc` is refused as Brownian where there are corrections, and is that of its predictor without."""
    model = ExactMixture(two_gaussians(), PROCESSES["ou"])
    times = logsnr(model.process, 5)
    with pytest.raises(DifrunError, match="draws noise more than once in a step"):
        generate(PredictorCorrector(), model, 5, times, noise="brownian")
    one, two = (
        generate(sampler, model, 5, times, noise="brownian")
        for sampler in (PredictorCorrector(corrector="none"), Ancestral())
    )
    assert torch.equal(one, two)
