"""Error control: the error follows the tolerance, for every sample by itself, and is counted honestly."""

import pytest
import torch

from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.grid import logsnr
from difrun.model import Counted, ExactMixture, ScoreModel
from difrun.sampler import Adaptive, adaptive, generate, integrate
from difrun.sampler.adaptive import PAIRS
from difrun.testing import (
    ReferenceFlow,
    ReferenceVE,
    ReferenceVP,
    observed_order,
    probability_flow_endpoint,
    two_gaussians,
)
from difrun.testing.references import NoNoise

PROCESSES = {"vp": ReferenceVP(), "ve": ReferenceVE(), "straight": ReferenceFlow()}
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def start(model, n=32):
    return model.process.prior((n, 2), mean=model.mean, var=model.var, generator=0, dtype=torch.float64)


def gaussian_endpoint(model, x):
    """The flow of N(m, diag v) is affine: x_s = α_s m + √((α_s² v + σ_s²)/(α_t² v + σ_t²)) (x_t − α_t m)."""
    at, to = model.process.at(model.process.horizon), model.process.at(model.process.t_min)
    ratio = ((to.alpha**2 * model.var + to.var) / (at.alpha**2 * model.var + at.var)).sqrt()
    return to.alpha * model.mean + ratio * (x - at.alpha * model.mean)


@pytest.mark.parametrize("name", list(PROCESSES))
@pytest.mark.parametrize("pair", list(PAIRS))
@pytest.mark.parametrize("distribution", ["gaussian", "mixture"])
def test_the_error_is_proportional_to_the_tolerance(distribution, pair, name):
    """Over four decades: at most 15 times the tolerance, and as its first power, ±0.25.

    Against the closed form of the affine flow of one Gaussian, and against a solution to 1e-12 for two of them.
    """
    one = GaussianMixture([1.0], [[1.0, -0.5]], [[[0.2, 0.0], [0.0, 0.9]]])
    model = ExactMixture(one if distribution == "gaussian" else two_gaussians(), PROCESSES[name])
    x = start(model)
    truth = (
        gaussian_endpoint(model, x)
        if distribution == "gaussian"
        else probability_flow_endpoint(model, x, rtol=1e-12)
    )
    errors = [
        (
            integrate(
                Adaptive(pair=pair, rtol=tolerance, atol=tolerance),
                model,
                x,
                logsnr(model.process, 1),
                generator=NoNoise(),
            )
            - truth
        )
        .square()
        .mean()
        .sqrt()
        .item()
        for tolerance in TOLERANCES
    ]
    assert all(error < 15 * tolerance for error, tolerance in zip(errors, TOLERANCES, strict=True)), errors
    assert -observed_order(TOLERANCES, errors) == pytest.approx(1, abs=0.25), errors


def tries(q, size, tolerance, span):
    """How many steps are tried where a step H has the error `size` H^q everywhere: each asks for H* at once.

    H* = 0.9 (tolerance/size)^{1/q}, but no step is below 0.2 or above 5 times the last; the first is 0.05.
    """
    ideal, length, left, count = 0.9 * (tolerance / size) ** (1 / q), 0.05, span, 0
    while True:
        step = min(length, left)
        count += 1
        if size * step**q <= tolerance:
            if step == left:
                return count
            left -= step
        length = min(max(ideal, 0.2 * step), 5 * step)


@pytest.mark.parametrize(
    ("pair", "q", "least"), [("bogacki-shampine", 3, 1e-9), ("dormand-prince", 5, 1e-13)]
)
def test_evaluations_grow_as_the_tolerance_to_the_minus_one_over_q(pair, q, least):
    """dy/dτ = τ^{q−1}: every step H has the error |Σ (b − b̂) c^{q−1}| H^q, so their number is known to the last one.

    The exponent −1/q of evaluations against tolerance, over three decades, to 2 %.
    """

    class Power(ScoreModel):
        process, shape = ReferenceFlow(), (1,)

        def predict(self, x, at, kind):
            assert kind == "straight"
            return torch.as_tensor((at.sigma / (at.alpha + at.sigma)) ** (q - 1)).to(x).expand_as(x)

    table = PAIRS[pair]
    weights = zip(table.b, table.embedded, table.nodes, strict=True)
    size = abs(float(sum((b - other) * c ** (q - 1) for b, other, c in weights)))
    tolerances, counts = [least * 10**k for k in range(4)], []
    times = logsnr(Power.process, 1)
    for tolerance in tolerances:
        model = Counted(Power())
        x = torch.zeros(1, 1, dtype=torch.float64)
        integrate(Adaptive(pair=pair, rtol=1e-30, atol=tolerance), model, x, times)
        end = model.process.at(times[-1])
        span = 1 - end.sigma / (end.alpha + end.sigma)
        assert model.evaluations == 1 + (len(table.b) - 1) * tries(q, size, tolerance, span), tolerance
        counts.append(model.evaluations)
    assert observed_order(tolerances, counts) == pytest.approx(1 / q, rel=0.02), counts


def test_a_sample_does_not_depend_on_those_beside_it():
    """Alone, it takes the steps that it takes among others: equal to rounding, far below the tolerance."""
    model = ExactMixture(two_gaussians(), ReferenceVP())
    x, times = start(model, 12), logsnr(model.process, 3)
    sampler = Adaptive(rtol=1e-3, atol=1e-3)
    together = integrate(sampler, model, x, times)
    alone = torch.cat([integrate(sampler, model, row[None], times) for row in x])
    torch.testing.assert_close(alone, together, rtol=1e-10, atol=1e-10)


def test_only_samples_that_need_more_steps_are_evaluated_again():
    """The evaluations of each sample are those that it costs alone; the batch is called as often as the costliest."""
    model = Counted(ExactMixture(two_gaussians(), ReferenceVE()))
    x, times, sampler = start(model, 12), logsnr(model.process, 1), Adaptive(pair="bogacki-shampine")
    integrate(sampler, model, x, times)
    together, calls = model.examples, model.evaluations
    single = []
    for row in x:
        model.reset()
        integrate(sampler, model, row[None], times)
        assert model.examples == model.evaluations
        single.append(model.examples)
    assert (sum(single), max(single)) == (together, calls)
    assert len(set(single)) > 1
    assert (sampler.evaluations, sampler.evaluations_in(7), sampler.order) == (None, None, None)


def test_the_last_slope_is_kept_unless_x_was_moved():
    """Between two steps of a grid nothing is evaluated again; after a corrector has moved x, its slope is."""
    model = Counted(ExactMixture(two_gaussians(), ReferenceVP()))
    first, middle, last = model.process.instants([4.0, 0.5, 0.1])
    sampler = Adaptive()
    x, state = sampler.step(model, start(model, 4), first, middle, None, NoNoise())
    torch.testing.assert_close(state.slope, model.predict(x, middle, "straight"), rtol=1e-12, atol=1e-12)
    model.reset()
    kept, _ = sampler.step(model, x, middle, last, state, NoNoise())
    went_on = model.evaluations
    model.reset()
    same, _ = sampler.step(model, x.clone(), middle, last, state, NoNoise())
    assert model.evaluations == went_on + 1
    torch.testing.assert_close(same, kept, rtol=1e-11, atol=1e-11)
    moved, _ = sampler.step(model, x + 0.3, middle, last, state, NoNoise())
    times = (middle.t, last.t)
    truth = probability_flow_endpoint(model.inner, x + 0.3, times=times)
    torch.testing.assert_close(moved, truth, rtol=0, atol=1e-3)


def test_a_model_that_fails_is_named_and_ends_the_search():
    class Faulty(ScoreModel):
        process = ReferenceVP()
        shape = (2,)

        def forward(self, x, at):
            return torch.where(x[:, :1] > 0, torch.nan, x)

    with pytest.raises(DifrunError, match="of 9 samples are not finite"):
        generate(Adaptive(), Faulty(), 9, logsnr(Faulty.process, 1), seed=1)


def test_a_tolerance_that_takes_too_many_steps_is_refused(monkeypatch):
    monkeypatch.setattr(adaptive, "ROUNDS", 5)
    model = ExactMixture(two_gaussians(), ReferenceVP())
    with pytest.raises(DifrunError, match=r"took 5 steps from t = 4 .* larger rtol \(now 1e-06\)"):
        integrate(Adaptive(rtol=1e-6), model, start(model), logsnr(model.process, 1))


@pytest.mark.parametrize("options", [{"rtol": 0.0}, {"atol": -1.0}, {"pair": "fehlberg"}])
def test_misuse_is_refused(options):
    with pytest.raises(ValueError, match=r"must be"):
        Adaptive(**options)
